//! Primaries that take no mail at all for a while, as those do whose disk is full.

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicBool},
};

use super::*;

const NO_ROOM: &str = "452 4.3.1 Insufficient system storage";

/// Says so to every MAIL of a connection, unless there is room at the first. Were there none for a message, and room
/// when it is asked again a moment later, the message alone would be put off.
fn until_room(room: &Arc<AtomicBool>) -> Script {
    let room = Arc::clone(room);
    let had_room = Mutex::new(HashMap::new());
    Arc::new(move |connection, moment| {
        let has_room = *moment != Moment::Mail || {
            let mut had_room = had_room.lock().unwrap();
            let now = room.load(Ordering::SeqCst);
            *had_room.entry(connection).or_insert(now)
        };
        if has_room {
            Act::Usual
        } else {
            Act::Say(NO_ROOM)
        }
    })
}

fn connections(primary: &Primary) -> usize {
    primary.log.lock().unwrap().connections
}

/// Waits for several probes of a full primary, gives it room, and has all its mail delivered.
async fn outlasts(timeouts: Timeouts) -> (Primary, Arc<MapOutbox>) {
    let room = Arc::new(AtomicBool::new(false));
    let (primary, outbox) = setup(until_room(&room), NEVER).await;
    for _ in 0..3 {
        outbox.queue(&["a"], BODY);
    }
    let running = Running::start_with(&outbox, timeouts);
    until("several probes", || connections(&primary) > 12).await;
    assert!(outbox.state.lock().unwrap().reports.is_empty());
    room.store(true, Ordering::SeqCst);
    until("delivered", || outbox.is_empty()).await;
    running.stop().await.unwrap();
    assert_eq!(primary.sequences(), [1, 2, 3]);
    assert_no_deferral(&outbox);
    (primary, outbox)
}

#[tokio::test]
async fn one_that_is_full_is_down_and_no_message_is_changed() {
    let (_, outbox) = outlasts(PATIENT).await;
    let observations = outbox.state.lock().unwrap().observations.clone();
    let Reachability::Down(words) = &observations[0] else {
        panic!("{observations:?}");
    };
    assert!(words.contains("takes no mail now: 452 4.3.1"), "{words}");
    assert_eq!(observations[1..], [Reachability::Up]);
}

#[tokio::test]
async fn one_that_is_full_for_long_is_tried_with_a_message_which_waits_all_the_same() {
    let hesitation = Duration::from_millis(20);
    outlasts(Timeouts {
        hesitation,
        ..PATIENT
    })
    .await;
}

#[tokio::test]
async fn one_that_runs_full_under_a_message_is_down_too() {
    let room = Arc::new(AtomicBool::new(true));
    let says_no = Arc::clone(&room);
    let script: Script = Arc::new(move |_, moment| match moment {
        Moment::Dot(_) if says_no.swap(false, Ordering::SeqCst) => {
            Act::Say("451 4.3.0 queue file write error")
        }
        Moment::Mail if !says_no.load(Ordering::SeqCst) => Act::Say(NO_ROOM),
        _ => Act::Usual,
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a"], BODY);
    let running = Running::start(&outbox);
    until("several probes", || connections(&primary) > 4).await;
    running.stop().await.unwrap();
    let state = outbox.state.lock().unwrap();
    assert!(matches!(state.observations[..], [Reachability::Down(_)]));
    assert!(state.reports.is_empty());
}

#[tokio::test]
async fn one_that_has_no_room_for_a_large_message_puts_off_that_one() {
    // Who sends nothing that has a size is welcome.
    let mails = AtomicUsize::new(0);
    let script: Script = Arc::new(move |_, moment| {
        if *moment == Moment::Mail && mails.fetch_add(1, Ordering::SeqCst) == 0 {
            return Act::Say(NO_ROOM);
        }
        Act::Usual
    });
    let (primary, outbox) = setup(script, NEVER).await;
    outbox.queue(&["a"], BODY);
    outbox.queue(&["b"], BODY);
    let running = Running::start(&outbox);
    until("delivered", || primary.sequences() == [2]).await;
    running.stop().await.unwrap();
    let state = outbox.state.lock().unwrap();
    assert!(state.observations.is_empty(), "{:?}", state.observations);
    let status = &state.messages[&1].recipients[0].status;
    assert!(
        matches!(status, Status::Deferred { reason, .. } if reason == NO_ROOM),
        "{status:?}"
    );
}

#[tokio::test]
async fn what_is_about_the_message_or_may_be_puts_off_the_message() {
    for said in [
        "451 4.7.1 greylisted",
        "450 try again",
        "452 no room",
        "452 4.2.2 full",
    ] {
        let mails = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&mails);
        let script: Script = Arc::new(move |_, moment| {
            if *moment == Moment::Mail {
                counted.fetch_add(1, Ordering::SeqCst);
                return Act::Say(said);
            }
            Act::Usual
        });
        let (_primary, outbox) = setup(script, NEVER).await;
        outbox.queue(&["a"], BODY);
        outbox.queue(&["b"], BODY);
        let running = Running::start(&outbox);
        until("both are deferred", || {
            let state = outbox.state.lock().unwrap();
            let attempts = state.reports.iter().map(|report| report.attempts.len());
            attempts.sum::<usize>() == 2
        })
        .await;
        running.stop().await.unwrap();
        assert!(outbox.state.lock().unwrap().observations.is_empty());
        assert_eq!(mails.load(Ordering::SeqCst), 2, "nothing more was asked");
    }
}

#[tokio::test]
async fn a_sentry_opens_while_the_primary_is_full() {
    let room = Arc::new(AtomicBool::new(false));
    let primary = Primary::start(ANY_PORT, until_room(&room), None).await;
    let outbox = MapOutbox::new(
        Domain {
            sentry: true,
            ..domain(primary.address)
        },
        NEVER,
    );
    let running = Running::start(&outbox);
    until("down", || {
        let observations = outbox.state.lock().unwrap().observations.clone();
        matches!(observations[..], [Reachability::Down(_)])
    })
    .await;
    room.store(true, Ordering::SeqCst);
    until("up", || {
        outbox.state.lock().unwrap().observations.last() == Some(&Reachability::Up)
    })
    .await;
    running.stop().await.unwrap();
}
