use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use smtp::{BodyType, Mailbox, ReversePath};
use spool::{Body, Client, Digest, MessageId, Recipient, Status, Timestamp};

use super::*;

fn due(sequence: u64, to: &[&str]) -> Due {
    let recipients = to
        .iter()
        .map(|local_part| Recipient {
            path: ForwardPath::Mailbox(Mailbox {
                local_part: (*local_part).into(),
                domain: "example.com".into(),
            }),
            domain: "example.com".into(),
            status: Status::Pending,
        })
        .collect();
    let message = Message {
        id: MessageId(u128::from(sequence)),
        sequence,
        received_at: Timestamp(0),
        reverse_path: ReversePath::Null,
        body_type: BodyType::SevenBit,
        recipients,
        body: Body {
            pieces: Vec::new(),
            size: 0,
            digest: Digest([0; 32]),
        },
        trace: Bytes::new(),
        client: Client {
            address: ([127, 0, 0, 1], 1).into(),
            helo: String::new(),
            tls: None,
        },
        attempts: 0,
        attempted_at: None,
    };
    Due {
        message: Arc::new(message),
        recipients: (0..to.len() as u32).collect(),
    }
}

fn next(window: &mut Window) -> Option<u64> {
    window.start().map(|due| due.message.sequence)
}

#[test]
fn a_recipient_in_flight_holds_back_only_his_own_messages() {
    let mut window = Window::new(Order::Recipient);
    window.offer(due(1, &["a"]));
    window.offer(due(2, &["A", "b"]));
    window.offer(due(3, &["c"]));
    window.offer(due(4, &["b"]));
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
fn a_message_put_back_is_again_the_first() {
    let mut window = Window::new(Order::Recipient);
    window.offer(due(1, &["a"]));
    window.offer(due(2, &["a"]));
    window.offer(due(3, &["b"]));
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(window.count_break(1), 1);
    window.put_back(1);
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(window.count_break(1), 2);
    assert_eq!(next(&mut window), Some(3));
}

#[test]
fn strict_order_has_one_message_in_flight() {
    let mut window = Window::new(Order::Strict);
    window.offer(due(1, &["a"]));
    window.offer(due(2, &["b"]));
    assert_eq!(next(&mut window), Some(1));
    assert_eq!(next(&mut window), None);
    window.settle(1);
    assert_eq!(next(&mut window), Some(2));
}

#[test]
fn without_order_everything_may_start() {
    let mut window = Window::new(Order::None);
    window.offer(due(1, &["a"]));
    window.offer(due(2, &["a"]));
    assert_eq!((next(&mut window), next(&mut window)), (Some(1), Some(2)));
}

#[test]
fn a_message_is_not_taken_twice_until_it_was_reported() {
    let mut window = Window::new(Order::Recipient);
    assert!(window.offer(due(1, &["a"])));
    assert!(!window.offer(due(1, &["a"])));
    next(&mut window);
    assert!(!window.offer(due(1, &["a"])));
    window.settle(1);
    assert!(!window.offer(due(1, &["a"])));
    window.reported(1);
    assert!(window.is_empty());
    assert!(window.offer(due(1, &["a"])));
}

#[test]
fn what_a_walk_read_before_the_report_is_not_taken_again() {
    let mut window = Window::new(Order::Recipient);
    window.offer(due(1, &["a"]));
    next(&mut window);
    window.begin_walk();
    window.settle(1);
    window.reported(1);
    assert!(!window.offer(due(1, &["a"])));
    window.end_walk();
    assert!(window.offer(due(1, &["a"])));
}

#[test]
fn the_window_is_bounded_by_messages_and_by_recipients() {
    let mut window = Window::new(Order::Recipient);
    for sequence in 0..WINDOW_MESSAGES_MAX as u64 {
        assert!(window.has_room());
        window.offer(due(sequence, &["a"]));
    }
    assert!(!window.has_room());

    let mut window = Window::new(Order::Recipient);
    let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for sequence in 0..20 {
        assert!(window.has_room());
        window.offer(due(sequence, &names));
    }
    assert!(!window.has_room());
}

#[derive(Clone, Debug)]
enum Act {
    Offer(Vec<usize>),
    Next,
    Settle(usize),
    PutBack(usize),
    Report(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => prop::collection::vec(0usize..6, 1..4).prop_map(Act::Offer),
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
        let mut to: Vec<Vec<usize>> = Vec::new();
        let mut in_flight: Vec<u64> = Vec::new();
        let mut settled: Vec<u64> = Vec::new();
        // For each recipient, the messages whose result is known, in the order of the results.
        let mut served: Vec<Vec<u64>> = vec![Vec::new(); NAMES.len()];
        let mut unstarted = 0usize;
        let drain = core::iter::repeat_n([Act::Next, Act::Settle(0)], 130).flatten();
        for act in acts.into_iter().chain(drain) {
            match act {
                Act::Offer(recipients) => {
                    let names: Vec<&str> = recipients.iter().map(|r| NAMES[*r]).collect();
                    prop_assert!(window.offer(due(to.len() as u64, &names)));
                    to.push(recipients);
                    unstarted += 1;
                }
                Act::Next => {
                    if let Some(sequence) = next(&mut window) {
                        for other in &in_flight {
                            let shared = to[*other as usize]
                                .iter().any(|r| to[sequence as usize].contains(r));
                            prop_assert!(!shared, "{other} and {sequence} at once");
                        }
                        in_flight.push(sequence);
                        unstarted -= 1;
                    } else {
                        prop_assert!(!in_flight.is_empty() || unstarted == 0, "locked up");
                    }
                }
                Act::Settle(at) if at < in_flight.len() => {
                    let sequence = in_flight.remove(at);
                    window.settle(sequence);
                    settled.push(sequence);
                    let mut recipients = to[sequence as usize].clone();
                    recipients.sort_unstable();
                    recipients.dedup();
                    for recipient in recipients {
                        served[recipient].push(sequence);
                    }
                }
                Act::PutBack(at) if at < in_flight.len() => {
                    window.put_back(in_flight.remove(at));
                    unstarted += 1;
                }
                Act::Report(at) if at < settled.len() => window.reported(settled.remove(at)),
                _ => {}
            }
        }
        prop_assert_eq!(unstarted, 0);
        for sequences in &served {
            prop_assert!(sequences.is_sorted(), "{:?}", served);
        }
        for sequence in settled {
            window.reported(sequence);
        }
        prop_assert!(window.is_empty());
        prop_assert!(window.lanes.is_empty() && window.startable.is_empty());
        prop_assert_eq!((window.recipients, window.unsettled), (0, 0));
    }
}
