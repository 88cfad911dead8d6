//! Senders are told what they are owed.

use smtp::ReversePath;

use super::*;

fn from_sender(message: &mut spool::Message) {
    let (sender, _) = ReversePath::parse("<a@sender.example>").unwrap();
    message.reverse_path = sender;
}

fn wanting_success(message: &mut spool::Message) {
    from_sender(message);
    message.recipients[0].dsn.notify = Some("SUCCESS".parse().unwrap());
}

/// The verdicts of all reports of deliveries.
fn verdicts(outbox: &MapOutbox) -> Vec<Verdict> {
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
