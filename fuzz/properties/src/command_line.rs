//! One command of a client.

use smtp::{
    Command, Envelope, ReversePath,
    client::{Session, Tls},
    limits::COMMAND_LINE_MAX,
};

use crate::address::{forward_path_reads_the_same, reverse_path_reads_the_same};

/// A server that takes everything.
const OFFERS: &[u8] = b"220 mx.example.net\r\n250-mx.example.net\r\n250-PIPELINING\r\n250-SIZE\r\n\
    250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 DSN\r\n";

/// What a client asks for in MAIL and RCPT goes to the primary as it came, and a name it gives itself
/// may stand in a log.
pub fn command_line(data: &[u8]) {
    if data.len() + 2 > COMMAND_LINE_MAX {
        return;
    }
    match Command::parse(data) {
        Ok(Command::Ehlo(name) | Command::Helo(name)) => {
            assert!(!name.contains(char::is_control), "{name:?}");
        }
        Ok(Command::Mail(envelope)) => {
            reverse_path_reads_the_same(&envelope.reverse_path);
            is_passed_on(*envelope);
        }
        Ok(Command::Rcpt(recipient)) => {
            forward_path_reads_the_same(&recipient.path);
            let mut envelope = Envelope::new(ReversePath::Null);
            envelope.smtputf8 = true;
            envelope.recipients.push(recipient);
            is_passed_on(envelope);
        }
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
}

fn is_passed_on(mut envelope: Envelope) {
    if envelope.recipients.is_empty() {
        envelope
            .recipients
            .push(smtp::ForwardPath::Postmaster.into());
    }
    let mut session = Session::new("relay.example.net", Tls::Off);
    session.receive(OFFERS);
    session.outgoing().clear();
    session.deliver(envelope.clone());
    let said = session.outgoing().split();
    let said = str::from_utf8(&said).expect("commands are text");
    let recipients = core::mem::take(&mut envelope.recipients);
    let expected = [Command::Mail(Box::new(envelope))]
        .into_iter()
        .chain(recipients.into_iter().map(Command::Rcpt));
    let commands = said
        .split_inclusive("\r\n")
        .map(|line| {
            assert!(line.len() <= COMMAND_LINE_MAX, "{line}");
            Command::parse(line.trim_end_matches("\r\n").as_bytes())
        })
        .collect::<Result<Vec<_>, _>>();
    assert_eq!(commands, Ok(expected.collect()), "{said}");
}
