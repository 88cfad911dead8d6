//! How a body travels: lines, the transparent dot, and the end of data (RFC 5321 section 4.5.2).

mod decoder;
mod encoder;
mod line_ends;

pub use decoder::{Consumed, Decoder};
pub use encoder::{Encoded, Encoder};
pub use line_ends::LineEnds;
