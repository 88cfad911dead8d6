//! What of a message its origin is judged by, gathered while it arrives: the header, as long as it is
//! not unreasonable, and of the body the hashes that its signatures are about. The body itself is
//! never held.

use core::{fmt, iter};
use std::sync::Arc;

use mail_auth::{
    common::crypto::{Algorithm, HashContext as _, HashImpl, HashOutput, Sha256},
    dkim::{Canonicalization, Signature, canonicalize::BodyHasher},
};
use memchr::{memchr, memchr_iter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::inbound::limits::{HEADER_MAX, SHORT_HEADER_MAX};

type Hasher = BodyHasher<<Sha256 as HashImpl>::Context>;

/// Gathers evidence from a message as its client sends it.
pub(in crate::inbound) struct Evidence {
    header: Vec<u8>,
    /// Why the header is not kept.
    lost: Option<Unreadable>,
    /// Places for long headers that are free.
    long_headers: Arc<Semaphore>,
    /// The one that this header has.
    long: Option<OwnedSemaphorePermit>,
    bodies: Vec<(Canonicalization, Hasher)>,
}

/// Why a header can not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// There is no field in it.
    Empty,
    /// It does not end where it should, so that others may read it differently.
    Malformed,
    /// Its length makes no sense.
    TooLong,
    /// It is long, and too many others are at this moment.
    NoRoom,
}

/// What was gathered.
#[derive(Debug)]
pub(in crate::inbound) struct Gathered {
    /// The whole header with the empty line that ends it, or why it was not kept.
    pub(super) header: Result<Vec<u8>, Unreadable>,
    /// What the body comes to, for each form of it that a signature is about.
    pub(super) bodies: Vec<(Canonicalization, HashOutput)>,
    _long: Option<OwnedSemaphorePermit>,
}

impl Evidence {
    pub(in crate::inbound) const fn new(long_headers: Arc<Semaphore>) -> Self {
        Self {
            header: Vec::new(),
            lost: None,
            long_headers,
            long: None,
            bodies: Vec::new(),
        }
    }

    /// Takes the next octets of the header.
    pub(super) fn header(&mut self, octets: &[u8]) {
        if self.lost.is_some() {
            return;
        }
        self.lost = self.make_room(octets.len()).err();
        if self.lost.is_none() {
            self.header.extend_from_slice(octets);
        } else {
            self.header = Vec::new();
            self.long = None;
        }
    }

    fn make_room(&mut self, more: usize) -> Result<(), Unreadable> {
        let length = self.header.len() + more;
        if length > HEADER_MAX {
            return Err(Unreadable::TooLong);
        }
        if length > SHORT_HEADER_MAX && self.long.is_none() {
            let place = Arc::clone(&self.long_headers).try_acquire_owned();
            self.long = Some(place.map_err(|_| Unreadable::NoRoom)?);
        }
        Ok(())
    }

    /// The header is whole: finds out what is to be known of the body.
    pub(super) fn header_ends(&mut self) {
        for signature in signatures(&self.header) {
            let form = signature.cb;
            let is_hashed = self.bodies.iter().any(|(known, _)| *known == form);
            if is_hashed || signature.a == Algorithm::RsaSha1 {
                continue;
            }
            let hasher = BodyHasher::new(Sha256::hasher(), form, 0);
            self.bodies.push((form, hasher));
        }
    }

    /// Takes the next octets of the body.
    pub(super) fn body(&mut self, octets: &[u8]) {
        for (_, hasher) in &mut self.bodies {
            hasher.write(octets);
        }
    }

    /// The message is whole.
    pub(super) fn finish(self) -> Gathered {
        let hash =
            |(form, hasher): (Canonicalization, Hasher)| (form, hasher.finish().0.complete());
        Gathered {
            bodies: self.bodies.into_iter().map(hash).collect(),
            header: self.lost.map_or(Ok(self.header), Err),
            _long: self.long,
        }
    }
}

/// The DKIM signatures of a header that can be read.
fn signatures(header: &[u8]) -> impl Iterator<Item = Signature> {
    let mut rest = header;
    let fields = iter::from_fn(move || {
        let length = field_length(rest)?;
        let (field, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(field)
    });
    fields.filter_map(|field| {
        let (name, value) = field.split_at_checked(memchr(b':', field)?)?;
        let is_signature = name.trim_ascii().eq_ignore_ascii_case(b"DKIM-Signature");
        is_signature.then(|| Signature::parse(value.get(1..)?).ok())?
    })
}

/// How long the first field is, with the lines that continue it.
fn field_length(header: &[u8]) -> Option<usize> {
    let is_end = |at: &usize| !matches!(header.get(at + 1), Some(b' ' | b'\t'));
    let end = memchr_iter(b'\n', header).find(is_end);
    let length = end.map_or(header.len(), |end| end + 1);
    (length > 0).then_some(length)
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("header", &self.header.len())
            .field("bodies", &self.bodies.len())
            .finish_non_exhaustive()
    }
}
