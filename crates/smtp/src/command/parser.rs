//! From a line to a command.

use super::{Command, CommandError, EtrnNode};
use crate::{
    BodyType, Envelope, ForwardPath, Recipient, ReversePath,
    address::{AddressError, holds_unseen, is_domain},
    limits::{DOMAIN_MAX, HELO_MAX},
};

const EHLO_SYNTAX: &str = "EHLO hostname";
const HELO_SYNTAX: &str = "HELO hostname";
const MAIL_SYNTAX: &str = "MAIL FROM:<address>";
const RCPT_SYNTAX: &str = "RCPT TO:<address>";
const ETRN_SYNTAX: &str = "ETRN domain, @domain or #queue";

/// Digits of the largest SIZE (RFC 1870 section 4), and of the largest chunk.
const SIZE_DIGITS_MAX: usize = 20;

pub(super) fn parse(line: &[u8]) -> Result<Command, CommandError> {
    let line = line.trim_ascii_end();
    let end = line
        .iter()
        .position(|&octet| octet == b' ')
        .unwrap_or(line.len());
    let (verb, arguments) = line.split_at(end);
    if verb.eq_ignore_ascii_case(b"EHLO") {
        return Ok(Command::Ehlo(host_name(arguments, EHLO_SYNTAX)?));
    }
    if verb.eq_ignore_ascii_case(b"HELO") {
        return Ok(Command::Helo(host_name(arguments, HELO_SYNTAX)?));
    }
    let is = |name: &str| verb.eq_ignore_ascii_case(name.as_bytes());
    if line.iter().any(u8::is_ascii_control) {
        return Err(if is("BDAT") {
            CommandError::Chunk(None)
        } else {
            CommandError::ControlCharacter
        });
    }
    if is("MAIL") {
        return mail(arguments);
    }
    if is("RCPT") {
        return rcpt(arguments);
    }
    if is("BDAT") {
        return bdat(arguments);
    }
    if is("ETRN") {
        return etrn(arguments);
    }
    let (command, syntax) = if is("DATA") {
        (Command::Data, "DATA")
    } else if is("RSET") {
        (Command::Rset, "RSET")
    } else if is("QUIT") {
        (Command::Quit, "QUIT")
    } else if is("STARTTLS") {
        (Command::StartTls, "STARTTLS")
    } else if is("NOOP") {
        return Ok(Command::Noop);
    } else if is("HELP") {
        return Ok(Command::Help);
    } else if is("VRFY") {
        let asked = !arguments.is_empty();
        return if asked {
            Ok(Command::Vrfy)
        } else {
            Err(CommandError::Syntax("VRFY address"))
        };
    } else if is("EXPN") {
        return Err(CommandError::NotImplemented);
    } else if is("GET") || is("POST") || is("CONNECT") {
        return Err(CommandError::OtherProtocol);
    } else {
        return Err(CommandError::Unknown);
    };
    if arguments.is_empty() {
        Ok(command)
    } else {
        Err(CommandError::Syntax(syntax))
    }
}

/// The client's name for itself. Hosts that have their names wrong send mail too, so nothing but
/// its absence is an error; what could not stand in a log or a `Received` field becomes `?`.
fn host_name(arguments: &[u8], syntax: &'static str) -> Result<String, CommandError> {
    let name = arguments.trim_ascii();
    if name.is_empty() {
        return Err(CommandError::Syntax(syntax));
    }
    let printable = |&octet: &u8| {
        if octet.is_ascii_graphic() {
            char::from(octet)
        } else {
            '?'
        }
    };
    Ok(name.iter().take(HELO_MAX).map(printable).collect())
}

fn mail(arguments: &[u8]) -> Result<Command, CommandError> {
    let path = after_keyword(arguments, b"FROM:").ok_or(CommandError::Syntax(MAIL_SYNTAX))?;
    let path =
        core::str::from_utf8(path).map_err(|_| CommandError::Sender(AddressError::NotUtf8))?;
    let (reverse_path, parameters) = ReversePath::parse(path).map_err(CommandError::Sender)?;
    let mut envelope = Envelope::new(reverse_path);
    let mut body_type = None;
    for parameter in parameters_of(parameters, MAIL_SYNTAX)? {
        let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if keyword.eq_ignore_ascii_case("SIZE") {
            once("SIZE", &mut envelope.declared_size, octets(value))?;
        } else if keyword.eq_ignore_ascii_case("BODY") {
            once("BODY", &mut body_type, body(value))?;
        } else if keyword.eq_ignore_ascii_case("SMTPUTF8") {
            let repeated = core::mem::replace(&mut envelope.smtputf8, true);
            if repeated || parameter.contains('=') {
                return Err(CommandError::ParameterValue("SMTPUTF8"));
            }
        } else if keyword.eq_ignore_ascii_case("RET") {
            once("RET", &mut envelope.dsn.ret, value.parse().ok())?;
        } else if keyword.eq_ignore_ascii_case("ENVID") {
            once("ENVID", &mut envelope.dsn.envid, value.parse().ok())?;
        } else {
            return Err(CommandError::Parameter);
        }
    }
    envelope.body_type = body_type.unwrap_or_default();
    Ok(Command::Mail(Box::new(envelope)))
}

fn rcpt(arguments: &[u8]) -> Result<Command, CommandError> {
    let path = after_keyword(arguments, b"TO:").ok_or(CommandError::Syntax(RCPT_SYNTAX))?;
    let path =
        core::str::from_utf8(path).map_err(|_| CommandError::Recipient(AddressError::NotUtf8))?;
    let (forward_path, parameters) = ForwardPath::parse(path).map_err(CommandError::Recipient)?;
    let mut recipient = Recipient::from(forward_path);
    for parameter in parameters_of(parameters, RCPT_SYNTAX)? {
        let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if keyword.eq_ignore_ascii_case("NOTIFY") {
            once("NOTIFY", &mut recipient.dsn.notify, value.parse().ok())?;
        } else if keyword.eq_ignore_ascii_case("ORCPT") {
            let original = value.parse().ok().filter(|_| !holds_unseen(value));
            once("ORCPT", &mut recipient.dsn.orcpt, original)?;
        } else {
            return Err(CommandError::Parameter);
        }
    }
    Ok(Command::Rcpt(recipient))
}

/// What follows `FROM:` or `TO:`. Many clients put a space behind the colon, which RFC 5321
/// section 3.3 forbids and every server takes.
fn after_keyword<'a>(arguments: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = arguments
        .trim_ascii_start()
        .split_at_checked(keyword.len())?;
    front
        .eq_ignore_ascii_case(keyword)
        .then(|| rest.trim_ascii_start())
}

/// The words behind a path, from which a space must part them.
fn parameters_of<'a>(
    text: &'a str,
    syntax: &'static str,
) -> Result<impl Iterator<Item = &'a str>, CommandError> {
    if text.is_empty() || text.starts_with(' ') {
        Ok(text.split_ascii_whitespace())
    } else {
        Err(CommandError::Syntax(syntax))
    }
}

/// Notes what a parameter says. It has to be understood, and to be said once.
fn once<T>(
    keyword: &'static str,
    slot: &mut Option<T>,
    value: Option<T>,
) -> Result<(), CommandError> {
    if value.is_none() || slot.is_some() {
        return Err(CommandError::ParameterValue(keyword));
    }
    *slot = value;
    Ok(())
}

/// Twenty digits may pass u64; so much is too big for anyone.
fn octets(digits: &str) -> Option<u64> {
    let is_number = (1..=SIZE_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The size counts also where the rest is wrong: so many octets are no commands.
fn bdat(arguments: &[u8]) -> Result<Command, CommandError> {
    let arguments = core::str::from_utf8(arguments).unwrap_or_default();
    let mut words = arguments.split_ascii_whitespace();
    let octets = words.next().and_then(octets);
    let last = match words.next() {
        None => Some(false),
        Some(word) => word.eq_ignore_ascii_case("LAST").then_some(true),
    };
    match (octets, last, words.next()) {
        (Some(octets), Some(last), None) => Ok(Command::Bdat { octets, last }),
        _ => Err(CommandError::Chunk(octets)),
    }
}

fn etrn(arguments: &[u8]) -> Result<Command, CommandError> {
    let node = core::str::from_utf8(arguments.trim_ascii())
        .ok()
        .filter(|node| node.len() <= DOMAIN_MAX && node.bytes().all(|b| b.is_ascii_graphic()))
        .and_then(etrn_node);
    node.map(Command::Etrn)
        .ok_or(CommandError::Syntax(ETRN_SYNTAX))
}

fn etrn_node(text: &str) -> Option<EtrnNode> {
    if let Some(queue) = text.strip_prefix('#') {
        return (!queue.is_empty()).then(|| EtrnNode::Queue(queue.to_owned()));
    }
    let domain = |text: &str| {
        let name = text.strip_suffix('.').unwrap_or(text);
        is_domain(name).then(|| name.to_owned())
    };
    match text.strip_prefix('@') {
        Some(text) => domain(text).map(EtrnNode::Subdomains),
        None => domain(text).map(EtrnNode::Domain),
    }
}

fn body(value: &str) -> Option<BodyType> {
    if value.eq_ignore_ascii_case("7BIT") {
        Some(BodyType::SevenBit)
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Some(BodyType::EightBitMime)
    } else if value.eq_ignore_ascii_case("BINARYMIME") {
        Some(BodyType::BinaryMime)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_mail(line: &str) -> Envelope {
        match parse(line.as_bytes()) {
            Ok(Command::Mail(envelope)) => *envelope,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn verbs_are_read_in_any_case_and_with_trailing_spaces() {
        let bdat = |octets, last| Command::Bdat { octets, last };
        let etrn = |node: fn(String) -> EtrnNode, name: &str| Command::Etrn(node(name.to_owned()));
        for (line, expected) in [
            ("data", Command::Data),
            ("DaTa  ", Command::Data),
            ("rset", Command::Rset),
            ("noop whatever you like", Command::Noop),
            ("Quit", Command::Quit),
            ("vrfy someone", Command::Vrfy),
            ("help mail", Command::Help),
            ("starttls", Command::StartTls),
            ("bdat 0 last", bdat(0, true)),
            ("BDAT  86", bdat(86, false)),
            ("BDAT 99999999999999999999", bdat(u64::MAX, false)),
            ("etrn  Example.com. ", etrn(EtrnNode::Domain, "Example.com")),
            ("ETRN @a.example", etrn(EtrnNode::Subdomains, "a.example")),
            ("ETRN #a", etrn(EtrnNode::Queue, "a")),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(expected), "{line}");
        }
    }

    #[test]
    fn lines_that_are_no_command_say_why() {
        for (line, expected) in [
            ("", CommandError::Unknown),
            (" NOOP", CommandError::Unknown),
            ("MAILFROM:<a@b>", CommandError::Unknown),
            ("ETRN", CommandError::Syntax(ETRN_SYNTAX)),
            ("ETRN #", CommandError::Syntax(ETRN_SYNTAX)),
            ("ETRN @", CommandError::Syntax(ETRN_SYNTAX)),
            ("ETRN a@b", CommandError::Syntax(ETRN_SYNTAX)),
            ("ETRN *.example.com", CommandError::Syntax(ETRN_SYNTAX)),
            (
                "ETRN a.example b.example",
                CommandError::Syntax(ETRN_SYNTAX),
            ),
            ("ETRN \u{e4}.example", CommandError::Syntax(ETRN_SYNTAX)),
            ("EXPN list", CommandError::NotImplemented),
            ("POST / HTTP/1.1", CommandError::OtherProtocol),
            ("NOOP \0", CommandError::ControlCharacter),
            ("NOOP a\rb", CommandError::ControlCharacter),
            ("DATA now", CommandError::Syntax("DATA")),
            ("EHLO", CommandError::Syntax(EHLO_SYNTAX)),
            ("VRFY", CommandError::Syntax("VRFY address")),
            ("MAIL <a@b>", CommandError::Syntax(MAIL_SYNTAX)),
            ("RCPT FROM:<a@b>", CommandError::Syntax(RCPT_SYNTAX)),
            ("MAIL FROM:<a@b>SIZE=1", CommandError::Syntax(MAIL_SYNTAX)),
            (
                "MAIL FROM:a@b",
                CommandError::Sender(AddressError::Brackets),
            ),
            ("BDAT", CommandError::Chunk(None)),
            ("BDAT LAST", CommandError::Chunk(None)),
            ("BDAT 4 \0", CommandError::Chunk(None)),
            ("BDAT -1", CommandError::Chunk(None)),
            ("BDAT +1", CommandError::Chunk(None)),
            ("BDAT 1 FIRST", CommandError::Chunk(Some(1))),
            ("BDAT 1 LAST LAST", CommandError::Chunk(Some(1))),
            ("BDAT 100000000000000000000", CommandError::Chunk(None)),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(expected), "{line}");
        }
        let latin = b"RCPT TO:<\xe4@b>";
        assert_eq!(
            parse(latin),
            Err(CommandError::Recipient(AddressError::NotUtf8))
        );
    }

    #[test]
    fn parameters_that_are_wrong_or_not_offered_are_told_apart() {
        let wrong = CommandError::ParameterValue;
        for (line, expected) in [
            ("RCPT TO:<a@b> SIZE=1", CommandError::Parameter),
            ("RCPT TO:<a@b> NOTIFY", wrong("NOTIFY")),
            ("RCPT TO:<a@b> NOTIFY=NEVER notify=NEVER", wrong("NOTIFY")),
            (
                "RCPT TO:<a@b> ORCPT=rfc822;a ORCPT=rfc822;a",
                wrong("ORCPT"),
            ),
            ("MAIL FROM:<a@b> RET=FULL RET=FULL", wrong("RET")),
            ("MAIL FROM:<a@b> ENVID=x ENVID=x", wrong("ENVID")),
            ("MAIL FROM:<a@b> AUTH=<>", CommandError::Parameter),
            ("MAIL FROM:<a@b> SIZE", wrong("SIZE")),
            ("MAIL FROM:<a@b> SIZE=-1", wrong("SIZE")),
            ("MAIL FROM:<a@b> SMTPUTF8=", wrong("SMTPUTF8")),
            ("MAIL FROM:<a@b> SMTPUTF8 SMTPUTF8", wrong("SMTPUTF8")),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=1", wrong("SIZE")),
            ("MAIL FROM:<a@b> BODY=9BIT", wrong("BODY")),
        ] {
            assert_eq!(parse(line.as_bytes()), Err(expected), "{line}");
        }
        let told = wrong("SIZE").to_string();
        assert_eq!(
            told,
            "SIZE has a value that it cannot have, or is said twice"
        );
    }

    #[test]
    fn mail_parameters_are_read_in_any_order_and_case() {
        let sender = ReversePath::Mailbox("a@b".parse().unwrap());
        assert_eq!(
            parse_mail("mail from: <a@b> body=8bitmime smtputf8 Size=42"),
            Envelope {
                body_type: BodyType::EightBitMime,
                declared_size: Some(42),
                smtputf8: true,
                ..Envelope::new(sender)
            }
        );
        assert_eq!(
            parse_mail("MAIL FROM:<> SIZE=99999999999999999999"),
            Envelope {
                declared_size: Some(u64::MAX),
                ..Envelope::new(ReversePath::Null)
            }
        );
    }

    #[test]
    fn what_is_said_about_reports_is_kept_as_it_was_said() {
        let envelope = parse_mail("MAIL FROM:<a@b> ret=hdrs envid=a+2Bb");
        assert_eq!(envelope.dsn.ret, Some(crate::dsn::Ret::Headers));
        let envid = envelope.dsn.envid.map(|envid| envid.to_string());
        assert_eq!(envid.as_deref(), Some("a+2Bb"));
        let line = "RCPT TO:<c@d> orcpt=RFC822;Old+2Bname@D notify=failure,delay";
        let Ok(Command::Rcpt(recipient)) = parse(line.as_bytes()) else {
            panic!("not read as RCPT");
        };
        let notify = recipient.dsn.notify.map(|notify| notify.to_string());
        assert_eq!(notify.as_deref(), Some("FAILURE,DELAY"));
        let orcpt = recipient.dsn.orcpt.map(|orcpt| orcpt.to_string());
        assert_eq!(orcpt.as_deref(), Some("RFC822;Old+2Bname@D"));
    }

    #[test]
    fn a_name_in_ehlo_becomes_printable_and_bounded() {
        let parsed = parse("EHLO  m\u{fc}ller pc\r ".as_bytes());
        assert_eq!(parsed, Ok(Command::Ehlo("m??ller?pc".into())));
        let long = format!("HELO {}", "a".repeat(900));
        assert_eq!(
            parse(long.as_bytes()),
            Ok(Command::Helo("a".repeat(HELO_MAX)))
        );
    }
}
