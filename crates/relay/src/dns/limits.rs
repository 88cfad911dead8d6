//! Bounds of the DNS, each with its reason.

use core::time::Duration;

/// How long one try waits for an answer. A resolver that has to ask around the world takes a second;
/// hickory sends the question again meanwhile, so a lost packet costs less.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Further tries after the first.
pub const QUERY_RETRIES: usize = 1;

/// How long a lookup may take in all, with its tries, its aliases, and its wait for others to end.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The same of a lookup whose signatures are checked: each zone on the way is another question or two.
pub const VALIDATION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may take to hear that the name servers answer. Any of them knows the root's by heart.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How often name servers that do not answer are asked whether they do again.
pub const ASK_AGAIN: Duration = Duration::from_secs(3);

/// A lookup that is given up after so long counts as not answered; one that is given up earlier says
/// nothing, as its client went away.
pub const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// Lookups at a time, far more than a busy node has under way while its name servers answer. Those
/// beyond wait within [`LOOKUP_TIMEOUT`].
pub const QUERIES_MAX: usize = 256;

/// Answers that are kept: what a busy hour asks for mostly. They take a MiB or two; strangers who
/// make all of them as large as the DNS allows, some 100 MiB.
pub const ANSWERS_KEPT_MAX: u64 = 2048;

/// No answer is kept longer than this, whatever it says of itself: who corrects a record for a day that
/// it was wrong is not to wait for another day.
pub const KEEP_MAX: Duration = Duration::from_secs(3600);

/// That there is no such name or record is not kept longer than this: it is what is seen first of a
/// record that is about to be made.
pub const KEEP_NONE_MAX: Duration = Duration::from_secs(300);

/// Of a stranger's domain it is kept for so long at least, though the answer has no time of its own, as that of a filter or of a name server
/// which makes things up: a client that sends a thousand messages is asked about once in a while, not for each.
pub const KEEP_NONE_MIN: Duration = Duration::from_secs(1);

/// Names of one address that are looked at. An address has one; some say hundreds, and each is a question.
pub const NAMES_OF_ADDRESS_MAX: usize = 3;
