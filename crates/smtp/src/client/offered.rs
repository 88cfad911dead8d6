//! What a reply to EHLO offers.

use crate::extensions::{Attribute, Limits};
use crate::{Extensions, Reply};

/// Reads the lines behind the first (RFC 5321 section 4.1.1.1). What is not known is passed over.
pub(super) fn offered_by(reply: &Reply) -> Extensions {
    let mut extensions = Extensions::default();
    for line in reply.lines.iter().skip(1) {
        let mut words = line.split_ascii_whitespace();
        let Some(keyword) = words.next() else {
            continue;
        };
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => extensions.pipelining = true,
            "SIZE" => {
                let limit = words.next().and_then(|word| word.parse().ok());
                extensions.size = Some(limit.unwrap_or(0));
            }
            "8BITMIME" => extensions.eight_bit_mime = true,
            "ENHANCEDSTATUSCODES" => extensions.enhanced_status_codes = true,
            "STARTTLS" => extensions.starttls = true,
            "SMTPUTF8" => extensions.smtputf8 = true,
            "CHUNKING" => extensions.chunking = true,
            "BINARYMIME" => extensions.binary_mime = true,
            "DSN" => extensions.dsn = true,
            "ETRN" => extensions.etrn = true,
            "LIMITS" => {
                for limit in words {
                    read_limit(limit, &mut extensions.limits);
                }
            }
            "XCLIENT" => extensions.xclient = words.filter_map(attribute).collect(),
            "XFORWARD" => extensions.xforward = words.filter_map(attribute).collect(),
            _ => {}
        }
    }
    extensions
}

fn attribute(word: &str) -> Option<Attribute> {
    let mut known = Attribute::ALL.into_iter();
    known.find(|attribute| attribute.keyword().eq_ignore_ascii_case(word))
}

/// One `NAME=VALUE` of LIMITS (RFC 9422 section 3). A limit of 0 would let nothing pass, and is none.
fn read_limit(limit: &str, limits: &mut Limits) {
    let Some((name, value)) = limit.split_once('=') else {
        return;
    };
    let value = value.parse().ok().filter(|value| *value > 0);
    match name.to_ascii_uppercase().as_str() {
        "MAILMAX" => limits.messages = value,
        "RCPTMAX" => limits.recipients = value,
        "RCPTDOMAINMAX" => limits.recipient_domains = value,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(lines: &[&str]) -> Extensions {
        let mut reply = Reply::plain(250, "mx.primary.test SIZE 7");
        reply
            .lines
            .extend(lines.iter().map(|line| (*line).to_owned()));
        offered_by(&reply)
    }

    #[test]
    fn keywords_are_read_in_any_case_and_the_first_line_is_a_name() {
        assert_eq!(offered(&[]), Extensions::default());
        let all = offered(&[
            "Pipelining",
            "size 1000",
            "8bitmime",
            "EnhancedStatusCodes",
            "StartTls",
            "SmtpUtf8",
            "chunking",
            "BinaryMime",
            "dsn",
            "etrn",
            "limits rcptmax=100 MailMax=20 RcptDomainMax=3",
            "XClient NAME addr LOGIN",
            "XFORWARD helo",
            "X-UNKNOWN whatever",
            "",
        ]);
        let expected = Extensions {
            pipelining: true,
            size: Some(1000),
            eight_bit_mime: true,
            enhanced_status_codes: true,
            starttls: true,
            smtputf8: true,
            chunking: true,
            binary_mime: true,
            dsn: true,
            etrn: true,
            limits: Limits {
                messages: Some(20),
                recipients: Some(100),
                recipient_domains: Some(3),
            },
            xclient: [Attribute::Name, Attribute::Address].into(),
            xforward: [Attribute::Helo].into(),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_none() {
        assert_eq!(offered(&["SIZE"]).size, Some(0));
        assert_eq!(offered(&["SIZE lots"]).size, Some(0));
        let senseless = offered(&["LIMITS RCPTMAX=0 MAILMAX=-1 RCPTMAX MAILMAX= x=1 ="]);
        assert_eq!(senseless.limits, Limits::default());
    }
}
