//! Databases on their way.

use api::copy::v1 as pb;
use bytes::Bytes;

use super::{CodecError, required};
use crate::store::{Listed, Part};

pub(crate) fn listed_to(file: Listed) -> pb::ListedFile {
    pb::ListedFile {
        name: file.name,
        size: file.size,
    }
}

pub(crate) fn listed_from(file: pb::ListedFile) -> Listed {
    Listed {
        name: file.name,
        size: file.size,
    }
}

pub(crate) fn part_to(part: Part) -> pb::Part {
    use pb::part::Kind;
    let kind = match part {
        Part::File { name, from } => Kind::File(pb::File { name, from }),
        Part::Octets(octets) => Kind::Octets(octets),
        Part::FileEnd(digest) => Kind::Digest(Bytes::copy_from_slice(&digest)),
        Part::End => Kind::End(pb::End {}),
    };
    pb::Part { kind: Some(kind) }
}

pub(crate) fn part_from(part: pb::Part) -> Result<Part, CodecError> {
    use pb::part::Kind;
    Ok(match required(part.kind, "part of a copy")? {
        Kind::File(pb::File { name, from }) => Part::File { name, from },
        Kind::Octets(octets) => Part::Octets(octets),
        Kind::Digest(digest) => {
            let digest = digest.as_ref().try_into().ok();
            Part::FileEnd(required(digest, "digest of 32 octets")?)
        }
        Kind::End(pb::End {}) => Part::End,
    })
}
