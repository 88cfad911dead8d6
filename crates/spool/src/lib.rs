//! What a spooled message is and everything that may happen to it.
//!
//! ```text
//!   Intake ──▶ Command ──▶ apply(view, index, command) ──▶ Outcome, [Change]
//!                              │
//!   Outbox ◀── queue ◀─────────┘
//! ```
//!
//! Every node applies the same commands in the same order and must end with the same bytes, so
//! nothing here knows a socket, a clock, a disk, randomness, or which node it runs on.

pub mod alarm;
pub mod apply;
pub mod audit;
pub mod authentication;
pub mod batch;
pub mod command;
pub mod course;
pub mod destination;
pub mod fingerprint;
pub mod footprint;
pub mod guard;
pub mod history;
pub mod id;
pub mod message;
pub mod notice;
pub mod offers;
pub mod outage;
pub mod policy;
pub mod ports;
pub mod recipients;
pub mod refusal;
pub mod retry;
pub mod sentry;
pub mod starttls;
pub mod time;
pub mod unconfirmed;
pub mod view;
mod words;

pub use alarm::Alarm;
pub use apply::apply;
pub use audit::{Action, Audited, Handling, Tally, Verb};
pub use authentication::{Authentication, Finding};
pub use command::{
    Accept, Adopt, Attempt, Claims, Command, Expire, Lapse, Lessons, Outcome, Replay, Report,
    SeenStarttls, Stage, Verdict, Visits,
};
pub use course::{Course, Courses};
pub use destination::{Condition, Destination, Pause, Reachability, Totals};
pub use fingerprint::Fingerprint;
pub use footprint::Footprint;
pub use guard::{Guard, Recovery};
pub use history::{HistoryTotals, Retained, Try};
pub use id::MessageId;
pub use message::{Body, Client, Digest, Hold, Message, Recipient, Standing, Status};
pub use notice::{Delay, Notify};
pub use offers::{KnownOffers, Offers};
pub use outage::{Ageing, Expiry, Outage};
pub use policy::Policy;
pub use ports::{AddressBook, Due, Intake, Lookout, Outbox, Owed};
pub use recipients::{Fact, Learned, Roster};
pub use refusal::Refusal;
pub use sentry::{Patience, Visitor, Visitors};
pub use starttls::Starttls;
pub use time::{Clock, Timestamp};
pub use unconfirmed::{Remembered, Unconfirmed};
pub use view::{Change, Place, View};
