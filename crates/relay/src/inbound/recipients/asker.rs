//! Asks one domain's primary about recipients, one after the other over one connection.

use std::{collections::VecDeque, sync::Arc};

use smtp::{ForwardPath, Mailbox, client::Opinion};
use spool::{
    AddressBook, Clock,
    policy::Domain,
    recipients::{News, Source},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};
use tracing::{debug, warn};

use crate::{
    inbound::{
        Metrics,
        limits::{
            NONSENSE_KEEP, QUESTION_CONNECT_TIMEOUT, QUESTION_IDLE_MAX, QUESTION_PATIENCE,
            QUESTION_PAUSE, QUESTION_QUIT_TIMEOUT, QUESTIONS_MAX, REFUSALS_PER_CONNECTION_MAX,
            SILENCE_MIN,
        },
    },
    outbound::{
        connection::{Broken, Connection, Terms},
        limits::Timeouts,
        tls::Connectors,
    },
    route::{Routes, limits::REFRESH},
};

const TIMEOUTS: Timeouts = Timeouts {
    connect: QUESTION_CONNECT_TIMEOUT,
    greeting: QUESTION_PATIENCE,
    command: QUESTION_PATIENCE,
    block: QUESTION_PATIENCE,
    quit: QUESTION_QUIT_TIMEOUT,
    ..Timeouts::STANDARD
};

/// What a question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The primary takes mail for him.
    Valid,
    /// There is no such recipient.
    Unknown,
    /// The primary refuses, and it need not be because of him.
    Unproven,
    /// The primary did not say, or not in time.
    Later,
    /// None of the primary's hosts talks to us.
    Unreachable,
}

impl Told {
    /// The metric's word for it.
    const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Unproven => "unproven",
            Self::Later => "later",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Whether there is a recipient.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) domain: Domain,
    /// With his domain as the DNS has it: so it goes without SMTPUTF8.
    pub(super) path: ForwardPath,
    /// As he is known by.
    pub(super) address: String,
    /// Nobody waits for longer.
    pub(super) until: Instant,
    /// Who waits; `None` when it is asked for the address book alone.
    pub(super) reply: Option<oneshot::Sender<Told>>,
}

impl Question {
    fn is_wanted(&self) -> bool {
        let is_waited_for = |reply: &oneshot::Sender<Told>| !reply.is_closed();
        Instant::now() < self.until && self.reply.as_ref().is_none_or(is_waited_for)
    }

    fn answer(self, told: Told) {
        if let Some(reply) = self.reply {
            // Whoever waited may be gone.
            reply.send(told).ok();
        }
    }
}

/// The connection over which questions are asked.
#[derive(Debug)]
struct Open {
    connection: Connection,
    /// As it was when the connection was opened.
    domain: Domain,
    opened_at: Instant,
    refusals: u32,
}

impl Open {
    /// Whether the server has refused so much over it that it might take us for an attacker.
    const fn is_worn(&self) -> bool {
        self.refusals >= REFUSALS_PER_CONNECTION_MAX
    }

    /// Whether it leads where a domain's mail goes now: the policy may have changed, or the DNS.
    fn suits(&self, domain: &Domain) -> bool {
        let is_routed = !domain.primary.is_empty() || self.opened_at.elapsed() < REFRESH;
        is_routed && self.domain.primary == domain.primary && self.domain.tls == domain.tls
    }

    async fn ask(&mut self, path: ForwardPath) -> Result<Opinion, Broken> {
        let opinion = self.connection.ask(path).await?;
        if matches!(opinion, Opinion::Unknown(_) | Opinion::Unproven(_)) {
            self.refusals += 1;
        }
        Ok(opinion)
    }
}

/// Asks one domain's primary.
#[derive(Debug)]
pub(super) struct Asker<B> {
    book: Arc<B>,
    hostname: String,
    clock: Clock,
    metrics: Metrics,
    connectors: Connectors,
    routes: Arc<Routes>,
    questions: mpsc::Receiver<Question>,
    /// Those that came while another was asked.
    waiting: VecDeque<Question>,
    open: Option<Open>,
    /// The hosts that were asked last. What follows is known of them.
    primary: Vec<String>,
    /// Until when the primary is not asked, and what everyone is told.
    pause: Option<(Instant, Told)>,
    /// Whether the primary refuses an address that nobody has, and when that was found out.
    tells_apart: Option<(Instant, bool)>,
}

impl<B: AddressBook> Asker<B> {
    pub(super) fn new(
        book: Arc<B>,
        hostname: String,
        clock: Clock,
        metrics: Metrics,
        routes: Arc<Routes>,
        questions: mpsc::Receiver<Question>,
    ) -> Self {
        Self {
            book,
            hostname,
            clock,
            metrics,
            connectors: Connectors::new(),
            routes,
            questions,
            waiting: VecDeque::new(),
            open: None,
            primary: Vec::new(),
            pause: None,
            tells_apart: None,
        }
    }

    /// Answers until nobody can ask any more. Whoever has asked about the same recipient by the time he
    /// is answered gets the same answer.
    pub(super) async fn run(mut self) {
        while let Some(question) = self.next().await {
            if !question.is_wanted() {
                continue;
            }
            let told = self.find_out(&question).await;
            self.metrics.questioned(told.word());
            while self.waiting.len() < QUESTIONS_MAX
                && let Ok(question) = self.questions.try_recv()
            {
                self.waiting.push_back(question);
            }
            let waiting = std::mem::take(&mut self.waiting);
            for other in waiting {
                if other.address == question.address {
                    other.answer(told);
                } else {
                    self.waiting.push_back(other);
                }
            }
            question.answer(told);
            if self.open.as_ref().is_some_and(Open::is_worn) {
                self.hang_up().await;
            }
        }
    }

    /// The next question. A connection that has idled is closed meanwhile.
    async fn next(&mut self) -> Option<Question> {
        if let Some(question) = self.waiting.pop_front() {
            return Some(question);
        }
        if self.open.is_some() {
            match timeout(QUESTION_IDLE_MAX, self.questions.recv()).await {
                Ok(question) => return question,
                Err(_) => self.hang_up().await,
            }
        }
        self.questions.recv().await
    }

    async fn hang_up(&mut self) {
        if let Some(open) = self.open.take() {
            open.connection.quit().await;
        }
    }

    async fn find_out(&mut self, question: &Question) -> Told {
        if self.primary != question.domain.primary {
            self.primary.clone_from(&question.domain.primary);
            self.pause = None;
            self.tells_apart = None;
        }
        if let Some((until, told)) = self.pause
            && Instant::now() < until
        {
            return told;
        }
        let began = Instant::now();
        let told = timeout_at(question.until, self.converse(question)).await;
        let told = told.ok().flatten();
        let is_silent = told.is_none() && began.elapsed() >= SILENCE_MIN;
        let told = told.unwrap_or(Told::Later);
        self.pause = (is_silent || told == Told::Unreachable)
            .then(|| (Instant::now() + QUESTION_PAUSE, told));
        told
    }

    /// Asks over the connection that is open, or else over a new one. Given up at any moment, it leaves
    /// no connection behind. `None` when no reply came.
    async fn converse(&mut self, question: &Question) -> Option<Told> {
        let domain = &question.domain;
        loop {
            let kept = self.open.take().filter(|open| open.suits(domain));
            let is_new = kept.is_none();
            let mut open = match kept {
                Some(open) => open,
                None => match self.connect(domain).await {
                    Ok(open) => open,
                    Err(reason) => {
                        debug!(domain = %domain.name, reason, "primary can not be asked");
                        return Some(Told::Unreachable);
                    }
                },
            };
            match self.put(&mut open, question).await {
                Ok(told) => {
                    if !open.connection.session.is_closed() {
                        self.open = Some(open);
                    }
                    return Some(told);
                }
                Err(broken) if is_new => {
                    debug!(domain = %domain.name, reason = %broken, "primary did not answer");
                    return None;
                }
                // Servers close connections that idle; a new one will tell.
                Err(_) => {}
            }
        }
    }

    /// Opens a connection to the first of the primary's hosts that talks to us.
    async fn connect(&self, domain: &Domain) -> Result<Open, String> {
        let terms = Terms {
            hostname: &self.hostname,
            tls: domain.tls,
            connectors: &self.connectors,
            dns: self.routes.dns(),
            timeouts: TIMEOUTS,
            share: None,
        };
        let connected = self.routes.connect(domain, terms).await;
        let connection = connected.map_err(|unreached| unreached.words)?;
        Ok(Open {
            connection,
            domain: domain.clone(),
            opened_at: Instant::now(),
            refusals: 0,
        })
    }

    /// Asks the question, and has learned what is learned by it.
    async fn put(&mut self, open: &mut Open, question: &Question) -> Result<Told, Broken> {
        let opinion = open.ask(question.path.clone()).await?;
        let domain = &question.domain.name;
        debug!(domain, to = %question.path, reply = %opinion.reply(), "primary asked");
        let (told, news) = match opinion {
            Opinion::Taken(_) if self.is_believed(open, question).await => {
                (Told::Valid, News::Valid(Source::Probe))
            }
            Opinion::Taken(_) => return Ok(Told::Valid),
            Opinion::Unknown(_) => (Told::Unknown, News::Unknown(Source::Probe)),
            Opinion::Unproven(_) => return Ok(Told::Unproven),
            Opinion::Later(_) => return Ok(Told::Later),
        };
        let address = question.address.clone();
        self.book.learn(&question.domain, address, news);
        Ok(told)
    }

    /// Whether what the primary takes exists: not of one that takes what does not.
    async fn is_believed(&mut self, open: &mut Open, question: &Question) -> bool {
        let name = &question.domain.name;
        let now = self.clock.now();
        let destination = self.book.primary(name);
        if !destination.roster.wants_nonsense(&destination, now) {
            return !destination.roster.takes_everybody(&destination, now);
        }
        if let Some((at, tells_apart)) = self.tells_apart
            && at.elapsed() < NONSENSE_KEEP
        {
            return tells_apart;
        }
        let tells_apart = match open.ask(nonsense(&question.path)).await {
            Ok(Opinion::Unknown(_) | Opinion::Unproven(_)) => true,
            Ok(Opinion::Taken(_)) => {
                warn!(
                    domain = %name,
                    "the primary takes mail for every address: its recipients can not be verified"
                );
                false
            }
            // He is taken, and what is to be believed in general is for the next question.
            Ok(Opinion::Later(_)) | Err(_) => return false,
        };
        self.tells_apart = Some((Instant::now(), tells_apart));
        let news = if tells_apart {
            News::Unknown(Source::Probe)
        } else {
            News::Valid(Source::Probe)
        };
        self.book.learn(&question.domain, String::new(), news);
        tells_apart
    }
}

/// An address that nobody has, in the same domain.
fn nonsense(path: &ForwardPath) -> ForwardPath {
    match path {
        ForwardPath::Postmaster => ForwardPath::Postmaster,
        ForwardPath::Mailbox(mailbox) => ForwardPath::Mailbox(Mailbox {
            local_part: format!("no-such-user-{:016x}", rand::random::<u64>()),
            domain: mailbox.domain.clone(),
        }),
    }
}
