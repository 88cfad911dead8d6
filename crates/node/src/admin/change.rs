//! What operators do with messages: those that are named, or that a filter selects.
//!
//! A filter walks over this node's copy of the queue, and what it selects is changed a batch at a time, by
//! whoever leads. While a batch is changed, the next page is read and looked through. Mail goes on between two
//! batches, and no more of the queue than a page is in memory.

use std::collections::{HashSet, VecDeque};

use api::admin::v1::{QueueChangeRequest, QueueChangeResponse, QueueListRequest};
use cluster::Cluster;
use futures::{Stream, stream};
use spool::{Action, MessageId, Timestamp, Verb, audit::HANDLED_PER_COMMAND_MAX, batch};
use tonic::Status;

use super::{audit, filter::Filter, id_of, refused};

/// Ids that one request may name.
const IDS_MAX: usize = 10_000;

/// Ids that are named in the audit log; of more than these it tells how many there were.
const IDS_TOLD_MAX: usize = 5;

/// One word of a filter in the audit log.
const WORD_CHARS_MAX: usize = 320;

/// Which messages are left to be handled.
enum Selection {
    Named(VecDeque<MessageId>),
    Filtered(Pages),
}

/// What a filter selects of the queue, page by page.
struct Pages {
    filter: Filter,
    /// Whether what is selected is given up: it would be gone for those, too, whom nobody has named.
    gives_up: bool,
    /// The last place that is looked at.
    through: u64,
    /// The last place of the page that was handed out.
    after: u64,
    /// The page behind it, if it is read already.
    ahead: Option<Page>,
}

/// At most as many messages as one command may handle.
struct Page {
    selected: Vec<MessageId>,
    /// Messages that are not selected, as others wait for them whom the filter does not name.
    elsewhere: u64,
    /// The last place in it; the last of all behind the last message.
    last: u64,
}

/// How far it is.
struct Walk {
    cluster: Cluster,
    selection: Selection,
    verb: Verb,
    count_only: bool,
    /// How many messages may be selected.
    at_most: u64,
    action: Action,
    batch: u32,
    told: QueueChangeResponse,
}

/// Does what is asked for, and tells after each batch how far it is.
pub(super) async fn change(
    cluster: &Cluster,
    request: QueueChangeRequest,
    by: String,
    now: Timestamp,
) -> Result<impl Stream<Item = Result<QueueChangeResponse, Status>> + Send + use<>, Status> {
    let verb = verb(&request.verb).map_err(Status::invalid_argument)?;
    let what = words(&request);
    let reason = audit::reason(&request.reason);
    let through = match request.through {
        Some(through) => through,
        None => cluster.last_sequence().await.map_err(refused)?,
    };
    let as_of = request.as_of_ms.map_or(now, Timestamp);
    let walk = Walk {
        verb,
        count_only: request.count_only,
        at_most: request.at_most.unwrap_or(u64::MAX),
        selection: selection(request, verb, through, |filter| {
            Filter::of(cluster, filter, as_of)
        })?,
        action: cluster.action(by, what, reason),
        batch: 0,
        told: QueueChangeResponse {
            through,
            as_of_ms: as_of.0,
            ..QueueChangeResponse::default()
        },
        cluster: cluster.clone(),
    };
    Ok(stream::try_unfold(walk, Walk::step))
}

fn verb(word: &str) -> Result<Verb, String> {
    match word {
        "hold" => Ok(Verb::Hold),
        "release" => Ok(Verb::Release),
        "delete" => Ok(Verb::Delete),
        "retry" => Ok(Verb::Retry),
        "bounce" => Ok(Verb::Bounce),
        _ => Err(format!(
            "verb {word:?} is unknown; use hold, release, delete, retry or bounce"
        )),
    }
}

fn selection(
    request: QueueChangeRequest,
    verb: Verb,
    through: u64,
    filter_of: impl FnOnce(QueueListRequest) -> Result<Filter, Status>,
) -> Result<Selection, Status> {
    let filter = request.filter.unwrap_or_default();
    let is_filtered = filter != QueueListRequest::default();
    if request.ids.len() > IDS_MAX {
        let words = format!("more than {IDS_MAX} ids are named; use a filter");
        return Err(Status::invalid_argument(words));
    }
    match (request.ids.is_empty(), is_filtered, request.all) {
        (false, false, false) => {
            let parsed = request.ids.iter().map(|text| id_of(text));
            let mut ids = parsed.collect::<Result<VecDeque<_>, _>>()?;
            // One that is named twice is one, in the question and in what is told.
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(*id));
            Ok(Selection::Named(ids))
        }
        (true, true, false) | (true, false, true) => Ok(Selection::Filtered(Pages {
            filter: filter_of(filter)?,
            gives_up: matches!(verb, Verb::Delete | Verb::Bounce),
            through,
            after: 0,
            ahead: None,
        })),
        _ => Err(Status::invalid_argument(
            "name messages by their ids, or by a filter, or all of them",
        )),
    }
}

/// The verb and what it is about, as one would type it.
fn words(request: &QueueChangeRequest) -> String {
    let mut words = vec![request.verb.clone()];
    words.extend(request.ids.iter().take(IDS_TOLD_MAX).cloned());
    if request.ids.len() > IDS_TOLD_MAX {
        words.push(format!("and {} more", request.ids.len() - IDS_TOLD_MAX));
    }
    if let Some(filter) = &request.filter {
        let age = filter.older_than_ms.map(std::time::Duration::from_millis);
        let age = age.map(|age| humantime::format_duration(age).to_string());
        for (name, value) in [
            ("--domain", &filter.domain),
            ("--sender", &filter.sender),
            ("--recipient", &filter.recipient),
            ("--state", &filter.state),
            ("--older", &age),
        ] {
            if let Some(value) = value {
                words.push(format!(
                    "{name} {}",
                    audit::shortened(value, WORD_CHARS_MAX)
                ));
            }
        }
    }
    if request.all {
        words.push("--all".to_owned());
    }
    words.join(" ")
}

impl Pages {
    /// The next page.
    async fn next(&mut self, cluster: &Cluster) -> Result<Page, Status> {
        let page = match self.ahead.take() {
            Some(page) => page,
            None => self.read(cluster).await?,
        };
        self.after = page.last;
        Ok(page)
    }

    /// Reads the page that comes next, unless that is done, or there is nothing more to look at.
    async fn read_ahead(&mut self, cluster: &Cluster) -> Result<(), Status> {
        if self.ahead.is_none() && !self.is_finished() {
            self.ahead = Some(self.read(cluster).await?);
        }
        Ok(())
    }

    async fn read(&self, cluster: &Cluster) -> Result<Page, Status> {
        let messages = cluster.messages(self.after, HANDLED_PER_COMMAND_MAX);
        let mut messages = messages.await.map_err(refused)?;
        let recipients = messages.iter().map(|message| message.recipients.len());
        messages.truncate(batch::fitting(recipients));
        let mut page = Page {
            selected: Vec::new(),
            elsewhere: 0,
            last: messages.last().map_or(u64::MAX, |last| last.sequence),
        };
        let until = self.through;
        for message in messages.iter().take_while(|it| it.sequence <= until) {
            if self.filter.selects(message).is_none() {
                continue;
            }
            if self.gives_up && !self.filter.names_all_left(message) {
                page.elsewhere += 1;
            } else {
                page.selected.push(message.id);
            }
        }
        Ok(page)
    }

    const fn is_finished(&self) -> bool {
        self.after >= self.through
    }
}

impl Selection {
    /// Reads what is looked at next, if it is to be read.
    async fn read_ahead(&mut self, cluster: &Cluster) -> Result<(), Status> {
        match self {
            Self::Filtered(pages) => pages.read_ahead(cluster).await,
            Self::Named(_) => Ok(()),
        }
    }
}

impl Walk {
    /// Handles the next batch. `None` behind the last answer.
    async fn step(mut self) -> Result<Option<(QueueChangeResponse, Self)>, Status> {
        if self.told.finished {
            return Ok(None);
        }
        match self.advance().await {
            Ok(()) => {}
            Err(status) => {
                self.tell();
                let done = match self.told.changed {
                    0 => String::new(),
                    changed => format!("; {changed} messages were changed before that"),
                };
                let words = format!("{}{done}", status.message());
                return Err(Status::new(status.code(), words));
            }
        }
        if self.told.finished {
            self.tell();
        }
        Ok(Some((self.told, self)))
    }

    async fn advance(&mut self) -> Result<(), Status> {
        let ids = self.next_ids().await?;
        let selected = self.told.selected + ids.len() as u64;
        if selected > self.at_most {
            return Err(Status::aborted(
                "more messages are selected than were counted; count them again",
            ));
        }
        self.told.selected = selected;
        if self.count_only || ids.is_empty() {
            return Ok(());
        }
        self.batch += 1;
        let handled = self
            .cluster
            .handle(self.verb, &self.action, self.batch, ids);
        let (tally, read) = tokio::join!(handled, self.selection.read_ahead(&self.cluster));
        let tally = tally.map_err(refused)?;
        self.told.changed += tally.changed;
        self.told.unaffected += tally.unaffected;
        self.told.held += tally.held;
        self.told.absent += tally.absent;
        read
    }

    /// The next messages, at most as many as one command may handle. Notes when they are the last.
    async fn next_ids(&mut self) -> Result<Vec<MessageId>, Status> {
        match &mut self.selection {
            Selection::Named(ids) => {
                let next = ids.len().min(HANDLED_PER_COMMAND_MAX);
                let next = ids.drain(..next).collect();
                self.told.finished = ids.is_empty();
                Ok(next)
            }
            Selection::Filtered(pages) => {
                let page = pages.next(&self.cluster).await?;
                self.told.finished = pages.is_finished();
                self.told.elsewhere += page.elsewhere;
                Ok(page.selected)
            }
        }
    }

    fn tell(&self) {
        if self.told.changed > 0 {
            audit::tell(&self.action, self.told.changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ids: &[&str], filter: Option<QueueListRequest>, all: bool) -> QueueChangeRequest {
        QueueChangeRequest {
            verb: "delete".to_owned(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            filter,
            all,
            ..QueueChangeRequest::default()
        }
    }

    fn of_domain() -> Option<QueueListRequest> {
        Some(QueueListRequest {
            domain: Some("example.com".to_owned()),
            older_than_ms: Some(3_600_000),
            ..QueueListRequest::default()
        })
    }

    const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn messages_are_named_in_exactly_one_way() {
        let filter = |request| Filter::new(request, Timestamp(0)).map_err(Status::invalid_argument);
        let is_taken = |request| selection(request, Verb::Delete, 9, filter).is_ok();
        assert!(is_taken(request(&[ID], None, false)));
        assert!(is_taken(request(&[], of_domain(), false)));
        assert!(is_taken(request(&[], None, true)));
        assert!(
            !is_taken(request(&[], None, false)),
            "that would be all of them"
        );
        assert!(!is_taken(request(
            &[],
            Some(QueueListRequest::default()),
            false
        )));
        assert!(!is_taken(request(&[ID], of_domain(), false)));
        assert!(!is_taken(request(&[ID], None, true)));
        assert!(!is_taken(request(&["no id"], None, false)));
        assert!(verb("burn").is_err());
    }

    #[test]
    fn one_that_is_named_twice_is_one() {
        let filter = |request| Filter::new(request, Timestamp(0)).map_err(Status::invalid_argument);
        let small = ID.to_ascii_lowercase();
        let named = request(&[ID, "01ARZ3NDEKTSV4RRFFQ69G5FAW", ID, &small], None, false);
        match selection(named, Verb::Hold, 9, filter) {
            Ok(Selection::Named(ids)) => {
                assert_eq!((ids.len(), ids[0].to_string().as_str()), (2, ID));
            }
            _ => panic!("they are named"),
        }
    }

    #[test]
    fn what_is_asked_for_is_noted_as_one_would_type_it() {
        assert_eq!(
            words(&request(&[], of_domain(), false)),
            "delete --domain example.com --older 1h"
        );
        let many = words(&request(&[ID; 7], None, false));
        assert!(many.ends_with(&format!("{ID} and 2 more")), "{many}");
        assert_eq!(words(&request(&[], None, true)), "delete --all");
    }
}
