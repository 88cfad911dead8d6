//! Senders are told what they are owed.

use smtp::{ForwardPath, ReversePath, dsn};
use spool::notice::{self, Kind};

use super::outbox::Damage;
use super::*;
use crate::report::limits::RECIPIENTS_MAX;

fn from_sender(message: &mut spool::Message) {
    let (sender, _) = ReversePath::parse("<a@sender.example>").unwrap();
    message.reverse_path = sender;
}

fn wanting_success(message: &mut spool::Message) {
    from_sender(message);
    message.recipients[0].dsn.notify = Some("SUCCESS".parse().unwrap());
}

fn owe(message: &mut spool::Message) {
    from_sender(message);
    for recipient in &mut message.recipients {
        let reply = "550 5.1.1 no such user".to_owned();
        let at = Timestamp(1);
        recipient.status = Status::Rejected { at, reply };
        recipient.owed = Some(Kind::Failed);
    }
}

/// The verdicts of all reports of deliveries.
pub(super) fn verdicts(outbox: &MapOutbox) -> Vec<Verdict> {
    let state = outbox.state.lock().unwrap();
    let attempts = state.reports.iter().flat_map(|report| &report.attempts);
    let verdicts = attempts.flat_map(|attempt| &attempt.verdicts);
    verdicts.map(|(_, verdict)| verdict.clone()).collect()
}

#[tokio::test]
async fn what_goes_to_a_host_that_reports_nothing_is_told_where_that_is_wanted() {
    let taken = "250 2.0.0 taken".to_owned();
    for (offer, verdict) in [
        (
            "250-primary.test\r\n250 SIZE 1000",
            Verdict::Relayed(taken.clone()),
        ),
        (
            "250-primary.test\r\n250 DSN",
            Verdict::Delivered(taken.clone()),
        ),
    ] {
        let (_primary, outbox) = setup(offering(offer), NEVER).await;
        outbox.queue_as(&["a", "b"], BODY, wanting_success);
        let running = Running::start(&outbox);
        until("empty", || outbox.is_empty()).await;
        running.stop().await.unwrap();
        assert_eq!(
            verdicts(&outbox),
            [verdict, Verdict::Delivered(taken.clone())]
        );
    }
}

#[tokio::test]
async fn a_report_is_spooled_for_what_is_owed_and_only_once() {
    let (_primary, outbox) = setup(usual(), NEVER).await;
    let told = |count| move |outbox: &MapOutbox| outbox.state.lock().unwrap().told.len() >= count;
    outbox.queue_as(&["a", "b"], BODY, owe);
    let running = Running::start(&outbox);
    until("told", || told(1)(&outbox)).await;
    let many: Vec<String> = (0..=RECIPIENTS_MAX).map(|n| format!("user{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    outbox.queue_as(&many, BODY, owe);
    until("told in two parts", || told(3)(&outbox)).await;
    running.stop().await.unwrap();
    let state = outbox.state.lock().unwrap();
    let recipients: Vec<usize> = state.told.iter().map(|it| it.recipients.len()).collect();
    assert_eq!(recipients, [2, RECIPIENTS_MAX, 1]);
    let report = &state.told[0].report;
    assert_eq!(report.reverse_path, ReversePath::Null);
    assert_eq!(report.dsn, dsn::PerMessage::default());
    let (to, queue) = &report.recipients[0];
    let (sender, _) = ForwardPath::parse("<a@sender.example>").unwrap();
    assert_eq!((&to.path, queue.as_str()), (&sender, notice::QUEUE));
    assert_eq!(report.tail.len() as u64, report.size);
    let text = str::from_utf8(&report.tail).unwrap();
    assert!(text.contains("Reporting-MTA: dns; node.test\r\n"), "{text}");
    assert!(
        text.contains("Final-Recipient: rfc822; b@example.com\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_sender_in_one_of_our_domains_is_told_by_that_domains_queue() {
    let (_primary, outbox) = setup(usual(), NEVER).await;
    outbox.queue_as(&["a"], BODY, |message| {
        owe(message);
        let (sender, _) = ReversePath::parse("<b@Example.com>").unwrap();
        message.reverse_path = sender;
    });
    let running = Running::start(&outbox);
    until("told", || !outbox.state.lock().unwrap().told.is_empty()).await;
    running.stop().await.unwrap();
    let state = outbox.state.lock().unwrap();
    let report = &state.told[0].report;
    assert_eq!(report.recipients[0].1, DOMAIN);
    assert!(
        report.client.is_nobody(),
        "no client to tell that primary of"
    );
}

#[tokio::test]
async fn a_message_that_can_not_be_read_is_told_of_without_its_header() {
    let (_primary, outbox) = setup(usual(), NEVER).await;
    let sequence = outbox.queue_as(&["a"], BODY, |message| {
        owe(message);
        // The piece that is spoilt is the first.
        message.body.pieces.reverse();
    });
    outbox.spoil(sequence, Damage::Missing);
    let running = Running::start(&outbox);
    until("told", || !outbox.state.lock().unwrap().told.is_empty()).await;
    running.stop().await.unwrap();
    let state = outbox.state.lock().unwrap();
    let text = str::from_utf8(&state.told[0].report.tail).unwrap();
    assert!(!text.contains("rfc822-headers"), "{text}");
}
