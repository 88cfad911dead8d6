//! `layover cluster certs`: a private authority, and a certificate for each node.
//!
//! ```text
//!   DIR/ca.pem  ca.key      made once, used again ever after
//!   DIR/NAME.pem  NAME.key  a certificate for both ends of a talk, which names NAME and nothing else
//! ```
//!
//! A key is written before its certificate, and each file appears as a whole. So what an interrupted
//! run leaves behind is a key without a certificate at most, and the next run uses that key.

mod authority;
mod files;
mod name;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use comfy_table::Table;
use jiff::Timestamp;
use serde::Serialize;
use tls::{MutualFiles, MutualTls, UnixTime};

use crate::{arguments::Certs, output::Output};
use authority::Authority;
pub(crate) use name::Name;

/// What became of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Made,
    Kept,
    Renewed,
}

/// One certificate with its key.
#[derive(Debug, Serialize)]
struct Pair {
    /// The host or address, or "ca".
    name: String,
    cert: PathBuf,
    key: PathBuf,
    state: State,
    not_after_ms: u64,
}

#[derive(Debug, Serialize)]
struct Made {
    ca: Pair,
    certificates: Vec<Pair>,
}

/// Makes what is missing, and shows what there is.
pub(crate) fn make(certs: &Certs, output: &mut Output) -> anyhow::Result<()> {
    let made = make_in(certs, Timestamp::now())?;
    if output.is_json() {
        return Ok(output.document(&made)?);
    }
    output.table(table(&made))?;
    output.line("")?;
    output.line(
        "Each node needs ca.pem and its own two files; ca.key belongs on none of them. Keep it safe.",
    )?;
    Ok(())
}

fn table(made: &Made) -> Table {
    let mut table = Table::new();
    table.set_header(["NAME", "CERTIFICATE", "KEY", "VALID UNTIL", ""]);
    for pair in [&made.ca].into_iter().chain(&made.certificates) {
        let state = match pair.state {
            State::Made => "made",
            State::Kept => "was there",
            State::Renewed => "renewed",
        };
        table.add_row([
            pair.name.clone(),
            pair.cert.display().to_string(),
            pair.key.display().to_string(),
            day(pair.not_after_ms),
            state.to_owned(),
        ]);
    }
    table
}

fn day(millis: u64) -> String {
    let moment = i64::try_from(millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    moment.map_or_else(
        || "for ever".to_owned(),
        |moment| moment.strftime("%Y-%m-%d").to_string(),
    )
}

fn make_in(certs: &Certs, now: Timestamp) -> anyhow::Result<Made> {
    let dir = &certs.dir;
    fs::create_dir_all(dir).with_context(|| {
        format!(
            "making {} failed; name a directory that you may write to",
            dir.display()
        )
    })?;
    let (authority, state) = Authority::open(dir, now)?;
    let ca = authority.pair(state);
    // All are looked at before any is signed, so that a refusal leaves every node as it was.
    let names: BTreeSet<&Name> = certs.names.iter().collect();
    let plans: Vec<_> = names
        .into_iter()
        .map(|name| Ok((name, plan(dir, name, certs.renew, now)?)))
        .collect::<anyhow::Result<_>>()?;
    let certificates = plans
        .into_iter()
        .map(|(name, plan)| carry_out(dir, &authority, name, plan, now))
        .collect::<anyhow::Result<_>>()?;
    Ok(Made { ca, certificates })
}

/// What is to be done for one name.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// There is nothing yet.
    Make,
    /// There is a key only: a run was interrupted.
    Finish,
    Keep,
    /// A new certificate for the key that is there.
    Renew,
}

fn pair_files(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (
        dir.join(format!("{name}.pem")),
        dir.join(format!("{name}.key")),
    )
}

fn plan(dir: &Path, name: &Name, renew: bool, now: Timestamp) -> anyhow::Result<Plan> {
    let (cert, key) = pair_files(dir, &name.to_string());
    match (files::exists(&cert)?, files::exists(&key)?) {
        (false, false) => Ok(Plan::Make),
        (false, true) => Ok(Plan::Finish),
        (true, false) => bail!(
            "{} is there without {}; put the key back, or remove the certificate to get a new pair",
            cert.display(),
            key.display()
        ),
        (true, true) if renew => Ok(Plan::Renew),
        (true, true) => {
            let ca = dir.join(authority::CERT);
            MutualTls::for_peer(MutualFiles { ca, cert, key }, &name.to_string(), unix(now))
                .context("what is there is of no use; renew it with --renew, or remove both files to get a new pair")?;
            Ok(Plan::Keep)
        }
    }
}

fn carry_out(
    dir: &Path,
    authority: &Authority,
    name: &Name,
    plan: Plan,
    now: Timestamp,
) -> anyhow::Result<Pair> {
    let (cert, key) = pair_files(dir, &name.to_string());
    let state = match plan {
        Plan::Keep => State::Kept,
        Plan::Make | Plan::Finish => {
            let signing_key = match plan {
                Plan::Make => files::new_key(&key)?,
                _ => files::read_key(&key)?,
            };
            let certificate = authority.sign(name, &signing_key, now)?;
            files::create(&cert, &certificate.pem(), files::PUBLIC)?;
            State::Made
        }
        Plan::Renew => {
            let certificate = authority.sign(name, &files::read_key(&key)?, now)?;
            files::replace(&cert, &certificate.pem(), files::PUBLIC)?;
            State::Renewed
        }
    };
    let not_after_ms = files::not_after_ms(&cert)?;
    Ok(Pair {
        name: name.to_string(),
        cert,
        key,
        state,
        not_after_ms,
    })
}

/// The moment as certificates count it; 1970 before that.
fn unix(moment: Timestamp) -> UnixTime {
    let seconds = u64::try_from(moment.as_second()).unwrap_or(0);
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}
