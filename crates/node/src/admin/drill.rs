//! Drills: whether mail finds its way through each node to the primary.
//!
//! ```text
//!   layover drill ─┐                    ┌▶ relay/drill: MX hosts ─▶ a message through each ─▶ 250 with an id
//!                  ├▶ Drills ─ a domain ┤                                                          │
//!   schedule ──────┘    │               └▶ follow: the id in this node's copy of the spool ◀───────┘
//!   (the leader)        └▶ the last success of each domain ─▶ metrics
//! ```

mod follow;
mod schedule;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::admin::v1::{DrillRequest, DrillStep};
use cluster::Cluster;
use futures::{Stream, stream};
use relay::{
    dns::Dns,
    drill::{self, Entrance, NotTaken, Sending},
    outbound::Step,
};
use smtp::Mailbox;
use spool::{Clock, MessageId, Timestamp, policy::Domain, ports::Members as _};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tonic::Status;

use super::{AdminService, recipients};
use follow::{Fate, follow};

/// More steps than anybody waits for while he reads none.
const STEPS_MAX: usize = 1024;

/// What is told of a host in the end.
const DELIVERED: &str = "delivered";
const WAITING: &str = "waiting";
const FAILED: &str = "failed";

/// Holds drills, and remembers the last ones that were complete.
#[derive(Debug)]
pub(crate) struct Drills {
    cluster: Cluster,
    dns: Arc<Dns>,
    hostname: String,
    clock: Clock,
    /// One drill at a time.
    turn: Arc<Semaphore>,
    /// When the last drill of a domain was complete that this node held since its start.
    successes: Mutex<BTreeMap<String, Timestamp>>,
}

/// A drill of one domain.
struct Drill<'a, F> {
    drills: &'a Drills,
    domain: &'a Domain,
    canary: &'a Mailbox,
    tell: F,
    /// When the last step was done.
    began: Instant,
    is_complete: bool,
}

impl Drills {
    pub(crate) fn new(cluster: Cluster, dns: Arc<Dns>, hostname: String, clock: Clock) -> Self {
        Self {
            cluster,
            dns,
            hostname,
            clock,
            turn: Arc::new(Semaphore::new(1)),
            successes: Mutex::default(),
        }
    }

    /// When the last drill of a domain was complete that this node held; `None` when it held none since its start.
    pub(crate) fn last_success(&self, domain: &str) -> Option<Timestamp> {
        self.successes().get(domain).copied()
    }

    fn successes(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        let successes = self.successes.lock();
        successes.unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the drill of a domain, and tells of each step as it is done.
    async fn hold(&self, domain: &Domain, canary: &Mailbox, tell: impl FnMut(DrillStep)) {
        let mut drill = Drill {
            drills: self,
            domain,
            canary,
            tell,
            began: Instant::now(),
            is_complete: true,
        };
        drill.run().await;
        if drill.is_complete {
            let now = self.clock.now();
            self.successes().insert(domain.name.clone(), now);
        }
    }
}

impl<F: FnMut(DrillStep)> Drill<'_, F> {
    async fn run(&mut self) {
        let drills = self.drills;
        let members = drills.cluster.members();
        // The canary's own domain: the policy's may be a wildcard.
        let name = self.canary.domain.to_ascii_lowercase();
        let listing = match drill::listing(&drills.dns, &members, self.domain, &name).await {
            Ok(listing) => listing,
            Err(words) => {
                let advice = "`layover doctor` says what is wrong with the DNS";
                return self.fail("", words, advice);
            }
        };
        if listing.entrances.is_empty() {
            let words = format!("none of the MX hosts of {name} is a node of this cluster");
            let advice = "add the records that `layover doctor` writes; a node that was just started knows the others' names in \
                 a few seconds";
            return self.fail("", words, advice);
        }
        for entrance in &listing.entrances {
            self.go_through(entrance).await;
        }
        for node in &listing.missing {
            let words = format!(
                "{}: node {} is not among the MX hosts of {name}",
                node.hostname, node.id
            );
            self.fail(
                &node.hostname,
                words,
                "add the record that `layover doctor` writes",
            );
        }
        for id in &listing.untold {
            let words = format!(
                "node {id} has not told this node its name, so it is not known which MX host it is"
            );
            self.fail(
                "",
                words,
                "see that it runs, and that this node reaches it: `layover cluster status`",
            );
        }
    }

    /// Sends a message through a host, and follows it.
    async fn go_through(&mut self, entrance: &Entrance) {
        let drills = self.drills;
        let host = entrance.name();
        let at = drills.clock.now();
        self.began = Instant::now();
        let sending = Sending {
            hostname: &drills.hostname,
            canary: self.canary,
            is_sentry: self.domain.sentry,
            id: MessageId::new(at.0, rand::random()),
            at,
        };
        let told = |step: Step| self.tell_step(host, step);
        let (id, reply) = match drill::send(&drills.dns, entrance, &sending, told).await {
            Ok(taken) => taken,
            Err(not_taken) => return self.not_taken(host, not_taken),
        };
        let words = format!("{host}: has taken the message: {reply}");
        self.tell(DrillStep {
            id: Some(id.to_string()),
            ..self.step(host, words, true)
        });
        let fate = follow(&drills.cluster, &self.domain.name, id, drills.clock).await;
        self.conclude(host, id, fate);
    }

    fn conclude(&mut self, host: &str, id: MessageId, fate: Fate) {
        let outcome = match &fate {
            Fate::Delivered { .. } => DELIVERED,
            Fate::Waiting { .. } => WAITING,
            Fate::Lost { .. } => FAILED,
        };
        self.is_complete &= outcome == DELIVERED;
        let (words, advice) = fate.told(id);
        self.tell(DrillStep {
            id: Some(id.to_string()),
            outcome: Some(outcome.to_owned()),
            advice,
            ..self.step(host, format!("{host}: {words}"), outcome != FAILED)
        });
    }

    fn not_taken(&mut self, host: &str, not_taken: NotTaken) {
        self.is_complete = false;
        let is_meant = not_taken.is_meant;
        let outcome = if is_meant { WAITING } else { FAILED };
        self.tell(DrillStep {
            outcome: Some(outcome.to_owned()),
            advice: Some(not_taken.advice),
            ..self.step(host, format!("{host}: {}", not_taken.words), is_meant)
        });
    }

    fn fail(&mut self, host: &str, words: String, advice: &str) {
        self.is_complete = false;
        self.tell(DrillStep {
            outcome: Some(FAILED.to_owned()),
            advice: Some(advice.to_owned()),
            ..self.step(host, words, false)
        });
    }

    fn tell_step(&mut self, host: &str, step: Step) {
        let told = self.step(host, step.words, step.is_sound);
        self.tell(told);
    }

    /// A step that took the time since the one before.
    fn step(&self, host: &str, words: String, sound: bool) -> DrillStep {
        DrillStep {
            domain: self.domain.name.clone(),
            host: host.to_owned(),
            words,
            took_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            sound,
            ..DrillStep::default()
        }
    }

    fn tell(&mut self, step: DrillStep) {
        (self.tell)(step);
        self.began = Instant::now();
    }
}

impl AdminService {
    /// Holds the drill of a domain, or of all that have a canary. Ends early when nobody listens.
    pub(super) fn hold_drill(
        &self,
        request: DrillRequest,
    ) -> Result<impl Stream<Item = Result<DrillStep, Status>> + Send + use<>, Status> {
        let only = request.domain.map(|name| name.to_ascii_lowercase());
        let chosen = self.to_be_drilled(only.as_deref())?;
        let turn = Arc::clone(&self.drills.turn).try_acquire_owned();
        let turn = turn.map_err(|_| {
            Status::resource_exhausted(
                "this node is at a drill already: ask again in a minute, or ask another node",
            )
        })?;
        let drills = Arc::clone(&self.drills);
        let (told, steps) = mpsc::channel(STEPS_MAX);
        tokio::spawn(async move {
            let _until_the_end = turn;
            for (domain, canary) in &chosen {
                let tell = |step: DrillStep| {
                    // A step more than fits is one that nobody would read.
                    told.try_send(Ok(step)).ok();
                };
                tokio::select! {
                    () = drills.hold(domain, canary, tell) => {}
                    () = told.closed() => return,
                }
            }
        });
        Ok(stream::unfold(steps, |mut steps| async {
            let step = steps.recv().await?;
            Some((step, steps))
        }))
    }

    fn to_be_drilled(&self, only: Option<&str>) -> Result<Vec<(Domain, Mailbox)>, Status> {
        let policy = match only {
            Some(name) => Some(recipients::policy_with(&self.cluster, name)?),
            None => self.cluster.policy(),
        };
        let domains = policy.iter().flat_map(|policy| &policy.domains);
        let named = domains.filter(|domain| only.is_none_or(|only| only == domain.name));
        let chosen: Vec<(Domain, Mailbox)> = named
            .filter_map(|domain| Some((domain.clone(), domain.canary.clone()?)))
            .collect();
        if chosen.is_empty() {
            let which =
                only.map_or_else(|| "no domain".to_owned(), |name| format!("{name} does not"));
            let has = if only.is_some() { "have" } else { "has" };
            return Err(Status::failed_precondition(format!(
                "{which} {has} a canary, the mailbox that drills go to: write canary = \"postmaster@example.com\" in its \
                 [[domain]], and put that in force with `layover policy apply FILE`"
            )));
        }
        Ok(chosen)
    }
}
