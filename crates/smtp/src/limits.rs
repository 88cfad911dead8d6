//! How much of anything a peer may make us keep.

/// Octets of a local part (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_MAX: usize = 64;

/// Octets of a domain or an address literal (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_MAX: usize = 255;

/// Octets of one label of a domain (RFC 1035 section 2.3.4); characters of one beyond ASCII, whose
/// limit is that of its ASCII form.
pub const LABEL_MAX: usize = 63;

/// Octets of a mailbox: a path of 256 less its brackets (RFC 5321 section 4.5.3.1.3).
pub const MAILBOX_MAX: usize = 254;

/// Octets of an ENVID as it is written (RFC 3461 section 4.4).
pub const ENVID_MAX: usize = 100;

/// Octets of an ORCPT as it is written: what RFC 3461 section 4 adds to the length of RCPT.
pub const ORCPT_MAX: usize = 500;

/// Octets of a client's name in EHLO and HELO that are kept: a domain's.
pub const HELO_MAX: usize = DOMAIN_MAX;

/// Octets of a command line with its CRLF: the 512 of RFC 5321 section 4.5.3.1.4 and as many again
/// for the parameters of MAIL and RCPT, which each extension may lengthen.
pub const COMMAND_LINE_MAX: usize = 1024;

/// Octets of XCLIENT or XFORWARD with its CRLF: no extension makes those longer than RFC 5321 does.
pub const PASSED_ON_LINE_MAX: usize = 512;

/// Octets of one value in it, as both their documents say. Longer ones are not passed on.
pub const PASSED_ON_VALUE_MAX: usize = 255;

/// Octets of a chunk that are waited for in any case, also when nobody takes them: many times the
/// largest message. The command behind a chunk is found no other way, so a client that announces
/// more, and more than a message may have, is sent away.
pub const CHUNK_MAX: u64 = 1024 * 1024 * 1024;

/// Octets of a body that are gathered before they are sent as a chunk (RFC 3030); what is fed at
/// once is never cut, so a chunk may be larger by as much.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// Octets of the last chunk at most. It is sent after it was made sure that it may be, and should be
/// out at once; most messages are smaller, and are one chunk.
pub const LAST_CHUNK_MAX: usize = 8 * 1024;

/// Octets of all the addresses that the recipients of one message come to, with what ORCPT says of them: a
/// thousand of the longest. They are kept until the message has come, from everyone who sends one.
pub const RECIPIENTS_OCTETS_MAX: usize = 256 * 1024;

/// `Received` fields that a message may carry; more of them are a loop. RFC 5321 section 6.3 asks
/// for a large threshold, usually 100; Postfix takes 50.
pub const RECEIVED_MAX: u32 = 50;

/// Those of them that this very host may have written: who forwards mail to another of its domains brings
/// it here again, and a primary that sends it back does so each time.
pub const OWN_HOPS_MAX: u32 = 2;

/// Commands that a client may get wrong between two messages before it is sent away, as in
/// Postfix: more than a client with a bad list makes, far fewer than one that guesses.
pub const ERRORS_MAX: u32 = 20;

/// Commands between two messages: those of a message with a thousand recipients ten times over.
pub const IDLE_COMMANDS_MAX: u32 = 10_000;

/// The errors of a client while the server is short of places. One is made by any client that pipelines, when
/// DATA follows on recipients who are all refused; Postfix puts up with none then.
pub const PRESSED_ERRORS_MAX: u32 = 3;

/// Commands between two messages, while the server is short of places, that bring no message nearer: all but
/// RCPT, DATA and BDAT. A client needs four before its first message and two before each other one, and ten
/// messages whose recipients are all put off take as many.
pub const PRESSED_JUNK_MAX: u32 = 20;

/// Octets of replies that gather before they are to be written, so that a client which sends
/// commands and reads nothing costs no memory.
pub const REPLIES_MAX: usize = 16 * 1024;

/// Octets in front of an authserv-id that a field `Authentication-Results` may hold, comments and
/// line breaks mostly. So much of a body may be kept back until it is known whose the field is.
pub const AUTHSERV_ID_WITHIN: usize = 2048;

/// Octets of an authserv-id that could be ours: a domain name has no more (RFC 1035 section 2.3.4).
pub const AUTHSERV_ID_MAX: usize = 255;
