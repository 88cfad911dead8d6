//! The part of a report for people.

use core::fmt::Write as _;

use spool::notice::Kind;

use super::{
    Notice, date,
    status::{host_of, is_reply, said_of},
    text::{Form, plain},
};

pub(super) const fn subject(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "Your message could not be delivered",
        Kind::Delayed => "Your message is delayed",
        Kind::Relayed => "Your message was passed on",
    }
}

pub(super) fn of(notice: &Notice<'_>, form: Form) -> String {
    let mut words = String::new();
    let _ = write!(
        words,
        "This is the mail server {}.\r\n\r\n",
        plain(notice.hostname, form)
    );
    words.push_str(match notice.kind {
        Kind::Failed => {
            "Your message could not be delivered to the recipients below. Nothing more\r\n\
             will be tried.\r\n"
        }
        Kind::Delayed => {
            "Your message has not been delivered to the recipients below yet. You need\r\n\
             not send it again: this server goes on trying.\r\n"
        }
        Kind::Relayed => {
            "Your message for the recipients below was passed on to their mail server.\r\n\
             That server does not report deliveries, so you will hear nothing more\r\n\
             unless something goes wrong.\r\n"
        }
    });
    if notice.kind == Kind::Delayed {
        let until = date(notice.tried_until).to_rfc822();
        let _ = write!(words, "It does so at least until {until}.\r\n");
    }
    for recipient in notice.recipients() {
        let path = plain(&recipient.path.to_string(), form);
        let _ = write!(words, "\r\n<{path}>\r\n");
        let said = said_of(recipient);
        let host = host_of(recipient).filter(|_| is_reply(said));
        if let Some(host) = host {
            let _ = write!(words, "    {} said:\r\n", plain(host, form));
        }
        if !said.is_empty() {
            let _ = write!(words, "    {}\r\n", plain(said, form));
        }
    }
    let postmaster = plain(&notice.postmaster(), form);
    let _ = write!(
        words,
        "\r\nIf you need help, send this report to <{postmaster}>.\r\n"
    );
    words
}
