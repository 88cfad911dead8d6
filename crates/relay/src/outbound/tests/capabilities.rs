//! What a primary offers: remembered, and kept to.

use smtp::BodyType;
use spool::{KnownOffers, Message, Offers};

use super::*;
use crate::outbound::limits::SHORTFALL_GRACE;

fn told(outbox: &MapOutbox) -> Vec<Offers> {
    outbox.state.lock().unwrap().offers.clone()
}

#[tokio::test]
async fn what_a_primary_offers_is_recorded_once() {
    let script = offering("250-primary.test\r\n250-SIZE 1000000\r\n250-SMTPUTF8\r\n250 DSN");
    let (primary, outbox) = setup(script, NEVER).await;
    for _ in 0..2 {
        outbox.queue(&["a"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
    }
    assert_eq!(primary.log.lock().unwrap().connections, 2);
    let expected = Offers {
        size_max: Some(1_000_000),
        smtputf8: true,
        dsn: true,
        ..Offers::default()
    };
    assert_eq!(
        told(&outbox),
        [expected],
        "the second contact told nothing new"
    );
}

#[tokio::test]
async fn a_probe_learns_before_anything_is_sent() {
    let (primary, outbox) = setup(offering("250-primary.test\r\n250 SIZE 1000"), NEVER).await;
    outbox.set_down("told by another leader");
    let running = Running::start(&outbox);
    until("up", || {
        outbox.state.lock().unwrap().observations == [Reachability::Up]
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(told(&outbox).len(), 1);
    assert_eq!(told(&outbox)[0].size_max, Some(1000));
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn an_idle_primary_is_asked_now_and_then_and_is_not_down_when_it_does_not_answer_once() {
    let asked = AtomicUsize::new(0);
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Greeting if asked.fetch_add(1, Ordering::SeqCst) == 1 => Act::Close,
        Moment::Ehlo if asked.load(Ordering::SeqCst) == 1 => {
            Act::Say("250-primary.test\r\n250 SIZE 1000")
        }
        Moment::Ehlo => Act::Say("250-primary.test\r\n250 SIZE 2000"),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    let often = Timeouts {
        refresh: Duration::from_millis(60),
        ..PATIENT
    };
    let running = Running::start_with(&outbox, often);
    until("asked again", || told(&outbox).len() == 2).await;
    running.stop().await.unwrap();
    let sizes: Vec<Option<u64>> = told(&outbox).iter().map(|told| told.size_max).collect();
    assert_eq!(sizes, [Some(1000), Some(2000)]);
    assert!(outbox.state.lock().unwrap().observations.is_empty());
    assert!(primary.taken().is_empty());
}

#[tokio::test]
async fn a_server_that_knows_helo_only_tells_nothing() {
    let (primary, outbox) = setup(offering("502 5.5.1 what?"), NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1]);
    assert!(told(&outbox).is_empty());
}

#[tokio::test]
async fn no_transaction_has_more_recipients_than_the_primary_takes() {
    let script = offering("250-primary.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2");
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a", "b", "c", "d", "e"], BODY);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let to: Vec<Vec<String>> = primary.taken().into_iter().map(|taken| taken.to).collect();
    let expected: [&[&str]; 4] = [
        &["a@example.com", "b@example.com"],
        &["c@example.com", "d@example.com"],
        &["e@example.com"],
        &["a@example.com"],
    ];
    assert_eq!(to, expected);
    assert_eq!(
        outbox.state.lock().unwrap().reports[0].attempts[0]
            .verdicts
            .len(),
        5
    );
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn who_is_one_too_many_goes_in_the_next_transaction_at_once() {
    let named = AtomicUsize::new(0);
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Mail => {
            named.store(0, Ordering::SeqCst);
            Act::Usual
        }
        Moment::Rcpt(_) if named.fetch_add(1, Ordering::SeqCst) >= 2 => {
            Act::Say("452 4.5.3 too many recipients")
        }
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a", "b", "c", "d", "e"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let to: Vec<usize> = primary.taken().iter().map(|taken| taken.to.len()).collect();
    assert_eq!(to, [2, 2, 1]);
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn a_connection_carries_no_more_messages_than_the_primary_takes() {
    let script = offering("250-primary.test\r\n250 LIMITS MAILMAX=2 RCPTMAX=1");
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a", "b", "c"], BODY);
    outbox.queue(&["a"], BODY);
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    let taken = primary.taken();
    assert_eq!(taken.len(), 5);
    for connection in 1..=primary.log.lock().unwrap().connections {
        let over = taken.iter().filter(|taken| taken.connection == connection);
        assert!(over.count() <= 2);
    }
    assert_no_deferral(&outbox);
}

#[tokio::test]
async fn who_has_a_message_does_not_get_it_again_when_a_later_transaction_breaks() {
    let offers = "250-primary.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1";
    for (act, reason) in [
        (Act::Close, "connection"),
        (Act::SayAndClose("421 4.3.2 bye"), "421 4.3.2 bye"),
    ] {
        for at_dot in [true, false] {
            let act = act.clone();
            let dots = AtomicUsize::new(0);
            let script: Script = Arc::new(move |_, moment| {
                let here = match moment {
                    Moment::Ehlo => return Act::Say(offers),
                    // The first of the two transactions has ended by then.
                    Moment::Rcpt(to) => !at_dot && to.starts_with("b@"),
                    Moment::Dot(_) if at_dot => dots.fetch_add(1, Ordering::SeqCst) > 0,
                    _ => false,
                };
                if here { act.clone() } else { Act::Usual }
            });
            let (primary, outbox) = setup(script, NEVER).await;
            let sequence = outbox.queue(&["a", "b"], BODY);
            let running = Running::start(&outbox);
            until("reported", || {
                outbox.message(sequence).is_some_and(|m| m.attempts == 1)
            })
            .await;
            running.stop().await.unwrap();
            let message = outbox.message(sequence).unwrap();
            assert!(matches!(
                &message.recipients[0].status,
                Status::Delivered { .. }
            ));
            let second = &message.recipients[1].status;
            assert!(
                matches!(second, Status::Deferred { reason: words, .. } if words.contains(reason)),
                "{second:?}"
            );
            assert_eq!(primary.taken().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_between_transactions_defers_nobody() {
    for act in [Act::Close, Act::SayAndClose("421 4.3.2 one is enough")] {
        let transactions = AtomicUsize::new(0);
        let script: Script = Arc::new(move |_, moment| match moment {
            Moment::Ehlo => Act::Say("250-primary.test\r\n250 LIMITS RCPTMAX=1"),
            Moment::Mail if transactions.fetch_add(1, Ordering::SeqCst) == 1 => act.clone(),
            _ => Act::Usual,
        });
        let (primary, outbox) = setup(script, NEVER).await;
        outbox.queue(&["a", "b"], BODY);
        let running = Running::start(&outbox);
        until("delivered", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_no_deferral(&outbox);
        assert_eq!(primary.log.lock().unwrap().connections, 2);
    }
}

#[tokio::test]
async fn a_stop_between_transactions_keeps_the_verdicts_and_starts_nothing() {
    let script: Script = Arc::new(|_, moment| match moment {
        Moment::Ehlo => Act::Say("250-primary.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1"),
        Moment::Dot(_) => Act::After(Duration::from_millis(300)),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    let sequence = outbox.queue(&["a", "b", "c"], BODY);
    let running = Running::start(&outbox);
    until("the first final dot", || primary.dots() == 1).await;
    running.stop().await.unwrap();
    let message = outbox.message(sequence).unwrap();
    let statuses: Vec<&Status> = message.recipients.iter().map(|it| &it.status).collect();
    assert!(
        matches!(
            statuses[..],
            [
                Status::Delivered { .. },
                Status::Deferred { .. },
                Status::Deferred { .. }
            ]
        ),
        "{statuses:?}"
    );
    assert_eq!(primary.taken().len(), 1);
}

/// A body whose header ends in the first of its two pieces.
const PLAIN: &[u8] = b"Subject: x\r\n\r\nsome text that is longer than the header\r\n";
const UTF8: &[u8] =
    "Subject: \u{e4}\r\n\r\nsome text that is longer than the header\r\n".as_bytes();

fn needs_utf8(message: &mut Message) {
    message.smtputf8 = true;
}

/// What became of a message's recipients: `d`elivered, put off until `l`ater, `r`ejected.
fn fates(outbox: &MapOutbox, sequence: u64) -> String {
    let fate = |status: &Status| match status {
        Status::Pending => '-',
        Status::Delivered { .. } => 'd',
        Status::Deferred { reason, .. } => {
            assert!(reason.starts_with("5.6."), "{reason}");
            'l'
        }
        Status::Rejected { reply, .. } | Status::Returned { reply, .. } => {
            assert!(reply.starts_with("5.6."), "{reply}");
            'r'
        }
    };
    let message = outbox.message(sequence).unwrap();
    message
        .recipients
        .iter()
        .map(|it| fate(&it.status))
        .collect()
}

#[tokio::test]
async fn a_message_that_does_not_need_utf8_goes_without() {
    let (primary, outbox) = setup(offering("250-primary.test\r\n250 PIPELINING"), NEVER).await;
    let plain = outbox.queue_as(&["a"], PLAIN, needs_utf8);
    let mixed = outbox.queue_as(&["b", "\u{f6}", "c"], PLAIN, needs_utf8);
    let header = outbox.queue_as(&["d"], UTF8, needs_utf8);
    let undeclared = outbox.queue(&["e"], UTF8);
    let running = Running::start(&outbox);
    until("the rest is put off", || {
        let state = outbox.state.lock().unwrap();
        let tried = |sequence| {
            state
                .messages
                .get(sequence)
                .is_some_and(|m| m.attempts == 1)
        };
        state.departed.len() == 2 && tried(&mixed) && tried(&header)
    })
    .await;
    running.stop().await.unwrap();
    assert_eq!(fates(&outbox, mixed), "dld");
    assert_eq!(fates(&outbox, header), "l");
    let mut taken = primary.sequences();
    taken.sort_unstable();
    // The two around the one who can not be named have a transaction each.
    assert_eq!(taken, [plain, mixed, mixed, undeclared]);
    for taken in primary.taken() {
        assert!(taken.commands.iter().all(|line| !line.contains("SMTPUTF8")));
    }
}

#[tokio::test]
async fn a_lack_that_has_lasted_rejects() {
    let script = offering("250-primary.test\r\n250 CHUNKING");
    let (primary, outbox) = setup(script, NEVER).await;
    let chunking = Offers {
        chunking: true,
        ..Offers::default()
    };
    outbox.state.lock().unwrap().destination.learned = Some(KnownOffers {
        offers: chunking,
        since: clock().now().before(SHORTFALL_GRACE),
    });
    let utf8 = outbox.queue_as(&["a", "\u{f6}"], PLAIN, needs_utf8);
    let binary = outbox.queue_as(&["b"], PLAIN, |message| {
        message.body_type = BodyType::BinaryMime;
    });
    let running = Running::start(&outbox);
    let tried = |sequence| outbox.message(sequence).is_some_and(|m| m.attempts == 1);
    until("both are tried", || tried(utf8) && tried(binary)).await;
    running.stop().await.unwrap();
    assert_eq!(fates(&outbox, utf8), "dr");
    assert_eq!(fates(&outbox, binary), "r");
    assert_eq!(primary.sequences(), [utf8]);
    assert!(told(&outbox).is_empty());
}

#[tokio::test]
async fn what_a_message_needs_is_told_to_a_primary_that_offers_it() {
    let script = offering(
        "250-primary.test\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n250 BINARYMIME",
    );
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue_as(&["\u{f6}"], UTF8, |message| {
        message.smtputf8 = true;
        message.body_type = BodyType::BinaryMime;
        message.dsn.envid = "E1".parse().ok();
        message.recipients[0].dsn.notify = "NEVER".parse().ok();
    });
    let running = Running::start(&outbox);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(
        primary.taken()[0].commands,
        [
            "MAIL FROM:<> BODY=BINARYMIME SMTPUTF8 ENVID=E1",
            "RCPT TO:<\u{f6}@example.com> NOTIFY=NEVER"
        ]
    );
}
