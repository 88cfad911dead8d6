//! `layoverd export`: every message as a file of its own, without any quorum.
//!
//! ```text
//!   DIR/ID.eml    the message as it would leave: its Received field, then its body
//!   DIR/ID.json   its envelope, and how far each recipient has come
//! ```

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, ensure};
use cluster::offline::Offline;
use serde::Serialize;
use spool::{Message, Status};

use super::count;

/// A message's envelope, as it is written beside it.
#[derive(Serialize)]
struct Envelope {
    id: String,
    received_ms: u64,
    /// Empty for the null sender.
    sender: String,
    /// Whether the sender declared octets beyond ASCII.
    eight_bit_mime: bool,
    /// Whether he declared octets in any order, which only BDAT carries.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    binary_mime: bool,
    /// Whether he declared UTF-8 in addresses and header fields.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    smtputf8: bool,
    /// What he said about reports (RFC 3461), each as on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    ret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    envid: Option<String>,
    recipients: Vec<Recipient>,
    /// Why an operator holds it, in his own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<String>,
    client: String,
    size: u64,
    sha256: String,
}

#[derive(Serialize)]
struct Recipient {
    address: String,
    domain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orcpt: Option<String>,
    /// "pending", "deferred", "delivered" or "rejected".
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
}

/// Writes every message of a data directory into a new or empty one. Fails, at its end, when a body
/// was not what was accepted.
pub(crate) fn export(data_dir: &Path, to: &Path) -> anyhow::Result<ExitCode> {
    let offline = Offline::open_to_read(data_dir)
        .with_context(|| format!("data_dir {}", data_dir.display()))?;
    // It is to hold other people's mail.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        .with_context(|| to.display().to_string())?;
    let is_empty = to.read_dir()?.next().is_none();
    ensure!(
        is_empty,
        "{} is not empty; name a new directory",
        to.display()
    );
    let (mut whole, mut damaged) = (0, 0);
    offline
        .each_message(|message| {
            match write_out(&offline, &message, to) {
                Ok(true) => whole += 1,
                Ok(false) => {
                    eprintln!("{}: the body is not what was accepted", message.id);
                    damaged += 1;
                }
                // A message that can not be read must not keep the others from being saved.
                Err(Fault::Reading(error)) => {
                    eprintln!("{}: {error}", message.id);
                    damaged += 1;
                }
                Err(Fault::Writing(error)) => return Err(error),
            }
            Ok(())
        })
        .with_context(|| {
            format!(
                "the export broke off behind {}",
                count(whole + damaged, "message")
            )
        })?;
    println!("{} exported to {}", count(whole, "message"), to.display());
    let lacking = offline.lacking()?;
    if let Some(why) = &lacking {
        println!(
            "This node lacks something that it had acknowledged: {why}. Another node may have it."
        );
    }
    if damaged > 0 {
        println!(
            "{} damaged: see the lines above; another node may have them whole",
            count(damaged, "message")
        );
    }
    Ok(match damaged > 0 || lacking.is_some() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// On which side it went wrong.
enum Fault {
    Reading(io::Error),
    Writing(io::Error),
}

fn write_out(offline: &Offline, message: &Message, to: &Path) -> Result<bool, Fault> {
    let path = to.join(message.id.to_string());
    let envelope = serde_json::to_vec_pretty(&envelope(message)).map_err(io::Error::other);
    let envelope = envelope.map_err(Fault::Writing)?;
    fs::write(path.with_extension("json"), envelope).map_err(Fault::Writing)?;
    let file = File::create_new(path.with_extension("eml")).map_err(Fault::Writing)?;
    let mut file = BufWriter::new(Watched { file, failed: None });
    let written = offline.write_message(message, &mut file);
    let flushed = file.flush();
    if let Some(error) = file.get_mut().failed.take() {
        return Err(Fault::Writing(error));
    }
    let intact = written.map_err(Fault::Reading)?;
    flushed.map_err(Fault::Writing)?;
    Ok(intact)
}

/// A file that remembers that it could not be written, so that this is told from a message that
/// could not be read.
struct Watched {
    file: File,
    failed: Option<io::Error>,
}

impl io::Write for Watched {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.file.write(octets);
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(io::Error::new(error.kind(), error.to_string()));
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn envelope(message: &Message) -> Envelope {
    let recipients = message.recipients.iter().map(|recipient| {
        let (status, reply) = match &recipient.status {
            Status::Pending => ("pending", None),
            Status::Deferred { reason, .. } => ("deferred", Some(reason)),
            Status::Delivered { reply, .. } => ("delivered", Some(reply)),
            Status::Rejected { reply, .. } => ("rejected", Some(reply)),
            Status::Returned { reply, .. } => ("returned", Some(reply)),
        };
        Recipient {
            address: recipient.path.to_string(),
            domain: recipient.domain.clone(),
            notify: recipient.dsn.notify.map(|notify| notify.to_string()),
            orcpt: recipient.dsn.orcpt.as_ref().map(ToString::to_string),
            status,
            reply: reply.cloned(),
        }
    });
    let digest = message.body.digest.0.iter();
    Envelope {
        id: message.id.to_string(),
        received_ms: message.received_at.0,
        sender: message.reverse_path.to_string(),
        eight_bit_mime: message.body_type != smtp::BodyType::SevenBit,
        binary_mime: message.body_type == smtp::BodyType::BinaryMime,
        smtputf8: message.smtputf8,
        ret: message.dsn.ret.map(|ret| ret.to_string()),
        envid: message.dsn.envid.as_ref().map(ToString::to_string),
        recipients: recipients.collect(),
        held: message.hold.as_ref().map(|hold| hold.reason.clone()),
        client: message.client.address.to_string(),
        size: message.body.size,
        sha256: digest.map(|octet| format!("{octet:02x}")).collect(),
    }
}
