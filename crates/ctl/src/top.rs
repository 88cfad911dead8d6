//! `layover top`: the status, drawn again every second.
//!
//! ```text
//!   keys (a thread) ───────▶ View ──▶ draw
//!   status, every second ──▶
//! ```

mod draw;
mod view;

use std::{
    io,
    pin::pin,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use api::admin::v1::StatusResponse;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};
use tokio::{
    sync::mpsc::{self, Receiver, error::TrySendError},
    time::sleep,
};

use crate::{output::Output, screen::Screen, servers::Servers, status};
use view::View;

/// Between an answer and the next question. A node answers within milliseconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keys that wait to be looked at; more are lost.
const KEYS_MAX: usize = 64;

/// Draws until it is quit.
///
/// # Errors
/// Nobody watches, or the terminal fails. A node that does not answer is no error here.
pub(crate) async fn watch(servers: &Servers, output: &Output) -> anyhow::Result<()> {
    if output.is_json() || !output.is_terminal() {
        bail!("`layover top` draws on a terminal; `layover --json status` is for programs");
    }
    let mut view = View::new(Screen::of_stdout().has_colours);
    let mut terminal = ratatui::try_init().context("the terminal can not be drawn on")?;
    let ended = run(servers, &mut view, &mut terminal).await;
    ratatui::restore();
    ended
}

async fn run(
    servers: &Servers,
    view: &mut View,
    terminal: &mut DefaultTerminal,
) -> anyhow::Result<()> {
    let mut keys = keys();
    // A question outlives the keys that are pressed meanwhile.
    let mut asking = pin!(ask_after(Duration::ZERO, servers));
    loop {
        terminal.draw(|frame| draw::draw(frame, view, Instant::now()))?;
        tokio::select! {
            event = keys.recv() => {
                let event = event.context("the keyboard is gone")?;
                // Any other event, such as another size, is a reason to draw again.
                if let Event::Key(key) = event? && view.press(&key) {
                    return Ok(());
                }
            }
            answer = &mut asking => {
                view.learn(answer, Instant::now());
                asking.set(ask_after(INTERVAL, servers));
            }
            // For how long no node has answered.
            () = sleep(INTERVAL) => {}
        }
    }
}

async fn ask_after(pause: Duration, servers: &Servers) -> anyhow::Result<StatusResponse> {
    sleep(pause).await;
    status::fetch(servers).await
}

/// What happens at the terminal. The thread waits for the next key until the process ends.
fn keys() -> Receiver<io::Result<Event>> {
    let (sender, keys) = mpsc::channel(KEYS_MAX);
    thread::spawn(move || {
        loop {
            let event = event::read();
            let is_last = event.is_err();
            let sent = sender.try_send(event);
            if is_last || matches!(sent, Err(TrySendError::Closed(_))) {
                return;
            }
        }
    });
    keys
}
