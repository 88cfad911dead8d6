//! Places in segments, and how rows say them.

use std::io;

/// Where a piece lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// CRC-32 of the piece, as RocksDB has one for what it stores.
    pub(super) sum: u32,
}

impl Location {
    /// Octets of a location as it is stored.
    const BYTES: usize = 24;

    pub(crate) fn to_octets(self) -> [u8; Self::BYTES] {
        let mut octets = [0; Self::BYTES];
        let (segment, rest) = octets.split_at_mut(8);
        let (offset, rest) = rest.split_at_mut(8);
        let (length, sum) = rest.split_at_mut(4);
        segment.copy_from_slice(&self.segment.to_be_bytes());
        offset.copy_from_slice(&self.offset.to_be_bytes());
        length.copy_from_slice(&self.length.to_be_bytes());
        sum.copy_from_slice(&self.sum.to_be_bytes());
        octets
    }

    pub(crate) fn from_octets(octets: &[u8]) -> io::Result<Self> {
        let read = || {
            let (segment, rest) = octets.split_first_chunk()?;
            let (offset, rest) = rest.split_first_chunk()?;
            let (length, rest) = rest.split_first_chunk()?;
            Some(Self {
                segment: u64::from_be_bytes(*segment),
                offset: u64::from_be_bytes(*offset),
                length: u32::from_be_bytes(*length),
                sum: u32::from_be_bytes(rest.try_into().ok()?),
            })
        };
        read().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a place in a segment"))
    }

    pub(super) const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length as u64)
    }

    /// The segment that it is in.
    pub(crate) const fn segment(&self) -> u64 {
        self.segment
    }

    /// Octets of the piece.
    pub(crate) const fn length(&self) -> usize {
        self.length as usize
    }
}
