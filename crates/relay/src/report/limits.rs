//! How large a report may be: it is one piece in the spool (512 KiB), whatever it is about.

/// Octets of a line, without its CRLF (RFC 5322 section 2.1.1).
pub(super) const LINE_MAX: usize = 998;

/// Octets of one value or phrase out of somebody else's words: with the name in front of it, it fits a line.
pub(super) const TEXT_MAX: usize = 700;

/// Recipients that one report tells of; the others get another one. Each may take 5 KiB: two replies, four
/// addresses.
pub(crate) const RECIPIENTS_MAX: usize = 40;

/// Octets of a message that is given back as a whole (RET=FULL); of a larger one the header must do.
pub(super) const WHOLE_MAX: usize = 64 * 1024;

/// Octets of header fields that are given back.
pub(super) const HEADER_MAX: usize = 32 * 1024;

/// Octets of a Message-ID that is referred to.
pub(super) const MESSAGE_ID_MAX: usize = 250;
