//! The command line `layover`: asks any node of the cluster, shows the answer.
//!
//! ```text
//!   arguments ──▶ servers (one after the other) ──▶ a command ──▶ text or JSON on standard output
//! ```
//!
//! It links neither the storage nor the consensus: all it knows is `proto/layover/admin/v1`, and how
//! certificates are made.

mod arguments;
mod audit;
mod backup;
mod certs;
mod cluster;
mod doctor;
#[cfg(test)]
mod documents;
mod domain;
mod drill;
mod flush;
mod grade;
mod level;
mod listing;
mod manual;
mod output;
mod policy;
mod queue;
mod recipients;
mod replay;
mod screen;
mod servers;
mod since;
mod status;
mod top;
mod trace;
mod words;

use std::{io, process::ExitCode};

use anyhow::Context as _;
use api::admin::v1::FlushRequest;

use arguments::{Arguments, Command, Usage};
use output::Output;
use policy::Mistakes;
use servers::Servers;

fn main() -> ExitCode {
    match run(Arguments::read()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough (`layover queue list | head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref::<Mistakes>() {
                Some(mistakes) => eprintln!("{mistakes}"),
                None => eprintln!("layover: {}", words::escaped(&format!("{error:#}"))),
            }
            if error.is::<Usage>() {
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime failed")?;
    let servers = Servers::new(&arguments.server, &arguments.tls)?.asked_by(arguments.by);
    let mut output = Output::new(arguments.json);
    runtime.block_on(async {
        match arguments.command {
            Command::Status => status::show(&servers, &mut output).await,
            Command::Top => top::watch(&servers, &output).await,
            Command::Queue(command) => queue::run(&servers, &mut output, command).await,
            Command::Domain(command) => domain::run(&servers, &mut output, command).await,
            Command::Audit { since } => audit::list(&servers, &mut output, since).await,
            Command::Trace { id } => trace::show(&servers, &mut output, id).await,
            Command::Flush {
                domain,
                wait,
                reason,
            } => flush::flush(&servers, &mut output, FlushRequest { domain, reason }, wait).await,
            Command::Replay { since, domain } => {
                replay::replay(&servers, &mut output, since, domain).await
            }
            Command::Policy(command) => policy::run(&servers, &mut output, command).await,
            Command::Recipients(command) => recipients::run(&servers, &mut output, command).await,
            Command::Cluster(command) => cluster::run(&servers, &mut output, command).await,
            Command::Doctor {
                domain,
                all,
                allow_list,
            } => match allow_list {
                Some(receiver) => doctor::allow_list(&servers, &mut output, receiver).await,
                None => doctor::examine(&servers, &mut output, domain, all).await,
            },
            Command::Drill { domain } => drill::drill(&servers, &mut output, domain).await,
            Command::LogLevel { filter } => level::log_level(&servers, &mut output, filter).await,
            Command::Backup { directory } => backup::backup(&servers, &mut output, directory).await,
            // These ask nobody.
            Command::Completions { shell } => manual::completions(&mut output, shell),
            Command::Manual { directory } => manual::manual(&directory),
        }
    })
}
