//! Looks at a domain's primary step by step, for an operator who wants to know what is wrong with it.
//!
//! It goes as far as a session that is ready for a message, and says goodbye: nothing is sent.

use std::net::SocketAddr;
use std::time::Duration;

use smtp::Reply;
use smtp::client::{Awaiting, Output};
use spool::policy::{Domain, Tls};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::outbound::connection::{Broken, Connection, Terms};
use crate::outbound::limits::{PROBE_ADDRESS_TIMEOUT, PROBE_TIMEOUTS};
use crate::outbound::protection::Protection;
use crate::outbound::tls::Connectors;
use crate::route::host::Host;
use crate::route::{Route, Routes};

/// What was done and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In words. What the primary said is in them as it is: whoever shows it escapes it.
    pub words: String,
    /// How long it took.
    pub took: Duration,
    /// Whether mail could go on from there.
    pub is_sound: bool,
    /// Whether it does, and not as it should.
    pub is_warning: bool,
    /// The address that was connected to, or was to be; `None` for steps of another kind.
    pub dialled: Option<SocketAddr>,
}

/// Tries every host of a domain's route and tells of each step as it is done. Returns whether one of
/// them is ready for mail. `hostname` is what EHLO says.
pub async fn probe(
    domain: &Domain,
    routes: &Routes,
    hostname: &str,
    tell: impl FnMut(Step),
) -> bool {
    let connectors = Connectors::new();
    let terms = Terms {
        hostname,
        tls: domain.tls,
        connectors: &connectors,
        dns: routes.dns(),
        timeouts: PROBE_TIMEOUTS,
        share: None,
    };
    let mut account = Account::new(tell);
    let mut explanation = routes.explain(domain).await;
    let verdict = explanation.pop();
    for words in explanation {
        account.sound(format!("route: {words}"));
    }
    let route = match routes.find(domain).await {
        Ok(route) => route,
        Err(none) => {
            account.unsound(verdict.unwrap_or_else(|| none.to_string()));
            return false;
        }
    };
    account.sound(format!("route: {}", verdict.unwrap_or_default()));
    let mut is_ready = false;
    // Whether one is that is as preferred as the next.
    let mut is_equal_ready = false;
    let mut ours: Option<u16> = None;
    for host in route.hosts() {
        if ours.is_some_and(|ours| host.preference >= ours) {
            continue;
        }
        if !host.is_met_first {
            is_ready |= is_equal_ready;
            is_equal_ready = false;
        }
        match probe_host(&route, host, terms, &mut account).await {
            Found::Ready => is_equal_ready = true,
            Found::Unready => {}
            // Nor is any host used that is not more preferred.
            Found::Ourselves => {
                ours = Some(host.preference);
                is_equal_ready = false;
            }
        }
    }
    is_ready || is_equal_ready
}

/// What a host turns out to be.
enum Found {
    Ready,
    Unready,
    /// This cluster, or perhaps.
    Ourselves,
}

/// Tells of steps, and takes the time of each.
pub(crate) struct Account<F> {
    tell: F,
    began: Instant,
}

impl<F: FnMut(Step)> Account<F> {
    /// The first step begins now.
    pub(crate) fn new(tell: F) -> Self {
        Self {
            tell,
            began: Instant::now(),
        }
    }

    pub(crate) fn sound(&mut self, words: String) {
        self.step(words, true, None);
    }

    pub(crate) fn unsound(&mut self, words: String) {
        self.step(words, false, None);
    }

    fn warning(&mut self, words: String) {
        self.tell(Step {
            words,
            took: self.began.elapsed(),
            is_sound: true,
            is_warning: true,
            dialled: None,
        });
    }

    fn step(&mut self, words: String, is_sound: bool, dialled: Option<SocketAddr>) {
        self.tell(Step {
            words,
            took: self.began.elapsed(),
            is_sound,
            is_warning: false,
            dialled,
        });
    }

    fn tell(&mut self, step: Step) {
        (self.tell)(step);
        self.began = Instant::now();
    }
}

async fn probe_host<F: FnMut(Step)>(
    route: &Route,
    host: &Host,
    terms: Terms<'_>,
    account: &mut Account<F>,
) -> Found {
    let name = &host.name;
    let Some(connection) = opened_as_for_mail(host, terms, account).await else {
        return Found::Unready;
    };
    let objection = route.objection(&connection);
    connection.quit().await;
    match objection {
        Some(why) => {
            account.unsound(format!(
                "{name}: not used: {why}; nor is what is behind it or as preferred"
            ));
            Found::Ourselves
        }
        None => {
            account.sound(format!("{name}: ready for mail"));
            Found::Ready
        }
    }
}

/// Goes as far as a session that is ready for a message. `None` when there is none; the last step says why.
pub(crate) async fn opened<F: FnMut(Step)>(
    host: &Host,
    terms: Terms<'_>,
    account: &mut Account<F>,
) -> Option<Connection> {
    let protection = protection(host, terms, account).await?;
    let opened = begun(host, terms, &protection, account).await?;
    ready(host, opened, account)
}

/// The same as mail does it: in clear where the handshake fails, if that may be.
async fn opened_as_for_mail<F: FnMut(Step)>(
    host: &Host,
    terms: Terms<'_>,
    account: &mut Account<F>,
) -> Option<Connection> {
    let protection = protection(host, terms, account).await?;
    let opened = match begun(host, terms, &protection, account).await? {
        Err(broken @ Broken::Handshake(_)) if matches!(protection, Protection::Opportunistic) => {
            account.warning(format!(
                "{}: {broken}; as TLS is not required there, mail goes in clear, for all on the way to read",
                host.name
            ));
            begun(host, terms, &Protection::Off, account).await?
        }
        opened => opened,
    };
    ready(host, opened, account)
}

/// `None` when the DNS does not tell what it must.
async fn protection<F: FnMut(Step)>(
    host: &Host,
    terms: Terms<'_>,
    account: &mut Account<F>,
) -> Option<Protection> {
    let name = &host.name;
    account.began = Instant::now();
    match Protection::of(host, terms.tls, terms.dns).await {
        Ok(protection) => {
            if terms.tls == Tls::Dane {
                account.sound(format!("{name}: asked the dns: {protection}"));
            }
            Some(protection)
        }
        Err(broken) => {
            account.unsound(format!("{name}: not used: {broken}"));
            None
        }
    }
}

/// What comes of a session; `None` when nothing can be connected to, which is told then.
async fn begun<F: FnMut(Step)>(
    host: &Host,
    terms: Terms<'_>,
    protection: &Protection,
    account: &mut Account<F>,
) -> Option<Result<Connection, Broken>> {
    let stream = connected(host, account).await?;
    Some(
        match Connection::begin(&host.name, stream, terms, protection) {
            Ok(connection) => greeted(connection, terms, protection, account).await,
            Err(broken) => Err(broken),
        },
    )
}

/// The session, if there is one; else it is told why not.
fn ready<F: FnMut(Step)>(
    host: &Host,
    opened: Result<Connection, Broken>,
    account: &mut Account<F>,
) -> Option<Connection> {
    opened
        .inspect_err(|broken| account.unsound(format!("{}: not ready: {broken}", host.name)))
        .ok()
}

/// Connects to the first address that can be connected to.
async fn connected<F: FnMut(Step)>(host: &Host, account: &mut Account<F>) -> Option<TcpStream> {
    let name = &host.name;
    let addresses = match timeout(PROBE_ADDRESS_TIMEOUT, host.addresses()).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            account.unsound(format!("{name}: its addresses are not known: {error}"));
            return None;
        }
        Err(_) => {
            account.unsound(format!("{name}: its addresses were not told in time"));
            return None;
        }
    };
    for address in addresses {
        match dialled(address).await {
            Ok(stream) => {
                let words = format!("{name}: connected to {address}");
                account.step(words, true, Some(address));
                return Some(stream);
            }
            Err(why) => {
                let words = format!("{name}: no connection to {address}: {why}");
                account.step(words, false, Some(address));
            }
        }
    }
    None
}

async fn dialled(address: SocketAddr) -> Result<TcpStream, String> {
    let patience = PROBE_TIMEOUTS.connect;
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {patience:?}")),
    }
}

/// Goes on until the session is ready.
async fn greeted<F: FnMut(Step)>(
    mut connection: Connection,
    terms: Terms<'_>,
    protection: &Protection,
    account: &mut Account<F>,
) -> Result<Connection, Broken> {
    let name = connection.host.clone();
    let mut has_told_hello = false;
    loop {
        match connection.session.poll() {
            Output::Read(awaiting) => {
                let carried = connection.carry(awaiting).await;
                carried.map_err(|broken| connection.of_handshake(broken))?;
                let session = &connection.session;
                if let (Awaiting::Greeting, Some(greeting)) = (awaiting, session.greeting()) {
                    account.sound(format!("{name}: greets: {greeting}"));
                } else if let (false, Some(hello)) = (has_told_hello, session.hello()) {
                    account.sound(format!("{name}: {}", offers(hello)));
                    has_told_hello = true;
                }
            }
            Output::StartTls => {
                account.sound(format!("{name}: is ready for TLS"));
                connection = connection.secure(terms, protection).await?;
                account.sound(format!("{name}: TLS runs"));
                has_told_hello = false;
            }
            Output::Ready => {
                account.sound(format!("{name}: {}", connection.protection()));
                return Ok(connection);
            }
            Output::Closed(Some(failure)) => return Err(connection.of_handshake(failure.into())),
            _ => return Err(Broken::Ended),
        }
    }
}

fn offers(hello: &Reply) -> String {
    match hello.lines.get(1..) {
        Some(offered) if !offered.is_empty() => format!("offers {}", offered.join(", ")),
        _ => "offers no extensions".to_owned(),
    }
}
