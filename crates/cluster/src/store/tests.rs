mod anew;
mod audit;
mod damage;
mod digests;
mod history;
mod mending;
mod notices;
mod policies;
mod reading;
mod recipients;
mod redo;
mod room;
mod segments;
mod snapshots;
mod torn;
mod visitors;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use openraft::{
    RaftLogReader as _, StorageError,
    entry::{RaftEntry as _, RaftPayload as _},
    storage::{IOFlushed, RaftLogStorage as _},
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt as _,
};
use prometheus_client::registry::Registry;
use smtp::{BodyType, ForwardPath, Mailbox, ReversePath, dsn::PerMessage};
use spool::{
    Accept, Attempt, Claims, Client, Command, Digest, Fingerprint, MessageId, Outcome, Place,
    Report, Stage, Timestamp, Verdict, Visitor, Visits,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::{
    Checkpoints, LogStore, LogWriter, Lost, Machine, Store, Tables, machine,
    rows::{decode_place, encode_place},
};
use crate::{
    metrics::Metrics,
    raft::{Entry, LogId, Member, Membership, Payload, Proposal, Types},
    rebuilding::Rebuilding,
};

/// Opens a store in a directory of its own, as a node does.
struct Builder;

impl StoreBuilder<Types, LogStore, Machine, (LogWriter, TempDir)> for Builder {
    async fn build(
        &self,
    ) -> Result<((LogWriter, TempDir), LogStore, Machine), StorageError<Types>> {
        let opened = Opened::new();
        let machine = opened.machine();
        let guard = (opened.writer, opened.dir);
        Ok((guard, opened.log, machine))
    }
}

#[test]
fn log_and_state_machine_pass_the_suite_of_openraft() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}

/// A node's store.
struct Opened {
    tables: Arc<Tables>,
    log: LogStore,
    writer: LogWriter,
    rebuilding: Rebuilding,
    lost: mpsc::Receiver<Lost>,
    dir: TempDir,
}

impl Opened {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(dir: TempDir) -> Self {
        let metrics = Arc::new(Metrics::register(&mut Registry::default()));
        let store = Arc::new(Store::open(dir.path(), metrics).unwrap());
        let tables = Arc::new(Tables::open(Arc::clone(&store)).unwrap());
        let opened = LogStore::open(store).unwrap();
        Self {
            tables,
            log: opened.log,
            writer: opened.writer,
            rebuilding: opened.rebuilding,
            lost: opened.lost,
            dir,
        }
    }

    fn machine(&self) -> Machine {
        let checkpoints = Checkpoints::of(Arc::clone(&self.tables));
        Machine::new(
            Arc::clone(&self.tables),
            self.log.clone(),
            Arc::new(checkpoints),
            u64::MAX,
        )
    }

    /// Ends everything that has the files open.
    fn closed(self) -> TempDir {
        drop((self.tables, self.log, self.writer));
        self.dir
    }

    /// Closes everything and opens it again, as a restart does.
    fn reopened(self) -> Self {
        Self::at(self.closed())
    }

    /// Writes entries to the log and waits for the fsync.
    async fn append(&mut self, entries: Vec<Entry>) {
        let (done, flushed) = Types::oneshot();
        self.log
            .append(entries, IOFlushed::signal(done))
            .await
            .unwrap();
        flushed.await.unwrap().unwrap();
    }

    /// Appends and applies.
    async fn commit(&mut self, entries: Vec<Entry>) {
        self.append(entries.clone()).await;
        machine::apply_entries(&self.tables, entries).unwrap();
    }

    async fn read(&mut self, start: u64, end: u64) -> Vec<Entry> {
        self.log.try_get_log_entries(start..end).await.unwrap()
    }

    /// Everything in the spool's tables, by sequence.
    fn messages(&self) -> Vec<spool::Message> {
        self.tables.messages(0, usize::MAX).unwrap()
    }
}

fn log_id(index: u64) -> LogId {
    LogId::new(1.into(), index)
}

fn entry(index: u64, command: Command) -> Entry {
    Entry::new(log_id(index), Payload::normal(Proposal(command)))
}

fn stage(id: u128, number: u32, piece: &'static [u8]) -> Command {
    let piece = Bytes::from_static(piece);
    Command::Stage(Stage {
        id: MessageId(id),
        number,
        at: Timestamp(1),
        piece,
    })
}

fn accept(id: u128, staged: u32, size: u64, tail: &'static [u8]) -> Command {
    let mailbox = Mailbox {
        local_part: "user".to_owned(),
        domain: "example.com".to_owned(),
    };
    Command::Accept(Box::new(Accept {
        id: MessageId(id),
        received_at: Timestamp(2),
        reverse_path: ReversePath::Null,
        body_type: BodyType::EightBitMime,
        smtputf8: false,
        dsn: PerMessage::default(),
        recipients: vec![(
            ForwardPath::Mailbox(mailbox).into(),
            "example.com".to_owned(),
        )],
        staged,
        tail: Bytes::from_static(tail),
        size,
        digest: Digest([7; 32]),
        trace: Bytes::from_static(b"Received: from test\r\n"),
        authentication: None,
        client: Client {
            address: "[::1]:25".parse().unwrap(),
            helo: "test".to_owned(),
            tls: None,
        },
        fingerprint: Some(Fingerprint(id % 10)),
        confirmed: vec![MessageId(u128::MAX - id)],
    }))
}

fn claims(term: u64, sequences: &[u64]) -> Claims {
    Claims {
        term,
        domain: "example.com".to_owned(),
        sequences: sequences.to_vec(),
    }
}

fn visits(at: u64, visitors: &[u128]) -> Command {
    Command::Visits(Visits {
        at: Timestamp(at),
        visitors: visitors.iter().copied().map(Visitor).collect(),
    })
}

fn delivered(id: u128) -> Command {
    report(id, Verdict::Delivered("250 ok".to_owned()))
}

fn report(id: u128, verdict: Verdict) -> Command {
    let verdicts = vec![(0, verdict)];
    let attempts = vec![Attempt {
        id: MessageId(id),
        host: "mail.example.com:25".to_owned(),
        verdicts,
    }];
    Command::Report(Report {
        term: 1,
        at: Timestamp(3),
        attempts,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_back_whole_after_the_store_was_closed() {
    let mut opened = Opened::new();
    let entries = vec![
        Entry::new_blank(log_id(1)),
        entry(2, stage(9, 0, b"first ")),
        entry(3, accept(9, 1, 10, b"last")),
        entry(
            4,
            Command::Confirm {
                ids: vec![MessageId(9), MessageId(u128::MAX)],
            },
        ),
        entry(5, visits(7, &[0, u128::MAX])),
    ];
    opened.append(entries.clone()).await;
    assert_eq!(opened.reopened().read(1, 6).await, entries);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_is_noticed_and_one_that_was_cut_off_by_raft_is_not() {
    let mut opened = Opened::new();
    assert!(!opened.rebuilding.is_loss(), "it is new");
    opened.rebuilding.end().unwrap();
    let blanks = |indices: std::ops::Range<u64>| -> Vec<Entry> {
        indices.map(|i| Entry::new_blank(log_id(i))).collect()
    };
    opened.append(blanks(1..5)).await;
    opened.log.truncate_after(Some(log_id(3))).await.unwrap();
    let mut opened = opened.reopened();
    assert!(!opened.rebuilding.is_loss());
    opened.append(blanks(4..8)).await;

    let dir = opened.closed();
    // Of the write-ahead log what notes the proper end, too.
    for (ending, lost) in [("log", 100), ("piece", 10)] {
        let files = std::fs::read_dir(dir.path().join("db")).unwrap().flatten();
        let files = files.map(|file| file.path());
        let mut files: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|it| it == ending))
            .collect();
        files.sort();
        let last = files.last().unwrap();
        let octets = std::fs::read(last).unwrap();
        std::fs::write(last, &octets[..octets.len() - lost]).unwrap();
    }
    let mut opened = Opened::at(dir);
    let reason = opened.rebuilding.reason().unwrap();
    assert!(reason.contains("entry 7 had been acknowledged"), "{reason}");
    // It stays known through a restart, whatever is written meanwhile.
    opened.append(blanks(4..5)).await;
    assert!(opened.reopened().rebuilding.is_loss());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_message_keeps_its_pieces_until_the_log_is_purged_past_them() {
    let mut opened = Opened::new();
    opened
        .commit(vec![
            entry(1, stage(9, 0, b"first ")),
            entry(2, accept(9, 1, 10, b"last")),
            entry(3, accept(8, 0, 5, b"other")),
            entry(4, delivered(9)),
        ])
        .await;
    assert_eq!(opened.messages().len(), 1);
    assert_eq!(
        opened.tables.piece(1).unwrap().as_deref(),
        Some(&b"first "[..])
    );
    opened.log.purge(log_id(1)).await.unwrap();
    assert_eq!(opened.tables.piece(1).unwrap(), None);
    assert_eq!(
        opened.tables.piece(2).unwrap().as_deref(),
        Some(&b"last"[..])
    );
    opened.log.purge(log_id(4)).await.unwrap();
    assert_eq!(opened.tables.piece(2).unwrap(), None);
    assert_eq!(
        opened.tables.piece(3).unwrap().as_deref(),
        Some(&b"other"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cutting_off_a_repeated_proposal_leaves_the_body_of_the_first() {
    let mut opened = Opened::new();
    let first = entry(1, accept(9, 0, 4, b"body"));
    opened
        .append(vec![first.clone(), entry(2, accept(9, 0, 4, b"body"))])
        .await;
    opened.log.truncate_after(Some(log_id(1))).await.unwrap();
    assert_eq!(opened.read(0, 9).await, vec![first]);
    assert_eq!(
        opened.tables.piece(1).unwrap().as_deref(),
        Some(&b"body"[..])
    );
    assert_eq!(opened.tables.piece(2).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_batch_and_many_come_to_the_same_state() {
    let commands = || {
        vec![
            stage(9, 0, b"first "),
            accept(9, 1, 10, b"last"),
            accept(8, 0, 5, b"other"),
            accept(8, 0, 5, b"other"),
            Command::Claim(claims(1, &[2, 3, 4])),
            Command::Claim(claims(2, &[3])),
            Command::Release(claims(1, &[3])),
            delivered(9),
            accept(19, 0, 4, b"late"),
            Command::Confirm {
                ids: vec![MessageId(8)],
            },
            accept(18, 0, 5, b"other"),
            visits(1, &[1, 2, 3]),
            visits(100_000, &[2, 3]),
            visits(9_999_900_000, &[3, 4]),
            visits(9_999_990_000, &[4, 5]),
            Command::Sweep {
                at: Timestamp(10_000_000_000),
            },
            accept(7, 0, 0, b""),
        ]
    };
    let entries = || -> Vec<Entry> {
        (1..)
            .zip(commands())
            .map(|(index, command)| entry(index, command))
            .collect()
    };
    let (mut whole, mut single) = (Opened::new(), Opened::new());
    whole.commit(entries()).await;
    for entry in entries() {
        single.commit(vec![entry]).await;
    }
    assert_eq!(whole.messages(), single.messages());
    assert_eq!(whole.tables.dump(), single.tables.dump());
    assert_eq!(whole.tables.known(MessageId(9)).unwrap(), None);
}

/// Whether a message is taken for another one that came before.
fn is_repeat(opened: &Opened, index: u64, id: u128) -> bool {
    let applied = machine::apply_entries(&opened.tables, vec![entry(index, accept(id, 0, 0, b""))]);
    matches!(applied.unwrap()[0].0, Some(Outcome::Repeated(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_are_read_from_either_end() {
    let mut opened = Opened::new();
    let bodies: [&'static [u8]; 5] = [b"a", b"ab", b"abc", b"abcd", b"abcde"];
    let entries = (1..).zip(bodies).map(|(index, body)| {
        let accepted = accept(u128::from(index), 0, index, body);
        entry(index, accepted)
    });
    opened.commit(entries.collect()).await;
    let places = |messages: std::io::Result<Vec<spool::Message>>| -> Vec<u64> {
        let messages = messages.unwrap().into_iter();
        messages.map(|message| message.sequence).collect()
    };
    let tables = &opened.tables;
    assert_eq!(places(tables.messages(0, 3)), [1, 2, 3]);
    assert_eq!(places(tables.messages(3, 3)), [4, 5]);
    assert_eq!(places(tables.messages_before(u64::MAX, 3)), [5, 4, 3]);
    assert_eq!(places(tables.messages_before(3, 3)), [2, 1]);
    assert!(places(tables.messages_before(1, 3)).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_may_come_again_are_known_after_a_restart_and_from_a_snapshot() {
    let (mut opened, to) = (Opened::new(), Opened::new());
    let confirm = |id| Command::Confirm {
        ids: vec![MessageId(id)],
    };
    let entries = (1..9).map(|id| entry(id, accept(u128::from(id), 0, 4, b"body")));
    opened.commit(entries.collect()).await;
    opened.commit(vec![entry(9, confirm(8))]).await;
    assert_eq!(opened.tables.figures().unconfirmed, 7);

    snapshots::install(&to, snapshots::snapshot_of(&opened).await).await;
    for opened in [to, opened.reopened()] {
        assert_eq!(opened.tables.figures().unconfirmed, 7);
        assert!(is_repeat(&opened, 10, 17));
        assert!(!is_repeat(&opened, 11, 18));
        assert!(is_repeat(&opened, 12, 28));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_stands_in_the_queue_until_its_message_moves() {
    let mut opened = Opened::new();
    opened
        .commit(vec![
            entry(1, accept(9, 0, 4, b"body")),
            entry(2, accept(8, 0, 5, b"other")),
            entry(3, Command::Claim(claims(7, &[1]))),
        ])
        .await;
    let claimants = |tables: &Tables| -> Vec<_> {
        let waiting = tables.waiting("example.com", 0, 10).unwrap();
        let claimants = waiting.into_iter();
        claimants
            .map(|(message, place)| (message.sequence, place.claimed_by))
            .collect()
    };
    assert_eq!(claimants(&opened.tables), [(1, Some(7)), (2, None)]);

    let later = report(9, Verdict::Deferred("451 later".to_owned()));
    opened.commit(vec![entry(4, later)]).await;
    assert_eq!(claimants(&opened.tables), [(2, None)]);
    let claim = Command::Claim(claims(7, &[1, 2]));
    opened.commit(vec![entry(5, claim)]).await;
    let deferred = opened
        .tables
        .deferred("example.com", None, Timestamp(u64::MAX), 10)
        .unwrap();
    let claimants: Vec<_> = deferred
        .iter()
        .map(|(_, _, place)| place.claimed_by)
        .collect();
    assert_eq!(claimants, [Some(7)]);
}

#[test]
fn a_place_that_was_written_before_there_were_claims_is_unclaimed() {
    let due = Timestamp(1234);
    let place = decode_place(&due.0.to_be_bytes()).unwrap();
    assert_eq!(
        place,
        Place {
            due,
            claimed_by: None
        }
    );
    assert_eq!(encode_place(place), due.0.to_be_bytes());
}

fn members(index: u64, ids: &[u64]) -> Entry {
    let member = |id: &u64| {
        let address = format!("mx{id}:7400");
        (*id, Member { address })
    };
    let nodes: BTreeMap<u64, Member> = ids.iter().map(member).collect();
    let voters = BTreeSet::from([ids[0]]);
    let membership = Membership::new(vec![voters], nodes).unwrap();
    Entry::new(log_id(index), Payload::membership(membership))
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_the_members_is_retired_for_ever() {
    let mut opened = Opened::new();
    // Two changes in one batch, and one in the next.
    opened
        .commit(vec![members(1, &[1, 2, 3]), members(2, &[1, 2, 4])])
        .await;
    opened
        .commit(vec![Entry::new_blank(log_id(3)), members(4, &[2, 4])])
        .await;
    let expected = BTreeSet::from([1, 3]);
    assert_eq!(opened.tables.figures().retired, expected);

    let to = Opened::new();
    snapshots::install(&to, snapshots::snapshot_of(&opened).await).await;
    assert_eq!(to.tables.figures().retired, expected);
    assert_eq!(opened.reopened().tables.figures().retired, expected);
}
