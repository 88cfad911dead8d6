//! Random commands.

use proptest::{collection::vec, prelude::*, sample::select};
use spool::{
    Action, Adopt, Claims, Command, Delay, Expire, Fact, Handling, Lapse, Lessons, MessageId,
    Offers, Reachability, Recovery, Replay, Report, SeenStarttls, Timestamp, Verb, Verdict,
    Visitor, Visits,
    alarm::{Notice, Turn},
    guard::Step,
    notice::Kind,
    policy::Document,
    recipients::{News, Source},
};

use crate::letters::{
    DOMAINS, Letter, POLICY, TALKATIVE, deferred, delivered, found, found_with, rejected, relayed,
};

/// So few letters that commands meet often; among them are bodies of no octets, of a tail alone,
/// of pieces alone, and of both.
const LETTERS: u32 = 6;

/// Clocks run over so many milliseconds: several times what anything is remembered.
const CLOCK_SPAN_MS: u64 = 4 * 3_600_000;

/// Several times what a recipient is remembered.
const MONTHS_MS: u64 = 100 * 24 * 3_600_000;

/// Any letter, or the same sent again.
fn letter() -> impl Strategy<Value = Letter> {
    (0..LETTERS, any::<bool>()).prop_map(|(number, again)| match Letter(number) {
        letter if again => letter.again(),
        letter => letter,
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    select(Kind::ALL.as_slice())
}

/// Any letter, or a report on it.
fn letter_or_report() -> impl Strategy<Value = Letter> {
    (letter(), proptest::option::of(kind())).prop_map(|(letter, kind)| match kind {
        Some(kind) => letter.told_by(kind),
        None => letter,
    })
}

fn notification() -> impl Strategy<Value = Command> {
    let recipients = vec(0..4_u32, 0..3);
    (letter(), kind(), recipients, moment())
        .prop_map(|(letter, kind, recipients, at)| letter.notify(kind, &recipients, at))
}

/// Some places in the order of arrival that someone takes for late.
fn delay() -> impl Strategy<Value = Command> {
    (moment(), vec(1..60_u64, 1..20))
        .prop_map(|(at, sequences)| Command::Delay(Delay { at, sequences }))
}

/// Whose 250 some node says was read, rightly or not.
fn confirmed() -> impl Strategy<Value = Vec<MessageId>> {
    vec(letter().prop_map(Letter::id), 0..3)
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (1..CLOCK_SPAN_MS).prop_map(Timestamp)
}

fn domain() -> impl Strategy<Value = String> {
    select(DOMAINS.as_slice()).prop_map(str::to_owned)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(delivered()),
        2 => Just(relayed()),
        3 => Just(deferred()),
        1 => Just(rejected()),
    ]
}

fn verdicts() -> impl Strategy<Value = Vec<(u32, Verdict)>> {
    vec((0..4_u32, verdict()), 0..5)
}

fn report() -> impl Strategy<Value = Command> {
    let attempts = vec((letter_or_report(), verdicts()), 1..4);
    (term(), moment(), attempts).prop_map(|(term, at, attempts)| {
        let attempts = attempts.into_iter();
        let attempts = attempts.map(|(letter, verdicts)| letter.attempt(verdicts));
        Command::Report(Report {
            term,
            at,
            attempts: attempts.collect(),
        })
    })
}

fn term() -> impl Strategy<Value = u64> {
    1..5_u64
}

/// Some places in the order of arrival, whether something stands there or not.
fn claims() -> impl Strategy<Value = Claims> {
    (term(), domain(), vec(1..60_u64, 1..20)).prop_map(|(term, domain, sequences)| Claims {
        term,
        domain,
        sequences,
    })
}

fn observation() -> impl Strategy<Value = Command> {
    let reachability = select(vec![
        Reachability::Up,
        Reachability::Down("refused".to_owned()),
    ]);
    (domain(), reachability, moment()).prop_map(|(domain, reachability, at)| Command::Observe {
        domain,
        reachability,
        at,
    })
}

/// So few moments that steps meet the recovery that they are of.
fn recovery() -> impl Strategy<Value = Command> {
    let moment = || (1..4_u64).prop_map(|hours| Timestamp(hours * 3_600_000));
    let step = (0..3_u8, moment()).prop_map(|(step, begun_at)| match step {
        0 => Step::Begun,
        1 => Step::Passed { begun_at },
        _ => Step::Tripped {
            begun_at,
            why: "it refused".to_owned(),
        },
    });
    (domain(), moment(), step)
        .prop_map(|(domain, at, step)| Command::Recover(Recovery { domain, at, step }))
}

/// So few alarms that they end and begin again.
fn posted() -> impl Strategy<Value = Command> {
    let names = select(vec!["no-route", "recovery-guard"]);
    let turn = select(vec![Turn::Raised, Turn::Cleared]);
    (domain(), names, 1..3_u64, turn).prop_map(|(domain, name, since, turn)| {
        Command::NotePosted(Notice {
            domain,
            name: name.to_owned(),
            since: Timestamp(since),
            turn,
        })
    })
}

/// What makes mail too old, and what has left forgotten, within the span of the clocks.
const HASTY: &str = "[queue]\nmax_age = \"30m\"\nmax_age_total = \"90m\"\nretain_delivered = \"1h\"\nretain_rejected = \"1h\"\nhistory = \"2h\"\n";

/// Some places in the order of arrival that someone takes for too old.
fn expiry() -> impl Strategy<Value = Command> {
    (domain(), moment(), vec(1..60_u64, 1..20)).prop_map(|(domain, at, sequences)| {
        Command::Expire(Expire {
            domain,
            at,
            sequences,
        })
    })
}

/// The same, that someone takes for kept long enough.
fn lapse() -> impl Strategy<Value = Command> {
    (moment(), vec(1..60_u64, 1..20))
        .prop_map(|(at, sequences)| Command::Lapse(Lapse { at, sequences }))
}

/// Some letters that someone wants again, of one domain or of all.
fn replay() -> impl Strategy<Value = Command> {
    let ids = vec(letter().prop_map(Letter::id), 0..6);
    let domain = proptest::option::of(domain());
    (moment(), domain, moment(), ids).prop_map(|(since, domain, at, ids)| {
        Command::Replay(Replay {
            since,
            domain,
            at,
            ids,
        })
    })
}

/// A policy, with a list or without, or a text that is none.
fn policy() -> impl Strategy<Value = Document> {
    let listed = POLICY.replace("\"verify\"", "\"list\"") + "recipients_file = \"users\"\n";
    let with_list = |users: &str| Document {
        text: listed.clone(),
        lists: [("users".to_owned(), users.to_owned())].into(),
    };
    select(vec![
        Document::of_text(POLICY),
        Document::of_text(format!("# another\n{POLICY}")),
        Document::of_text(format!("{POLICY}recovery_guard = false\n")),
        Document::of_text(format!("{HASTY}{POLICY}")),
        Document::of_text(format!("{TALKATIVE}{POLICY}")),
        Document::of_text(format!("{HASTY}dsn = \"always\"\n{POLICY}")),
        with_list("anna@a.example\n"),
        with_list("anna@a.example\nbert@a.example\n"),
        with_list("anna\n"),
        Document::of_text("[[domain"),
    ])
}

/// Another policy in the place of one that is in force, or was, or never.
pub(crate) fn adoption() -> impl Strategy<Value = Command> {
    (policy(), 0..6_u64, moment()).prop_map(|(policy, replaces, at)| {
        Command::Adopt(Adopt {
            policy,
            replaces,
            at,
            by: "postmaster".to_owned(),
        })
    })
}

fn offers() -> impl Strategy<Value = Command> {
    let size_max = select(vec![None, Some(1_000), Some(2_000)]);
    (domain(), size_max, 0..4_u64, moment()).prop_map(|(domain, size_max, policy_version, at)| {
        Command::Offers {
            domain,
            offers: Offers {
                size_max,
                ..Offers::default()
            },
            policy_version,
            at,
        }
    })
}

fn starttls() -> impl Strategy<Value = Command> {
    let seen = (domain(), any::<bool>(), 0..4_u64, moment());
    seen.prop_map(|(domain, is_offered, policy_version, at)| {
        Command::Starttls(SeenStarttls {
            host: format!("mail.{domain}:25"),
            domain,
            is_offered,
            policy_version,
            at,
        })
    })
}

/// Some of a few visitors.
fn visits() -> impl Strategy<Value = Command> {
    (moment(), vec(0..6_u128, 0..4)).prop_map(|(at, visitors)| {
        let visitors = visitors.into_iter().map(Visitor).collect();
        Command::Visits(Visits { at, visitors })
    })
}

/// A few addresses, among them the one that nobody has.
const ADDRESSES: [&str; 4] = ["", "a@example.com", "b@example.com", "c@example.com"];

fn news() -> impl Strategy<Value = News> {
    let source = select(vec![Source::Delivery, Source::Probe, Source::Operator]);
    prop_oneof![
        4 => source.clone().prop_map(News::Valid),
        4 => source.prop_map(News::Unknown),
        1 => Just(News::Nothing),
    ]
}

pub(crate) fn fact() -> impl Strategy<Value = Fact> {
    (domain(), select(ADDRESSES.as_slice()), news()).prop_map(|(domain, address, news)| Fact {
        domain,
        address: address.to_owned(),
        news,
    })
}

/// What is learned at any moment of several months, so that some of it is too old at others.
pub(crate) fn lessons() -> impl Strategy<Value = Command> {
    (long_moment(), 0..4_u64, vec(fact(), 0..6)).prop_map(|(at, policy_version, facts)| {
        Command::Learn(Lessons {
            at,
            policy_version,
            facts,
        })
    })
}

pub(crate) fn long_moment() -> impl Strategy<Value = Timestamp> {
    (1..MONTHS_MS).prop_map(Timestamp)
}

/// One of a few actions, each at its own moment.
fn action() -> impl Strategy<Value = Action> {
    (0..8_u64, 0..3_u128).prop_map(|(hour, number)| {
        let at = Timestamp(hour * 1_800_000);
        Action {
            id: MessageId::new(at.0, number).0,
            at,
            by: "postmaster".to_owned(),
            what: "what he wants".to_owned(),
            reason: String::new(),
        }
    })
}

fn handling() -> impl Strategy<Value = Handling> {
    let verbs = vec![
        Verb::Hold,
        Verb::Release,
        Verb::Delete,
        Verb::Retry,
        Verb::Bounce,
    ];
    let ids = vec(letter_or_report().prop_map(Letter::id), 0..4);
    (select(verbs), action(), 1..4_u32, ids).prop_map(|(verb, action, batch, ids)| Handling {
        verb,
        action,
        batch,
        ids,
    })
}

fn pausing() -> impl Strategy<Value = Command> {
    let until = proptest::option::of(moment());
    prop_oneof![
        (domain(), until, action()).prop_map(|(domain, until, action)| Command::Pause {
            domain,
            until,
            action,
        }),
        (domain(), action()).prop_map(|(domain, action)| Command::Resume { domain, action }),
        action().prop_map(Command::Note),
    ]
}

/// Anything, in any order, with any clock.
pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => Just(found()),
        1 => adoption(),
        8 => (letter(), 0..4_u32, moment()).prop_map(|(letter, number, at)| {
            let most = letter.pieces().max(1);
            letter.stage(number % (most + 1), at)
        }),
        8 => (letter(), moment(), confirmed()).prop_map(|(letter, at, mut confirmed)| {
            // Nobody has read the 250 of a message that is not sent yet.
            confirmed.retain(|id| *id != letter.id());
            letter.accept_after(at, confirmed)
        }),
        2 => confirmed().prop_map(|ids| Command::Confirm { ids }),
        2 => letter().prop_map(Letter::discard),
        8 => report(),
        2 => (letter(), moment()).prop_map(|(letter, at)| letter.delivered(at)),
        8 => notification(),
        2 => delay(),
        4 => claims().prop_map(Command::Claim),
        1 => claims().prop_map(Command::Release),
        2 => observation(),
        4 => recovery(),
        2 => posted(),
        2 => expiry(),
        2 => lapse(),
        2 => replay(),
        1 => moment().prop_map(|until| Command::Relinquish { until }),
        1 => offers(),
        1 => starttls(),
        2 => visits(),
        1 => (proptest::option::of(domain()), moment())
            .prop_map(|(domain, at)| Command::Flush { domain, at }),
        4 => lessons(),
        6 => handling().prop_map(Command::Handle),
        2 => pausing(),
        1 => moment().prop_map(|at| Command::Sweep { at }),
        1 => long_moment().prop_map(|at| Command::Sweep { at }),
    ]
}

/// In half of all cases every sender is told, from the beginning.
pub(crate) fn any_commands() -> impl Strategy<Value = Vec<Command>> {
    (any::<bool>(), vec(any_command(), 1..80)).prop_map(|(is_talkative, commands)| {
        let founding = is_talkative.then(|| found_with(TALKATIVE));
        founding.into_iter().chain(commands).collect()
    })
}

/// What those who follow the rules propose: each letter is staged in order and then accepted or
/// given up, nobody reports on what was not accepted, and nothing lasts long enough to be swept.
/// The letters are mixed as they come.
pub(crate) fn orderly_commands() -> impl Strategy<Value = Vec<Command>> {
    let letters = (0..LETTERS).map(Letter);
    let lives = letters.flat_map(|letter| [life(letter), life(letter.again())]);
    let turns = vec(0..2 * LETTERS as usize, 0..100);
    let lives = lives.collect::<Vec<_>>();
    (any::<bool>(), lives, turns).prop_map(|(is_talkative, lives, turns)| {
        let mut lives: Vec<_> = lives.into_iter().map(Vec::into_iter).collect();
        let founding = is_talkative.then(|| found_with(TALKATIVE));
        let mut commands: Vec<Command> = founding.into_iter().collect();
        commands.extend(turns.into_iter().filter_map(|turn| lives[turn].next()));
        commands.extend(lives.into_iter().flatten());
        commands
    })
}

fn life(letter: Letter) -> impl Strategy<Value = Vec<Command>> {
    let reports = vec((moment(), verdicts()), 0..6);
    let notices = vec((kind(), 0..3_u32), 0..4);
    let ends = (reports, notices);
    (any::<[bool; 2]>(), moment(), ends).prop_map(move |([gives_up, reads], at, ends)| {
        let (reports, notices) = ends;
        let pieces = (0..letter.pieces()).map(|number| letter.stage(number, at));
        let mut commands: Vec<Command> = pieces.collect();
        if gives_up {
            commands.push(letter.discard());
        } else {
            commands.push(letter.accept(at));
            commands.extend(reads.then(|| letter.confirm()));
            let reports = reports.into_iter();
            commands.extend(reports.map(|(at, verdicts)| letter.report(at, verdicts)));
            let notices = notices.into_iter();
            commands.extend(notices.map(|(kind, number)| letter.notify(kind, &[number], at)));
        }
        commands
    })
}

/// Where repeats of a script's commands go: each command's copies, so many entries later.
pub(crate) fn repeats() -> impl Strategy<Value = Vec<Vec<usize>>> {
    vec(vec(0..40_usize, 0..3), 200)
}

/// A script with repeats in it. The first of each command keeps its order.
pub(crate) fn with_repeats(commands: &[Command], repeats: &[Vec<usize>]) -> Vec<Command> {
    let mut placed: Vec<(usize, Command)> = Vec::new();
    for (place, command) in commands.iter().enumerate() {
        placed.push((place, command.clone()));
        let delays = repeats.get(place).into_iter().flatten();
        placed.extend(delays.map(|delay| (place + delay, command.clone())));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, command)| command).collect()
}
