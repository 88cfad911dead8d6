//! The field `Authentication-Results` that tells the primary what was found out (RFC 8601).

use core::fmt::Write as _;

use smtp::ReversePath;
use spool::Finding;

use super::findings::{Checked, Dmarc, Findings, plain_domain};

/// The whole field with its final CRLF: ASCII, a line for each result, and none of them long. What a
/// client said stands in it only where it can not be taken for anything else.
pub(super) fn field(id: &str, findings: &Findings, sender: &ReversePath, helo: &str) -> String {
    let mut field = String::with_capacity(300);
    let _ = write!(field, "Authentication-Results: {id}");
    write_spf(&mut field, findings, sender, helo);
    if findings.dkim.is_empty() {
        field.push_str(";\r\n\tdkim=none");
    }
    for checked in &findings.dkim {
        write_dkim(&mut field, checked);
    }
    write_dmarc(&mut field, &findings.dmarc);
    field.push_str("\r\n");
    field
}

/// Of the reverse-path only the domain is told: a local part may be `dkim=pass`. It is what SPF is about anyway.
///
/// Of the name of EHLO something is told only where nothing else is claimed. Otherwise whoever looks for
/// `spf=pass` would find it in the forged mail of anybody whose own name is in order.
fn write_spf(field: &mut String, findings: &Findings, sender: &ReversePath, helo: &str) {
    let (finding, property) = match sender {
        ReversePath::Mailbox(mailbox) => (
            findings.spf,
            ("smtp.mailfrom", plain_domain(&mailbox.domain)),
        ),
        ReversePath::Null => (findings.spf_helo, ("smtp.helo", plain_domain(helo))),
    };
    write_result(field, "spf", finding);
    if let (name, Some(value)) = property {
        let _ = write!(field, " {name}={value}");
    }
}

fn write_dkim(field: &mut String, checked: &Checked) {
    write_result(field, "dkim", checked.finding);
    if let Some(reason) = checked.reason {
        let _ = write!(field, " reason=\"{reason}\"");
    }
    if let Some(domain) = plain_domain(&checked.domain) {
        let _ = write!(field, " header.d={domain}");
    }
    if let Some(selector) = plain_domain(&checked.selector) {
        let _ = write!(field, "\r\n\t\theader.s={selector}");
    }
}

fn write_dmarc(field: &mut String, dmarc: &Dmarc) {
    write_result(field, "dmarc", dmarc.finding);
    if let Some(policy) = dmarc.policy {
        let _ = write!(field, " (p={policy})");
    }
    if let Some(domain) = plain_domain(&dmarc.domain) {
        let _ = write!(field, " header.from={domain}");
    }
}

fn write_result(field: &mut String, method: &str, finding: Finding) {
    let _ = write!(field, ";\r\n\t{method}={finding}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smtp::Mailbox;

    use super::*;

    fn sender(local_part: &str, domain: &str) -> ReversePath {
        ReversePath::Mailbox(Mailbox {
            local_part: local_part.into(),
            domain: domain.into(),
        })
    }

    fn findings() -> Findings {
        Findings {
            spf: Finding::SoftFail,
            spf_helo: Finding::Pass,
            dkim: Vec::new(),
            dmarc: Dmarc::default(),
        }
    }

    fn signature(
        finding: Finding,
        reason: Option<&'static str>,
        domain: &str,
        selector: &str,
    ) -> Checked {
        Checked {
            finding,
            reason,
            domain: domain.into(),
            selector: selector.into(),
        }
    }

    #[test]
    fn every_result_has_its_line() {
        let mut findings = findings();
        findings.dkim = vec![
            signature(Finding::Pass, None, "sender.example", "s1"),
            signature(
                Finding::Fail,
                Some("the body was changed"),
                "Lists.Example.",
                "a.b",
            ),
        ];
        findings.dmarc = Dmarc {
            finding: Finding::Pass,
            domain: "sender.example".into(),
            policy: Some("reject"),
        };
        let expected = "Authentication-Results: mx.example.net;\r\n\
            \tspf=softfail smtp.mailfrom=sender.example;\r\n\
            \tdkim=pass header.d=sender.example\r\n\t\theader.s=s1;\r\n\
            \tdkim=fail reason=\"the body was changed\" header.d=lists.example\r\n\t\theader.s=a.b;\r\n\
            \tdmarc=pass (p=reject) header.from=sender.example\r\n";
        let path = sender("a+b", "Sender.example");
        assert_eq!(
            field("mx.example.net", &findings, &path, "client.example"),
            expected
        );
    }

    #[test]
    fn helo_is_told_of_only_where_there_is_no_sender() {
        let expected = "Authentication-Results: mx.example.net;\r\n\
            \tspf=pass smtp.helo=client.example;\r\n\
            \tdkim=none;\r\n\
            \tdmarc=none\r\n";
        let with = |helo| field("mx.example.net", &findings(), &ReversePath::Null, helo);
        assert_eq!(with("client.example"), expected);
        assert!(with("[192.0.2.1]").contains("\tspf=pass;\r\n"));
    }

    #[test]
    fn of_the_sender_only_a_domain_is_told() {
        for (local_part, domain, told) in [
            ("a b", "sender.example", " smtp.mailfrom=sender.example;"),
            ("dmarc=pass", "evil.example", " smtp.mailfrom=evil.example;"),
            (
                "a",
                "b\u{fc}cher.example",
                " smtp.mailfrom=xn--bcher-kva.example;",
            ),
            ("a", "[192.0.2.1]", "\tspf=softfail;"),
            ("a", "x; dkim=pass", "\tspf=softfail;"),
        ] {
            let field = field("mx", &findings(), &sender(local_part, domain), "x");
            assert!(field.contains(told), "{field}");
        }
    }

    proptest! {
        /// Whatever a client says, the field is one field, short of line, and says what was found.
        #[test]
        fn nothing_that_is_said_breaks_the_field(
            (local_part, domain, helo) in ("(?s).{0,300}", "(?s).{0,300}", "(?s).{0,300}"),
            (signer, selector) in ("(?s).{0,300}", "(?s).{0,300}"),
            is_null in any::<bool>(),
        ) {
            let mut findings = findings();
            findings.dkim = vec![signature(Finding::Neutral, None, &signer, &selector); 8];
            findings.dmarc.domain.clone_from(&signer);
            let path = if is_null { ReversePath::Null } else { sender(&local_part, &domain) };
            let field = field("mx.example.net", &findings, &path, &helo);
            prop_assert!(field.is_ascii() && field.len() < 16 * 1024);
            let lines: Vec<&str> = field.split("\r\n").collect();
            prop_assert_eq!(lines.last(), Some(&""));
            for line in &lines {
                prop_assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0', '(']));
            }
            for line in &lines[1..lines.len() - 1] {
                prop_assert!(line.starts_with('\t'));
            }
            prop_assert_eq!(field.matches(';').count(), 1 + 8 + 1);
            prop_assert_eq!(field.matches('"').count(), 0);
        }
    }
}
