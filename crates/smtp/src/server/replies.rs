//! Every reply that a session gives of its own.

use crate::{EnhancedCode, Extensions, Reply, address::AddressError, command::CommandError};

fn ok(text: &str) -> Reply {
    Reply::new(250, EnhancedCode::new(2, 0, 0), text)
}

fn refused(code: u16, subject: u16, detail: u16, text: &str) -> Reply {
    let class = if code / 100 == 4 { 4 } else { 5 };
    Reply::new(code, EnhancedCode::new(class, subject, detail), text)
}

pub(super) fn greeting(hostname: &str) -> Reply {
    Reply::plain(220, format!("{hostname} ESMTP Layover"))
}

pub(super) fn ehlo(hostname: &str, extensions: &Extensions) -> Reply {
    let mut reply = Reply::plain(250, hostname);
    reply.lines.extend(extensions.keywords());
    reply
}

pub(super) fn helo(hostname: &str) -> Reply {
    Reply::plain(250, hostname)
}

pub(super) fn sender_ok() -> Reply {
    Reply::new(250, EnhancedCode::new(2, 1, 0), "Ok")
}

pub(super) fn recipient_ok() -> Reply {
    Reply::new(250, EnhancedCode::new(2, 1, 5), "Ok")
}

pub(super) fn done() -> Reply {
    ok("Ok")
}

pub(super) fn go_ahead() -> Reply {
    Reply::plain(354, "End data with <CR><LF>.<CR><LF>")
}

pub(super) fn chunk_received(octets: u64) -> Reply {
    ok(&format!("{octets} octets received"))
}

pub(super) fn cannot_verify() -> Reply {
    let text = "Cannot verify the user, but will take a message and try to deliver it";
    Reply::new(252, EnhancedCode::new(2, 0, 0), text)
}

pub(super) fn help() -> Reply {
    let text = "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY ETRN STARTTLS QUIT";
    Reply::new(214, EnhancedCode::new(2, 0, 0), text)
}

pub(super) fn ready_for_tls() -> Reply {
    Reply::new(220, EnhancedCode::new(2, 0, 0), "Ready to start TLS")
}

pub(super) fn farewell() -> Reply {
    Reply::new(221, EnhancedCode::new(2, 0, 0), "Bye")
}

pub(super) fn talked_early() -> Reply {
    refused(554, 5, 1, "Error: commands sent before their time")
}

pub(super) fn line_too_long() -> Reply {
    refused(500, 5, 2, "Error: line too long")
}

pub(super) fn bare_line_feed() -> Reply {
    refused(500, 5, 2, "Error: lines must end in CRLF")
}

pub(super) fn out_of_order(text: &str) -> Reply {
    refused(503, 5, 1, text)
}

pub(super) fn not_offered() -> Reply {
    refused(502, 5, 1, "Error: command not implemented")
}

pub(super) fn tls_is_active() -> Reply {
    refused(554, 5, 1, "Error: TLS is active already")
}

pub(super) fn no_valid_recipients() -> Reply {
    refused(554, 5, 1, "Error: no valid recipients")
}

pub(super) fn too_many_recipients() -> Reply {
    refused(
        452,
        5,
        3,
        "Error: too many recipients, send the message again for the rest",
    )
}

pub(super) fn too_big(size_max: u64) -> Reply {
    refused(
        552,
        3,
        4,
        &format!("Error: message is larger than {size_max} octets"),
    )
}

pub(super) fn bare_line_end() -> Reply {
    refused(
        550,
        6,
        11,
        "Error: message contains a bare CR or LF; lines must end in CRLF",
    )
}

pub(super) fn too_many_hops() -> Reply {
    refused(
        554,
        4,
        6,
        "Error: too many Received fields, this is a mail loop",
    )
}

pub(super) fn been_here_before() -> Reply {
    refused(
        554,
        4,
        6,
        "Error: this message has been here several times, this is a mail loop",
    )
}

pub(super) fn unanswered() -> Reply {
    refused(451, 3, 0, "Error: could not be decided, try again later")
}

pub(super) fn too_many_errors(hostname: &str) -> Reply {
    refused(421, 7, 0, &format!("{hostname} Error: too many errors"))
}

pub(super) fn too_many_commands(hostname: &str) -> Reply {
    refused(
        421,
        7,
        0,
        &format!("{hostname} Error: too many commands without a message"),
    )
}

pub(super) fn timed_out(hostname: &str) -> Reply {
    refused(421, 4, 2, &format!("{hostname} Error: timeout exceeded"))
}

pub(super) fn shutting_down(hostname: &str) -> Reply {
    refused(
        421,
        3,
        2,
        &format!("{hostname} Service not available, try another host or later"),
    )
}

/// What the author of a command hears that could not be read.
pub(super) fn command_error(error: CommandError) -> Reply {
    let (code, subject, detail) = match error {
        CommandError::ControlCharacter => (500, 5, 2),
        CommandError::Unknown => (500, 5, 1),
        CommandError::OtherProtocol => (554, 5, 1),
        CommandError::NotImplemented => (502, 5, 1),
        CommandError::Syntax(_) | CommandError::Chunk(_) | CommandError::ParameterValue(_) => {
            (501, 5, 4)
        }
        CommandError::Sender(AddressError::NotAscii | AddressError::NotUtf8)
        | CommandError::Recipient(AddressError::NotAscii | AddressError::NotUtf8) => (553, 6, 7),
        CommandError::Sender(_) => (501, 1, 7),
        CommandError::Recipient(_) => (501, 1, 3),
        CommandError::Parameter => (555, 5, 4),
    };
    refused(code, subject, detail, &format!("Error: {error}"))
}
