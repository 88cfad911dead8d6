//! How deliveries are getting on.

use core::fmt::Debug;

use crate::Timestamp;

/// How the delivery of one domain's mail is getting on, as the node that leads knows it. Nobody keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// Connections to the primary, open or being opened.
    pub connections: usize,
    /// Whether the primary is being asked at this moment whether it is back.
    pub probing: bool,
    /// Since when its queue is being emptied; `None` while nothing is sent.
    pub draining_since: Option<Timestamp>,
    /// What went wrong last, in words, and when.
    pub last_error: Option<(Timestamp, String)>,
    /// Messages a second that the primary has taken lately.
    pub per_second: f64,
}

/// Knows how deliveries from this node are getting on.
pub trait Courses: Debug + Send + Sync {
    /// Of each domain that something is being done for here; none on a node that does not lead.
    fn courses(&self) -> Vec<(String, Course)>;
}
