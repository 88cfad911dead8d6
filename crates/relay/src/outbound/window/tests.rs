use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use smtp::{
    BodyType, Mailbox, ReversePath,
    dsn::{PerMessage, PerRecipient},
};
use spool::{Body, Client, Digest, MessageId, Recipient, Status, Timestamp};

use super::*;
use crate::outbound::limits::{WINDOW_MESSAGES_MAX, WINDOW_RECIPIENTS_MAX};

pub(in crate::outbound) fn due(sequence: u64, to: &[&str]) -> Due {
    let mailbox = |address: &str| {
        let (local_part, domain) = address.split_once('@').unwrap_or((address, "example.com"));
        ForwardPath::Mailbox(Mailbox {
            local_part: local_part.into(),
            domain: domain.into(),
        })
    };
    let recipients = to
        .iter()
        .map(|address| Recipient {
            path: mailbox(address),
            dsn: PerRecipient::default(),
            domain: "example.com".into(),
            status: Status::Pending,
            host: String::new(),
            replayed_at: None,
            owed: None,
        })
        .collect();
    let message = Message {
        id: MessageId(u128::from(sequence)),
        sequence,
        received_at: Timestamp(0),
        reverse_path: ReversePath::Null,
        body_type: BodyType::SevenBit,
        smtputf8: false,
        dsn: PerMessage::default(),
        recipients,
        body: Body {
            pieces: Vec::new(),
            size: 0,
            digest: Digest([0; 32]),
        },
        trace: Bytes::new(),
        authentication: None,
        client: Client {
            address: ([127, 0, 0, 1], 1).into(),
            helo: String::new(),
            tls: None,
        },
        attempts: 0,
        attempted_at: None,
        hold: None,
        tries: Vec::new(),
        renewed_at: None,
        delay_told_at: None,
    };
    Due {
        message: Arc::new(message),
        recipients: (0..to.len() as u32).collect(),
        claimed_by: None,
    }
}

fn offer(window: &mut Window, sequence: u64, to: &[&str]) -> bool {
    window.offer(due(sequence, to), Source::Waiting)
}

fn next(window: &mut Window) -> Option<u64> {
    window.start().map(|due| due.message.sequence)
}

#[test]
fn a_recipient_in_flight_holds_back_only_his_own_messages() {
    let mut window = Window::new(Order::Recipient);
    offer(&mut window, 1, &["a"]);
    offer(&mut window, 2, &["A", "b"]);
    offer(&mut window, 3, &["c"]);
    offer(&mut window, 4, &["b"]);
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(next(&mut window), Some(3));
    assert_eq!(next(&mut window), None, "4 is behind 2, which is behind 1");
    window.settle(1);
    assert_eq!(next(&mut window), Some(2));
    assert_eq!(next(&mut window), None);
    window.settle(2);
    assert_eq!(next(&mut window), Some(4));
}

#[test]
fn both_forms_of_a_domain_are_one_lane() {
    let mut window = Window::new(Order::Recipient);
    assert!(offer(&mut window, 1, &["a@b\u{fc}cher.example"]));
    assert!(offer(&mut window, 2, &["A@XN--BCHER-KVA.example"]));
    assert!(offer(&mut window, 3, &["b@b\u{fc}cher.example"]));
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(next(&mut window), Some(3));
    assert_eq!(next(&mut window), None);
}

#[test]
fn a_message_put_back_is_again_the_first_of_its_recipient_and_behind_those_for_others() {
    let mut window = Window::new(Order::Recipient);
    offer(&mut window, 1, &["a"]);
    offer(&mut window, 2, &["a"]);
    offer(&mut window, 3, &["b"]);
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(window.count_break(1), 1);
    window.put_back(1);
    assert_eq!(next(&mut window), Some(3));
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(window.count_break(1), 2);
    assert_eq!(next(&mut window), None);
}

#[test]
fn an_earlier_message_goes_before_later_ones_that_have_not_started() {
    let mut window = Window::new(Order::Recipient);
    offer(&mut window, 5, &["a", "b"]);
    offer(&mut window, 6, &["a"]);
    assert_eq!(next(&mut window), Some(5));
    window.offer(due(2, &["a", "c"]), Source::Deferred);
    offer(&mut window, 7, &["c"]);
    window.offer(due(1, &["c"]), Source::Deferred);
    assert_eq!(next(&mut window), Some(1));
    window.settle(1);
    assert_eq!(next(&mut window), None, "2 is behind 5, and 7 behind 2");
    window.put_back(5);
    assert_eq!(next(&mut window), Some(2), "it is earlier than 5");
    window.settle(2);
    assert_eq!(next(&mut window), Some(7));
    assert_eq!(next(&mut window), Some(5));
}

#[test]
fn strict_order_has_one_message_in_flight() {
    let mut window = Window::new(Order::Strict);
    offer(&mut window, 1, &["a"]);
    offer(&mut window, 2, &["b"]);
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(next(&mut window), None);
    window.settle(1);
    assert_eq!(next(&mut window), Some(2));
}

#[test]
fn without_order_everything_may_start() {
    let mut window = Window::new(Order::None);
    offer(&mut window, 1, &["a"]);
    offer(&mut window, 2, &["a"]);
    assert_eq!((next(&mut window), next(&mut window)), (Some(1), Some(2)));
}

#[test]
fn a_message_is_not_taken_twice_until_it_was_reported() {
    let mut window = Window::new(Order::Recipient);
    assert!(offer(&mut window, 1, &["a"]));
    assert!(!offer(&mut window, 1, &["a"]));
    next(&mut window);
    assert!(!offer(&mut window, 1, &["a"]));
    window.settle(1);
    assert!(!offer(&mut window, 1, &["a"]));
    window.reported(1);
    assert!(window.is_empty());
    assert!(offer(&mut window, 1, &["a"]));
}

#[test]
fn what_a_walk_read_before_the_report_is_not_taken_again() {
    let mut window = Window::new(Order::Recipient);
    offer(&mut window, 1, &["a"]);
    next(&mut window);
    window.begin_walk();
    window.settle(1);
    window.reported(1);
    assert!(!offer(&mut window, 1, &["a"]));
    window.end_walk();
    assert!(offer(&mut window, 1, &["a"]));
}

#[test]
fn each_source_may_fill_half_of_the_window_with_messages_or_with_recipients() {
    let names: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let waiting = (Source::Waiting, &["a"][..], WINDOW_MESSAGES_MAX / 2);
    let deferred = (Source::Deferred, &names[..], WINDOW_RECIPIENTS_MAX / 200);
    let mut window = Window::new(Order::Recipient);
    let mut sequence = 0;
    for (source, to, messages) in [waiting, deferred] {
        for _ in 0..messages {
            assert!(window.room(source).is_left());
            window.offer(due(sequence, to), source);
            sequence += 1;
        }
        assert!(!window.room(source).is_left());
    }
    next(&mut window);
    window.settle(0);
    assert!(window.room(Source::Waiting).is_left());
    assert!(!window.room(Source::Deferred).is_left());
}

#[test]
fn results_that_are_not_reported_count_too() {
    let mut window = Window::new(Order::None);
    for sequence in 0..WINDOW_MESSAGES_MAX as u64 {
        assert!(window.room(Source::Waiting).is_left());
        offer(&mut window, sequence, &["a"]);
        next(&mut window);
        window.settle(sequence);
    }
    assert!(!window.room(Source::Waiting).is_left());
    window.reported(0);
    assert!(window.room(Source::Waiting).is_left());
}

#[test]
fn a_message_in_doubt_holds_its_lanes_and_nobody_elses() {
    let mut window = Window::new(Order::Recipient);
    window.offer_in_doubt(due(1, &["a", "b"]), Source::Waiting);
    offer(&mut window, 2, &["a"]);
    offer(&mut window, 3, &["c"]);
    offer(&mut window, 4, &["b"]);
    assert_eq!(next(&mut window), Some(3));
    assert_eq!(next(&mut window), None);
    assert_eq!(window.in_doubt(), [1]);
    window.clear(due(1, &["a", "b"]));
    assert!(!window.has_doubts());
    assert_eq!(next(&mut window), Some(1));
    window.settle(1);
    assert_eq!((next(&mut window), next(&mut window)), (Some(2), Some(4)));
}

#[test]
fn a_message_in_doubt_that_has_left_frees_what_is_behind_it() {
    let mut window = Window::new(Order::Recipient);
    offer(&mut window, 1, &["a"]);
    window.offer_in_doubt(due(2, &["a", "b"]), Source::Waiting);
    window.offer_in_doubt(due(3, &["b"]), Source::Waiting);
    offer(&mut window, 4, &["a"]);
    window.forget(2);
    assert!(window.is_new(2));
    assert_eq!(next(&mut window), Some(1));
    window.settle(1);
    assert_eq!(next(&mut window), Some(4));
    window.forget(3);
    assert_eq!(next(&mut window), None);
}

#[test]
fn what_is_in_doubt_takes_no_room_from_the_rest_and_has_its_own_bound() {
    let mut window = Window::new(Order::Recipient);
    for sequence in 0..WINDOW_MESSAGES_MAX as u64 {
        assert!(window.room(Source::Waiting).is_left());
        window.offer_in_doubt(due(sequence, &["a"]), Source::Waiting);
    }
    assert!(!window.room(Source::Waiting).is_left());
    window.forget(0);
    assert!(window.room(Source::Waiting).is_left());
    for sequence in window.in_doubt() {
        window.clear(due(sequence, &["a"]));
    }
    assert!(!window.room(Source::Waiting).is_left(), "it counts now");
}

#[test]
fn what_is_withdrawn_never_starts_and_what_is_in_flight_goes_on() {
    let mut window = Window::new(Order::Recipient);
    for (sequence, to) in [(1, "a"), (2, "a"), (3, "b"), (4, "c")] {
        offer(&mut window, sequence, &[to]);
    }
    window.offer_in_doubt(due(5, &["d"]), Source::Waiting);
    assert_eq!((next(&mut window), next(&mut window)), (Some(1), Some(3)));
    assert_eq!(window.withdraw(), [2, 4], "5 was not ours");
    window.settle(1);
    window.put_back(3);
    assert_eq!(window.withdraw(), [3]);
    assert_eq!(next(&mut window), None);
    window.reported(1);
    assert!(window.is_empty() && window.lanes.is_empty());
}

#[test]
fn it_tells_what_was_begun_in_vain_and_where_it_came_from() {
    let mut window = Window::new(Order::Recipient);
    offer(&mut window, 1, &["a"]);
    assert_eq!(next(&mut window), Some(1));
    window.put_back(1);
    assert!(!window.has_troubles());
    assert!(window.has_from(Source::Waiting) && !window.has_from(Source::Deferred));
    assert_eq!(next(&mut window), Some(1));
    window.count_closing(1);
    window.put_back(1);
    assert!(window.has_troubles());
}

#[derive(Clone, Debug)]
enum Act {
    /// A message with this number in the order of arrival, if it has not been offered.
    Offer(u64, Vec<usize>),
    /// The same, in doubt.
    Doubt(u64, Vec<usize>),
    Clear(usize),
    Forget(usize),
    Next,
    Settle(usize),
    PutBack(usize),
    Report(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let offer = || (0u64..100, prop::collection::vec(0usize..6, 1..4));
    prop_oneof![
        3 => offer().prop_map(|(sequence, to)| Act::Offer(sequence, to)),
        1 => offer().prop_map(|(sequence, to)| Act::Doubt(sequence, to)),
        1 => (0usize..9).prop_map(Act::Clear),
        1 => (0usize..9).prop_map(Act::Forget),
        3 => Just(Act::Next),
        2 => (0usize..9).prop_map(Act::Settle),
        1 => (0usize..9).prop_map(Act::PutBack),
        1 => (0usize..9).prop_map(Act::Report),
    ]
}

proptest! {
    #[test]
    fn order_per_recipient_holds_and_nobody_is_served_twice_at_once(
        acts in prop::collection::vec(act(), 0..120),
    ) {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let mut window = Window::new(Order::Recipient);
        let mut to: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut unstarted: Vec<u64> = Vec::new();
        let mut in_flight: Vec<u64> = Vec::new();
        let mut settled: Vec<u64> = Vec::new();
        let mut doubts: Vec<u64> = Vec::new();
        let drain = core::iter::repeat_n([Act::Clear(0), Act::Next, Act::Settle(0)], 130).flatten();
        for act in acts.into_iter().chain(drain) {
            match act {
                Act::Doubt(sequence, recipients) => {
                    let names: Vec<&str> = recipients.iter().map(|r| NAMES[*r]).collect();
                    let new = window.offer_in_doubt(due(sequence, &names), Source::Waiting);
                    prop_assert_eq!(new, !to.contains_key(&sequence));
                    if new {
                        to.insert(sequence, recipients);
                        unstarted.push(sequence);
                        doubts.push(sequence);
                    }
                }
                Act::Clear(at) if at < doubts.len() => {
                    let sequence = doubts.remove(at);
                    let names: Vec<&str> = to[&sequence].iter().map(|r| NAMES[*r]).collect();
                    window.clear(due(sequence, &names));
                }
                Act::Forget(at) if at < doubts.len() => {
                    let sequence = doubts.remove(at);
                    window.forget(sequence);
                    to.remove(&sequence);
                    unstarted.retain(|other| *other != sequence);
                }
                Act::Offer(sequence, recipients) => {
                    let names: Vec<&str> = recipients.iter().map(|r| NAMES[*r]).collect();
                    let source = if sequence % 2 == 0 { Source::Waiting } else { Source::Deferred };
                    let new = window.offer(due(sequence, &names), source);
                    prop_assert_eq!(new, !to.contains_key(&sequence));
                    if new {
                        to.insert(sequence, recipients);
                        unstarted.push(sequence);
                    }
                }
                Act::Next => {
                    let Some(sequence) = next(&mut window) else {
                        let may_wait = !in_flight.is_empty() || !doubts.is_empty();
                        prop_assert!(may_wait || unstarted.is_empty(), "locked up");
                        continue;
                    };
                    prop_assert!(!doubts.contains(&sequence), "{sequence} is in doubt");
                    unstarted.retain(|other| *other != sequence);
                    let met = |other: &&u64| to[*other].iter().any(|r| to[&sequence].contains(r));
                    let at_once = in_flight.iter().find(met);
                    prop_assert!(at_once.is_none(), "{at_once:?} and {sequence} at once");
                    let earlier = unstarted.iter().filter(|other| **other < sequence).find(met);
                    prop_assert!(earlier.is_none(), "{sequence} before {earlier:?}");
                    in_flight.push(sequence);
                }
                Act::Settle(at) if at < in_flight.len() => {
                    let sequence = in_flight.remove(at);
                    window.settle(sequence);
                    settled.push(sequence);
                }
                Act::PutBack(at) if at < in_flight.len() => {
                    let sequence = in_flight.remove(at);
                    window.put_back(sequence);
                    unstarted.push(sequence);
                }
                Act::Report(at) if at < settled.len() => {
                    let sequence = settled.remove(at);
                    window.reported(sequence);
                    to.remove(&sequence);
                }
                _ => {}
            }
        }
        prop_assert!(unstarted.is_empty());
        for sequence in settled {
            window.reported(sequence);
        }
        prop_assert!(window.is_empty());
        prop_assert!(window.lanes.is_empty() && window.startable.is_empty());
        let none = Room::default();
        prop_assert_eq!((window.held, window.waiting, window.deferred), (none, none, none));
        prop_assert_eq!(window.doubtful, none);
    }
}

#[test]
fn what_an_operator_has_taken_out_of_the_queue_holds_nobody_up() {
    let mut window = Window::new(Order::Recipient);
    offer(&mut window, 1, &["a"]);
    offer(&mut window, 2, &["a"]);
    offer(&mut window, 3, &["a"]);
    offer(&mut window, 4, &["b"]);
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(window.unstarted().len(), 3);
    window.keep_unstarted(&[due(3, &["a"]), due(4, &["b", "c"])], 7);
    assert_eq!(window.revision_of(3), Some(7));
    assert_eq!(
        window.revision_of(1),
        Some(0),
        "it may be held and come back"
    );
    assert_eq!(
        window.unstarted(),
        [3],
        "4 is to be read again as it is now"
    );
    window.settle(1);
    window.reported(1);
    assert_eq!(next(&mut window), Some(3));
    window.call_off(3);
    assert!(window.is_empty());
    assert_eq!(window.room(Source::Waiting), Room::HALF);
    assert!(offer(&mut window, 2, &["a"]), "it may come back");
    assert_eq!(next(&mut window), Some(2));
}

#[test]
fn what_is_put_back_while_it_is_on_its_way_is_looked_for_when_it_is_reported() {
    const TERM: u64 = 7;
    let claimed = |sequence, to: &[&str]| Due {
        claimed_by: Some(TERM),
        ..due(sequence, to)
    };
    let mut window = Window::new(Order::Recipient);
    for (sequence, to) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        offer(&mut window, sequence, &[to]);
    }
    window.begin_walk();
    assert!(!window.meet(&[due(1, &["a"])], TERM), "it has not started");
    while next(&mut window).is_some() {}
    let read = [
        claimed(1, &["a"]),
        due(2, &["b"]),
        claimed(3, &["c", "again"]),
        claimed(4, &["d"]),
    ];
    assert!(!window.meet(&read, TERM));
    for sequence in 1..=4 {
        window.settle(sequence);
    }
    let reported: Vec<bool> = (1..=4).map(|sequence| window.reported(sequence)).collect();
    assert_eq!(reported, [false, true, true, false]);
    assert!(
        !window.meet(&[claimed(1, &["a"])], TERM),
        "it was on its way"
    );
    assert!(window.meet(&[due(1, &["a"])], TERM), "what was read is old");
    assert!(window.meet(&[claimed(1, &["a", "again"])], TERM));
    window.end_walk();
}
