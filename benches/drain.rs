//! How fast mail leaves when the primary is back, and while it is there.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use harness::wait;

use crate::{
    accept,
    figures::Figures,
    load::Load,
    meter::Meter,
    sink::{Sink, messages},
    system::System,
};

/// Even one message at a time is faster than this.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is sent.
const LOAD: Load = Load::of(10, 50);

/// Messages that go ahead, by which it is seen that the primary is up.
const AHEAD: usize = 200;

/// Fills the queue with `count` messages, opens the primary's port, tells the system if it is to be told, and waits
/// until all are there.
pub(crate) fn run(system: &mut dyn System, count: usize, is_told: bool) -> Result<Figures> {
    accept::send(system, &LOAD, count)?;
    let directory = tempfile::tempdir()?;
    let counter = directory.path().join("sink");
    system.settle()?;
    let mut sink = Sink::start(system.primary(), &counter)?;
    let meter = Meter::start(system);
    if is_told {
        system.flush()?;
    }
    wait_for(&counter, count)?;
    let figures = meter.figures(system, count, 0);
    sink.stop();
    Ok(figures)
}

/// Sends `count` messages while the primary is up, and waits until all are there.
pub(crate) fn pass_through(system: &mut dyn System, count: usize) -> Result<Figures> {
    let directory = tempfile::tempdir()?;
    let counter = directory.path().join("sink");
    accept::send(system, &LOAD, AHEAD)?;
    system.settle()?;
    let mut sink = Sink::start(system.primary(), &counter)?;
    system.flush()?;
    wait_for(&counter, AHEAD)?;
    let meter = Meter::start(system);
    accept::send(system, &LOAD, count)?;
    wait_for(&counter, AHEAD + count)?;
    let figures = meter.figures(system, count, LOAD.size);
    sink.stop();
    Ok(figures)
}

fn wait_for(counter: &Path, count: usize) -> Result<()> {
    let have_come = wait::within(PATIENCE, || (messages(counter) >= count).then_some(()));
    let came = messages(counter);
    ensure!(have_come.is_some(), "only {came} of {count} came in time");
    Ok(())
}
