//! What replicas are compared by.

use api::peer::v1 as pb;
use bytes::Bytes;

use super::{CodecError, required};
use crate::store::SpoolDigest;

pub(crate) fn digest_to(digest: &SpoolDigest) -> pb::DigestResponse {
    pb::DigestResponse {
        applied_index: digest.applied_index,
        rows: digest.rows,
        digest: Bytes::copy_from_slice(&digest.sha256),
    }
}

pub(crate) fn digest_from(response: pb::DigestResponse) -> Result<SpoolDigest, CodecError> {
    let sha256 = response.digest.as_ref().try_into().ok();
    Ok(SpoolDigest {
        applied_index: response.applied_index,
        rows: response.rows,
        sha256: required(sha256, "digest of 32 octets")?,
    })
}
