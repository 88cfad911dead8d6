//! A name server whose root zone is signed, but for what lies below `unsigned.test`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use hickory_proto::dnssec::crypto::EcdsaSigningKey;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG, SigInput};
use hickory_proto::dnssec::{Algorithm, DnssecSigner, SigningKey as _, TBS, TrustAnchors};
use hickory_proto::op::{Message, OpCode};
use hickory_proto::rr::{
    DNSClass, Name, RData, Record, RecordType, SerialNumber,
    rdata::{self, tlsa},
};

use super::*;

/// Seconds that an answer, and a signature, is good for.
const TTL: u32 = 60;

/// Where the signatures end.
const UNSIGNED: &str = "unsigned.test";

/// How an answer is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// Its signature is of something else.
    Signature,
    /// It says that there is nothing, and proves nothing.
    Absence,
}

#[derive(Default)]
struct Zone {
    records: BTreeMap<(String, RecordType), Vec<RData>>,
    forged: BTreeMap<(String, RecordType), Forgery>,
    asked: Vec<String>,
    is_over: bool,
}

/// The name server. It ends when it is dropped.
pub(crate) struct SignedServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    anchors: Anchors,
    thread: Option<JoinHandle<()>>,
}

impl SignedServer {
    pub(crate) fn start() -> Self {
        let algorithm = Algorithm::ECDSAP256SHA256;
        let key = EcdsaSigningKey::generate_pkcs8(algorithm).unwrap();
        let key = EcdsaSigningKey::from_pkcs8(&key, algorithm).unwrap();
        let public = key.to_public_key().unwrap();
        let mut anchors = TrustAnchors::empty();
        anchors.insert(&public);
        let dnskey = DNSKEY::from_key(&public);
        let life = Duration::from_secs(u64::from(TTL));
        let signer = DnssecSigner::new(dnskey.clone(), Box::new(key), Name::root(), life);
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let dnskey = RData::DNSSEC(DNSSECRData::DNSKEY(dnskey));
        let root = (String::new(), RecordType::DNSKEY);
        zone.lock().unwrap().records.insert(root, vec![dnskey]);
        // Where a zone begins, and that there is no key for it, is how it is proven not to be signed.
        let cut = (UNSIGNED.to_owned(), RecordType::NS);
        let server = RData::NS(rdata::NS(named("ns.test")));
        zone.lock().unwrap().records.insert(cut, vec![server]);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let served = Arc::clone(&zone);
        Self {
            address,
            zone,
            anchors: Anchors(Arc::new(anchors)),
            thread: Some(thread::spawn(move || serve(&socket, &served, &signer))),
        }
    }

    /// A resolver that trusts the zone's key and has heard of the server.
    pub(crate) async fn asked_by(&self) -> Arc<Dns> {
        let metrics = Metrics::register(&mut Registry::default());
        let servers = Servers::Listed(vec![self.address]);
        let dns = Dns::new(servers, self.anchors.clone(), metrics);
        let dns = Arc::new(dns);
        tokio::spawn(Arc::clone(&dns).run(CancellationToken::new()));
        dns.wanted();
        until("the name server answers", || dns.is_answering()).await;
        dns
    }

    pub(crate) fn address_of(&self, name: &str) {
        let address = RData::A(rdata::A(Ipv4Addr::LOCALHOST));
        self.tell(name, vec![address]);
    }

    pub(crate) fn alias(&self, name: &str, target: &str) {
        self.tell(name, vec![RData::CNAME(rdata::CNAME(named(target)))]);
    }

    pub(crate) fn exchange(&self, domain: &str, host: &str) {
        self.tell(domain, vec![RData::MX(rdata::MX::new(10, named(host)))]);
    }

    /// Says which certificates the mail server of that name and port has.
    pub(crate) fn certify(&self, name: &str, port: u16, records: &[(u8, u8, u8, Vec<u8>)]) {
        let record = |(usage, selector, matching, data): &(u8, u8, u8, Vec<u8>)| {
            let (usage, selector) = (
                tlsa::CertUsage::from(*usage),
                tlsa::Selector::from(*selector),
            );
            RData::TLSA(rdata::TLSA::new(
                usage,
                selector,
                tlsa::Matching::from(*matching),
                data.clone(),
            ))
        };
        let records = records.iter().map(record).collect();
        self.tell(&format!("_{port}._tcp.{name}"), records);
    }

    pub(crate) fn forge(&self, name: &str, kind: RecordType, forgery: Forgery) {
        let mut zone = self.zone.lock().unwrap();
        zone.forged.insert((name.to_owned(), kind), forgery);
    }

    pub(crate) fn was_asked(&self, kind: RecordType) -> bool {
        let kind = format!(" {kind}");
        let zone = self.zone.lock().unwrap();
        zone.asked.iter().any(|asked| asked.ends_with(&kind))
    }

    fn tell(&self, name: &str, records: Vec<RData>) {
        let kind = records[0].record_type();
        let mut zone = self.zone.lock().unwrap();
        zone.records.insert((name.to_owned(), kind), records);
    }
}

impl Drop for SignedServer {
    fn drop(&mut self) {
        self.zone.lock().unwrap().is_over = true;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.send_to(b"", self.address).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn named(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>, signer: &DnssecSigner) {
    let mut octets = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut octets).unwrap();
        let mut zone = zone.lock().unwrap();
        if zone.is_over {
            return;
        }
        if let Ok(question) = Message::from_vec(&octets[..length]) {
            let answer = answer(&mut zone, &question, signer);
            socket.send_to(&answer.to_vec().unwrap(), client).unwrap();
        }
    }
}

fn answer(zone: &mut Zone, question: &Message, signer: &DnssecSigner) -> Message {
    let query = &question.queries[0];
    let (mut owner, kind) = (query.name().to_lowercase(), query.query_type());
    zone.asked.push(format!("{} {kind}", answer::text(&owner)));
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    if let Some(edns) = &question.edns {
        message.set_edns(edns.clone());
    }
    loop {
        let text = answer::text(&owner);
        let is_signed = !text.ends_with(&format!(".{UNSIGNED}"))
            && (text != UNSIGNED || kind == RecordType::DS);
        let forgery = zone.forged.get(&(text.clone(), kind)).copied();
        let found = [kind, RecordType::CNAME]
            .into_iter()
            .find_map(|kind| zone.records.get(&(text.clone(), kind)));
        let Some(records) = found.filter(|_| forgery != Some(Forgery::Absence)) else {
            if is_signed && forgery.is_none() {
                for data in [soa(), absence(zone, &owner)] {
                    let at = if data.record_type() == RecordType::SOA {
                        Name::root()
                    } else {
                        owner.clone()
                    };
                    for record in signed(&at, &[data], signer, None) {
                        message.add_authority(record);
                    }
                }
            }
            return message;
        };
        let all = if is_signed {
            signed(&owner, records, signer, forgery)
        } else {
            plain(&owner, records)
        };
        for record in all {
            message.add_answer(record);
        }
        match &records[0] {
            RData::CNAME(target) if kind != RecordType::CNAME => owner = target.0.clone(),
            _ => return message,
        }
    }
}

fn plain(owner: &Name, records: &[RData]) -> Vec<Record> {
    let records = records.iter().cloned();
    records
        .map(|data| Record::from_rdata(owner.clone(), TTL, data))
        .collect()
}

/// Records of one kind, with their signature.
fn signed(
    owner: &Name,
    records: &[RData],
    signer: &DnssecSigner,
    forgery: Option<Forgery>,
) -> Vec<Record> {
    let mut all = plain(owner, records);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let now = u32::try_from(now).unwrap();
    let input = SigInput {
        type_covered: records[0].record_type(),
        algorithm: signer.key().algorithm(),
        num_labels: owner.num_labels(),
        original_ttl: TTL,
        sig_expiration: SerialNumber::new(now + 3600),
        sig_inception: SerialNumber::new(now - 3600),
        key_tag: signer.calculate_key_tag().unwrap(),
        signer_name: Name::root(),
    };
    let octets = TBS::from_input(owner, DNSClass::IN, &input, all.iter()).unwrap();
    let mut signature = signer.sign(&octets).unwrap();
    if forgery == Some(Forgery::Signature) {
        signature[0] ^= 1;
    }
    let signature = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature)));
    all.push(Record::from_rdata(owner.clone(), TTL, signature));
    all
}

fn soa() -> RData {
    let name = named("ns.test");
    RData::SOA(rdata::SOA::new(name.clone(), name, 1, 60, 60, 60, 0))
}

/// The proof that a name has nothing of another kind than it has.
fn absence(zone: &Zone, owner: &Name) -> RData {
    let text = answer::text(owner);
    let kinds = zone.records.keys().filter(|(name, _)| *name == text);
    let kinds: Vec<RecordType> = kinds.map(|(_, kind)| *kind).collect();
    let next = Name::from_ascii("a").unwrap().append_domain(owner).unwrap();
    RData::DNSSEC(DNSSECRData::NSEC(NSEC::new_cover_self(next, kinds)))
}

#[tokio::test]
async fn what_is_signed_is_told_from_what_is_not_and_from_what_is_forged() {
    let server = SignedServer::start();
    for name in [
        "mail.test",
        "mail.unsigned.test",
        "forged.test",
        "gone.test",
    ] {
        server.address_of(name);
    }
    server.alias("alias.test", "mail.test");
    server.alias("half.test", "mail.unsigned.test");
    server.forge("forged.test", RecordType::A, Forgery::Signature);
    server.forge("gone.test", RecordType::A, Forgery::Absence);
    let dns = server.asked_by().await;
    for (name, is_secure) in [
        ("mail.test", true),
        ("alias.test", true),
        ("half.test", false),
        ("mail.unsigned.test", false),
    ] {
        let found = dns.validated_ipv4(name).await.unwrap();
        let expected = Validated {
            records: vec![Ipv4Addr::LOCALHOST],
            is_secure,
        };
        assert_eq!(found, expected, "{name}");
    }
    let found = dns.validated_alias("alias.test").await.unwrap();
    assert_eq!(
        (found.records, found.is_secure),
        (vec!["mail.test".to_owned()], true)
    );
    let found = dns.validated_alias("mail.test").await.unwrap();
    assert_eq!((found.records, found.is_secure), (Vec::new(), false));
    for name in ["none.test", "none.unsigned.test"] {
        let found = dns.validated_ipv4(name).await.unwrap();
        assert!(found.records.is_empty() && !found.is_secure, "{name}");
    }
    for name in ["forged.test", "gone.test"] {
        let failed = dns.validated_ipv4(name).await.unwrap_err();
        assert!(matches!(failed, LookupError::Failed(_)), "{name}: {failed}");
    }
}
