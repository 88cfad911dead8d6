use smtp::EnhancedCode;

use super::*;

fn reply(code: u16, text: &str) -> Reply {
    let class = u8::try_from(code / 100).unwrap();
    Reply::new(code, EnhancedCode::new(class, 0, 0), text)
}

fn judged(verdict: Verdict, is_sentry: bool) -> Result<(MessageId, Reply), NotTaken> {
    let canary = "postmaster@example.com".parse().unwrap();
    let sending = Sending {
        hostname: "mx1.example.net",
        canary: &canary,
        is_sentry,
        id: MessageId::new(1, 1),
        at: Timestamp(1),
    };
    judge(verdict, &sending)
}

#[test]
fn what_is_taken_is_followed_by_the_id_that_the_reply_names() {
    let id = MessageId::new(1_700_000_000_000, 7);
    let taken = reply(250, &format!("Ok: queued as {id}"));
    let verdict = Verdict::Delivered(taken.clone());
    assert_eq!(judged(verdict, false), Ok((id, taken)));
    let nameless = judged(Verdict::Delivered(reply(250, "Ok")), false).unwrap_err();
    assert!(nameless.words.contains("named no id"), "{nameless:?}");
}

#[test]
fn what_is_not_taken_says_what_to_do() {
    let later = judged(Verdict::Deferred(reply(451, "no quorum")), false).unwrap_err();
    assert!(later.words.contains("no quorum"), "{later:?}");
    assert!(later.advice.contains("layover status"), "{later:?}");
    let unknown = judged(Verdict::Unknown(reply(550, "no such user")), false).unwrap_err();
    assert!(unknown.words.contains("no such user"), "{unknown:?}");
    let advice = &unknown.advice;
    assert!(advice.contains("postmaster@example.com"), "{unknown:?}");
    assert!(!later.is_meant && !unknown.is_meant);
}

#[test]
fn a_sentry_that_puts_a_drill_off_does_what_it_is_for() {
    let verdict = || Verdict::Deferred(reply(450, "the primary is up"));
    assert!(judged(verdict(), true).unwrap_err().is_meant);
    let refused = judged(Verdict::Unknown(reply(550, "no")), true);
    assert!(!refused.unwrap_err().is_meant);
}

#[test]
fn a_host_without_an_address_is_told_so() {
    let nowhere = host(&Addresses::Known(Vec::new()), "mx1.example.net").unwrap_err();
    assert!(nowhere.advice.contains("layover doctor"), "{nowhere:?}");
    let untold = Addresses::Untold("dns does not answer".to_owned());
    let untold = host(&untold, "mx1.example.net").unwrap_err();
    assert!(untold.words.contains("dns does not answer"), "{untold:?}");
    let known = Addresses::Known(vec!["192.0.2.1".parse().unwrap()]);
    let known = host(&known, "mx1.example.net").unwrap();
    assert_eq!(known.name, "mx1.example.net:25");
    assert_eq!(known.addresses, ["192.0.2.1:25".parse().unwrap()]);
}
