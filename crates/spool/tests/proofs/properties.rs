//! What holds after any commands whatever.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use spool::{
    Ageing, Claims, Command, Delay, Expire, Lapse, Message, MessageId, Outcome, Recipient, Status,
    Timestamp, Verb, Verdict, history::DEPARTED_AGE_MAX, notice::QUEUE, policy::Keeping,
    view::Known,
};

use crate::{
    letters::Letter,
    memory::{Key, Memory, Row},
    replica::Replica,
    scripts::{any_commands, orderly_commands, repeats, with_repeats},
};

/// For so long at least any of the policies keeps what was refused.
const KEPT: Duration = Duration::from_secs(3600);

/// What is said of each recipient, in the order it was said.
#[derive(Default)]
struct Said(BTreeMap<(MessageId, u32), Vec<Verdict>>);

impl Said {
    fn hear(&mut self, command: &Command) {
        let report = match command {
            Command::Report(report) => report,
            Command::Handle(handling) if handling.verb == Verb::Retry => {
                self.forget_refusals(&handling.ids);
                return;
            }
            _ => return,
        };
        for attempt in &report.attempts {
            for (number, verdict) in &attempt.verdicts {
                let said = self.0.entry((attempt.id, *number)).or_default();
                said.push(verdict.clone());
            }
        }
    }

    /// Recipients of these messages who were refused are tried again.
    fn forget_refusals(&mut self, ids: &[MessageId]) {
        for ((id, _), said) in &mut self.0 {
            if ids.contains(id) {
                said.retain(|verdict| !matches!(verdict, Verdict::Rejected(_)));
            }
        }
    }

    fn is_delivered(&self, id: MessageId, number: u32) -> bool {
        let said = self.0.get(&(id, number)).into_iter().flatten();
        let mut said = said.filter(|verdict| !matches!(verdict, Verdict::Deferred(_)));
        said.next().is_some_and(Verdict::is_taken)
    }
}

fn known_ids(memory: &Memory) -> BTreeMap<MessageId, Known> {
    let known = memory.rows.iter().filter_map(|row| match row {
        (Key::Known(id), Row::Known(known)) => Some((*id, *known)),
        _ => None,
    });
    known.collect()
}

/// Whether a message that was like this may have left by this command.
fn may_leave(message: &Message, at: Timestamp, command: &Command, said: &Said) -> bool {
    let id = message.id;
    let mut recipients = (0_u32..).zip(&message.recipients);
    recipients.all(|(number, recipient)| {
        let is_reports = recipient.domain == QUEUE;
        let ends = match command {
            Command::Report(report) => {
                report.at == at && (is_reports || said.is_delivered(id, number))
            }
            Command::Notify(notify) => {
                let is_told =
                    notify.recipients.contains(&number) && recipient.owed == Some(notify.kind);
                notify.at == at && notify.id == id && is_told
            }
            Command::Expire(expire) => expire.at == at && is_reports,
            Command::Lapse(lapse) => {
                let is_old = |settled_at: Timestamp| settled_at <= at.before(KEPT);
                let is_listed = lapse.sequences.contains(&message.sequence);
                let is_refused =
                    matches!(recipient.status, Status::Rejected { at, .. } if is_old(at));
                let is_free = message.hold.is_none() && recipient.owed.is_none();
                lapse.at == at && is_listed && is_refused && is_free
            }
            Command::Handle(handling) => {
                let gives_up = match handling.verb {
                    Verb::Delete => true,
                    Verb::Bounce => is_reports,
                    Verb::Hold | Verb::Release | Verb::Retry => false,
                };
                gives_up && handling.ids.contains(&id) && handling.action.at == at
            }
            _ => false,
        };
        let is_done = match recipient.status {
            Status::Delivered { .. } | Status::Returned { .. } => recipient.owed.is_none(),
            _ => false,
        };
        ends || is_done
    })
}

/// Panics unless an id may go from one to the other by this command.
fn check_life(
    id: MessageId,
    before: Option<Known>,
    after: Option<Known>,
    command: &Command,
    said: &BTreeMap<MessageId, Said>,
    earlier: &Memory,
) {
    match (before, after) {
        (before, after) if before == after => {}
        (None, Some(Known::Queued(_) | Known::Repeat { .. })) => {
            let brings_it = match command {
                Command::Accept(accept) => accept.id == id,
                Command::Notify(notify) => notify.report.id == id,
                _ => false,
            };
            assert!(brings_it, "{id} came by {command:?}");
        }
        (Some(Known::Queued(_)), Some(Known::Departed(at))) => {
            let message = earlier.message_of(id).expect("it was in the spool");
            assert!(
                may_leave(message, at, command, &said[&id]),
                "{message:?} left by {command:?}"
            );
        }
        (Some(Known::Departed(_)), Some(Known::Queued(_))) => {
            assert!(matches!(command, Command::Replay(replay) if replay.ids.contains(&id)));
        }
        (Some(Known::Departed(gone_at) | Known::Repeat { at: gone_at, .. }), None) => {
            let Command::Sweep { at } = command else {
                panic!("{id} forgotten by {command:?}");
            };
            assert!(at.since(gone_at) > DEPARTED_AGE_MAX);
        }
        (before, after) => panic!("{id} went from {before:?} to {after:?} by {command:?}"),
    }
}

/// What is in the spool, less the places in the log, which a repeat moves.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    messages: BTreeMap<MessageId, (Vec<Recipient>, Vec<u8>, u32)>,
    departed: BTreeSet<Key>,
}

fn content(memory: &Memory) -> Content {
    let of = |message: &Message| {
        let body = memory.body_of(message);
        (message.recipients.clone(), body, message.attempts)
    };
    let messages = memory.messages();
    let departed = memory.rows.keys();
    Content {
        messages: messages.map(|message| (message.id, of(message))).collect(),
        departed: departed
            .filter(|key| matches!(key, Key::Departed(..)))
            .cloned()
            .collect(),
    }
}

fn replayed(commands: &[Command]) -> Memory {
    let mut memory = Memory::default();
    for (index, command) in (1..).zip(commands) {
        memory.apply_batch(&[(index, command.clone())]);
    }
    memory.assert_consistent();
    memory
}

/// Whether an acceptance of this letter's counts on its pieces. Whoever stages a piece and then
/// accepts without it is refused, loses the stage, and is no better than a new letter after that.
fn belongs(command: &Command) -> bool {
    !matches!(command, Command::Stage(stage) if Letter::of(stage.id).pieces() == 0)
}

/// A command about messages that stand in other places in the order of arrival: these are the new places of
/// the first, the second, ...
fn in_new_places(mut command: Command, places: &[u64]) -> Command {
    if let Command::Claim(Claims { sequences, .. })
    | Command::Release(Claims { sequences, .. })
    | Command::Expire(Expire { sequences, .. })
    | Command::Lapse(Lapse { sequences, .. })
    | Command::Delay(Delay { sequences, .. }) = &mut command
    {
        for sequence in sequences {
            let nth = usize::try_from(*sequence).ok();
            let place = nth.and_then(|nth| places.get(nth.checked_sub(1)?));
            *sequence = place.copied().unwrap_or(u64::MAX);
        }
    }
    command
}

/// Panics unless a sender was told by this command just what he was owed, by a report that is spooled.
fn check_notice(earlier: &Memory, later: &Memory, command: &Command) {
    let Command::Notify(notify) = command else {
        return;
    };
    let is_spooled = |memory: &Memory| memory.known_of(notify.report.id).is_some();
    let owed_before = earlier
        .message_of(notify.id)
        .map(|message| message.owed(notify.kind));
    let owed_after = later
        .message_of(notify.id)
        .map(|message| message.owed(notify.kind));
    let owed_before = owed_before.unwrap_or_default();
    let told = |number: &u32| notify.recipients.contains(number);
    if is_spooled(later) && !is_spooled(earlier) {
        assert!(
            notify
                .recipients
                .iter()
                .all(|number| owed_before.contains(number))
        );
        assert!(!owed_after.unwrap_or_default().iter().any(told));
    } else {
        assert_eq!(owed_after.unwrap_or_default(), owed_before);
    }
}

/// Who has claimed what.
fn claimants(memory: &Memory) -> BTreeMap<&Key, u64> {
    let claimed = memory.rows.iter().filter_map(|(key, row)| match row {
        Row::Place(place) => Some((key, place.claimed_by?)),
        _ => None,
    });
    claimed.collect()
}

/// Whether a command may change who has claimed a place.
fn may_change_claim(
    command: &Command,
    before: Option<u64>,
    after: Option<u64>,
    earlier: &Memory,
) -> bool {
    match (command, before, after) {
        (Command::Claim(claims), before, Some(after)) => {
            after == claims.term && before.is_none_or(|before| before < after)
        }
        (Command::Release(claims), Some(before), None) => before == claims.term,
        (Command::Report(_) | Command::Handle(_), Some(_), None) => true,
        // Of a primary that has long been down nothing is on its way, whoever has claimed it.
        (Command::Expire(expire), Some(_), None) => {
            let destination = earlier.destination_of(&expire.domain);
            let keeping = Keeping::default();
            Ageing::new(keeping, &destination, Vec::new(), expire.at).is_at_rest()
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Every entry is audited on the way: indices, totals, pieces (`audit`).
    #[test]
    fn a_message_leaves_only_when_delivered_returned_or_deleted_and_never_comes_back(commands in any_commands()) {
        let mut replica = Replica::default();
        // What was said since a letter was last accepted: what came before was about nothing.
        let mut said: BTreeMap<MessageId, Said> = BTreeMap::new();
        for command in commands {
            let before = known_ids(&replica.memory);
            let earlier = replica.memory.clone();
            let outcome = replica.apply(command.clone());
            let after = known_ids(&replica.memory);
            said.values_mut().for_each(|said| said.hear(&command));
            for id in before.keys().chain(after.keys()) {
                let (before, after) = (before.get(id).copied(), after.get(id).copied());
                check_life(*id, before, after, &command, &said, &earlier);
                if before.is_none() {
                    said.entry(*id).or_default();
                }
            }
            check_notice(&earlier, &replica.memory, &command);
            if let Command::Accept(accept) = &command {
                let expected = match after.get(&accept.id) {
                    Some(Known::Repeat { first, .. }) => Outcome::Repeated(*first),
                    Some(Known::Queued(_) | Known::Departed(_)) => Outcome::Accepted,
                    None => Outcome::StageGone,
                };
                prop_assert_eq!(outcome, expected);
                if !before.contains_key(&accept.id) {
                    said.insert(accept.id, Said::default());
                }
            }
        }
    }

    #[test]
    fn a_claim_passes_only_to_a_later_term_and_outlives_the_reports_of_earlier_ones(
        commands in any_commands(),
    ) {
        let mut replica = Replica::default();
        for command in commands {
            let earlier = replica.memory.clone();
            replica.apply(command.clone());
            let (before, after) = (claimants(&earlier), claimants(&replica.memory));
            for key in before.keys().chain(after.keys()) {
                let (was, is) = (before.get(key).copied(), after.get(key).copied());
                prop_assert!(
                    was == is || may_change_claim(&command, was, is, &earlier),
                    "{:?} went from {:?} to {:?} by {:?}", key, was, is, command
                );
                if let (Command::Report(report), Some(was), None) = (&command, was, is) {
                    let stays = replica.memory.rows.contains_key(key);
                    prop_assert!(!stays || was <= report.term);
                }
            }
        }
    }

    #[test]
    fn a_recipients_status_is_the_first_final_word_about_him(commands in orderly_commands()) {
        let mut said = Said::default();
        commands.iter().for_each(|command| said.hear(command));
        for message in replayed(&commands).messages() {
            for (number, recipient) in (0_u32..).zip(&message.recipients) {
                let words = said.0.get(&(message.id, number)).into_iter().flatten();
                let mut finals = words.clone().filter(|v| !matches!(v, Verdict::Deferred(_)));
                match (finals.next(), &recipient.status) {
                    (Some(Verdict::Delivered(_) | Verdict::Relayed(_)), Status::Delivered { .. })
                    | (
                        Some(Verdict::Rejected(_)),
                        Status::Rejected { .. } | Status::Returned { .. },
                    ) => {}
                    (None, Status::Deferred { .. }) => prop_assert!(words.count() > 0),
                    (None, Status::Pending) => prop_assert_eq!(words.count(), 0),
                    (word, status) => prop_assert!(false, "{:?} became {:?}", word, status),
                }
            }
        }
    }

    #[test]
    fn a_command_repeated_at_once_changes_nothing(
        mut commands in any_commands(),
        times in vec(1..4_usize, 80),
    ) {
        commands.retain(belongs);
        let once = replayed(&commands);
        // A copy takes a place of its own, so that what comes behind it stands elsewhere.
        let places = times.iter().scan(1, |next, times| {
            let place = *next;
            *next += *times as u64;
            Some(place)
        });
        let places: Vec<u64> = places.take(commands.len()).collect();
        let copies = commands.iter().zip(&times);
        let repeated = copies.flat_map(|(command, times)| {
            vec![in_new_places(command.clone(), &places); *times]
        });
        let repeated = replayed(&repeated.collect::<Vec<_>>());
        prop_assert_eq!(content(&repeated), content(&once));
    }

    #[test]
    fn a_command_repeated_at_any_later_time_changes_no_message(
        commands in orderly_commands(),
        repeats in repeats(),
    ) {
        let once = replayed(&commands);
        let repeated = replayed(&with_repeats(&commands, &repeats));
        prop_assert_eq!(content(&repeated), content(&once));
    }

    #[test]
    fn replicas_end_alike_however_the_log_is_cut_into_batches(
        commands in any_commands(),
        cuts in vec(1..12_usize, 80),
    ) {
        let one_by_one = replayed(&commands);
        let log: Vec<(u64, Command)> = (1..).zip(commands).collect();
        let mut at_once = Memory::default();
        at_once.apply_batch(&log);
        let mut in_batches = Memory::default();
        let mut rest = log.as_slice();
        for cut in cuts {
            let (batch, behind) = rest.split_at(cut.min(rest.len()));
            in_batches.apply_batch(batch);
            rest = behind;
        }
        let expected = format!("{one_by_one:?}");
        prop_assert_eq!(format!("{at_once:?}"), expected.as_str());
        prop_assert_eq!(format!("{in_batches:?}"), expected.as_str());
    }
}
