//! A name server that says what a test tells it to, over UDP and TCP.
//!
//! It answers as a resolver does that asks the whole world: what an alias leads to is part of the answer.
//! Nothing it says is to be kept, so that a test may change its mind at any time.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};

/// Aliases that are followed.
const ALIASES_MAX: usize = 8;

/// Octets of one string of a TXT record at most.
const STRING_MAX: usize = 255;

/// A client that says nothing for so long has forgotten its connection.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// One record of a name.
#[derive(Clone, Debug)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A host for mail, with its preference.
    Mx(u16, &'static str),
    /// A text of any length.
    Txt(String),
    /// The name of an address.
    Ptr(&'static str),
    /// The name is another's alias.
    Cname(&'static str),
}

impl Data {
    fn record(&self) -> RData {
        match self {
            Self::A(address) => RData::A(rdata::A(*address)),
            Self::Aaaa(address) => RData::AAAA(rdata::AAAA(*address)),
            Self::Mx(preference, host) => RData::MX(rdata::MX::new(*preference, name(host))),
            Self::Txt(text) => RData::TXT(rdata::TXT::from_bytes(
                text.as_bytes().chunks(STRING_MAX).collect(),
            )),
            Self::Ptr(host) => RData::PTR(rdata::PTR(name(host))),
            Self::Cname(host) => RData::CNAME(rdata::CNAME(name(host))),
        }
    }
}

/// What is said of a name.
#[derive(Clone, Debug)]
enum Entry {
    Records(Vec<Data>),
    Failure,
    Silence,
}

#[derive(Debug, Default)]
struct Zone {
    /// By name in lower case, without the dot at its end. There are no others.
    entries: BTreeMap<String, Entry>,
    /// Nobody gets any answer.
    is_silent: bool,
    /// Every question that came, its type behind the name.
    asked: Vec<String>,
    is_over: bool,
}

/// The name server. It ends when it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    threads: Vec<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one on a free port of 127.0.0.1. It knows no name.
    ///
    /// # Panics
    /// When there is no such port.
    #[must_use]
    pub fn start() -> Self {
        let (udp, tcp) = (0..100)
            .find_map(|_| sockets().ok())
            .expect("a port is free for UDP and TCP");
        let address = udp.local_addr().expect("it is bound");
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let (over_udp, over_tcp) = (Arc::clone(&zone), Arc::clone(&zone));
        let threads = vec![
            thread::spawn(move || serve_udp(&udp, &over_udp)),
            thread::spawn(move || serve_tcp(&tcp, &over_tcp)),
        ];
        Self {
            address,
            zone,
            threads,
        }
    }

    /// Where it is asked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the name has these records and no others; without any, it exists and has none.
    pub fn tell(&self, name: &str, records: &[Data]) {
        self.enter(name, Entry::Records(records.to_vec()));
    }

    /// From now on there is no such name.
    pub fn forget(&self, name: &str) {
        lock(&self.zone).entries.remove(name);
    }

    /// From now on questions for the name are answered SERVFAIL.
    pub fn fail(&self, name: &str) {
        self.enter(name, Entry::Failure);
    }

    /// From now on questions for the name are not answered.
    pub fn ignore(&self, name: &str) {
        self.enter(name, Entry::Silence);
    }

    /// Answers nobody while this is true.
    pub fn be_silent(&self, is_silent: bool) {
        lock(&self.zone).is_silent = is_silent;
    }

    /// Every question that came so far, as `example.com MX`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.zone).asked.clone()
    }

    fn enter(&self, name: &str, entry: Entry) {
        let name = name.to_ascii_lowercase();
        lock(&self.zone).entries.insert(name, entry);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        lock(&self.zone).is_over = true;
        // Both threads are woken, and see it.
        drop(TcpStream::connect(self.address));
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            drop(socket.send_to(b"", self.address));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("tests use names that there can be");
    name.set_fqdn(true);
    name
}

/// Both on the same port.
fn sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let udp = UdpSocket::bind(tcp.local_addr()?)?;
    Ok((udp, tcp))
}

fn serve_udp(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut question = [0; 4096];
    loop {
        let Ok((octets, client)) = socket.recv_from(&mut question) else {
            continue;
        };
        if lock(zone).is_over {
            return;
        }
        let Some(question) = question.get(..octets).and_then(parsed) else {
            continue;
        };
        let Some(answer) = answer(zone, &question) else {
            continue;
        };
        let octets = written(&answer);
        let fits = octets.len() <= usize::from(question.max_payload());
        let octets = if fits {
            octets
        } else {
            written(&answer.truncate())
        };
        drop(socket.send_to(&octets, client));
    }
}

fn serve_tcp(listener: &TcpListener, zone: &Arc<Mutex<Zone>>) {
    for client in listener.incoming() {
        if lock(zone).is_over {
            return;
        }
        let zone = Arc::clone(zone);
        if let Ok(client) = client {
            thread::spawn(move || drop(converse(client, &zone)));
        }
    }
}

/// Each message has its length in front (RFC 1035 section 4.2.2).
fn converse(mut client: TcpStream, zone: &Mutex<Zone>) -> io::Result<()> {
    client.set_read_timeout(Some(IDLE_MAX))?;
    loop {
        let mut length = [0; 2];
        client.read_exact(&mut length)?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        client.read_exact(&mut question)?;
        let answer = parsed(&question).and_then(|question| answer(zone, &question));
        let Some(answer) = answer else {
            continue;
        };
        let octets = written(&answer);
        let length = u16::try_from(octets.len()).expect("tests tell no more than fits");
        client.write_all(&length.to_be_bytes())?;
        client.write_all(&octets)?;
    }
}

fn parsed(octets: &[u8]) -> Option<Message> {
    Message::from_vec(octets).ok()
}

fn written(message: &Message) -> Vec<u8> {
    message.to_vec().expect("it was made here")
}

/// `None` when there is to be none.
fn answer(zone: &Mutex<Zone>, question: &Message) -> Option<Message> {
    let query = question.queries.first()?;
    let mut zone = lock(zone);
    let asked = text(query.name());
    zone.asked.push(format!("{asked} {}", query.query_type()));
    if zone.is_silent {
        return None;
    }
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    if let Some(edns) = &question.edns {
        answer.set_edns(edns.clone());
    }
    let mut owner = query.name().clone();
    for _ in 0..ALIASES_MAX {
        let records = match zone.entries.get(&text(&owner)) {
            Some(Entry::Records(records)) => records,
            Some(Entry::Silence) => return None,
            Some(Entry::Failure) => {
                answer.metadata.response_code = ResponseCode::ServFail;
                break;
            }
            // The root is always there.
            None if owner.is_root() => break,
            None => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            }
        };
        let mut alias = None;
        for data in records {
            let data = data.record();
            let kind = data.record_type();
            if let RData::CNAME(target) = &data {
                alias = Some(target.0.clone());
            }
            if kind == query.query_type() || kind == RecordType::CNAME {
                answer.add_answer(Record::from_rdata(owner.clone(), 0, data));
            }
        }
        match alias {
            Some(target) => owner = target,
            None => break,
        }
    }
    Some(answer)
}

fn text(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
