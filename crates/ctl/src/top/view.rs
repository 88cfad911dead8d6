//! What `layover top` shows, and what keys do to it.

use std::time::Instant;

use api::admin::v1::StatusResponse;
use ratatui::{
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    widgets::TableState,
};

use crate::words;

/// How far a page goes.
const PAGE: u16 = 10;

/// What is known, and where the person looks.
#[derive(Debug)]
pub(super) struct View {
    /// Whether colours are shown and wanted.
    pub(super) has_colours: bool,
    /// The last answer of any node; absent until the first.
    pub(super) status: Option<StatusResponse>,
    /// Since when no node answers, and why; absent while one does.
    pub(super) silence: Option<(Instant, String)>,
    /// The selected domain, and the first that is shown.
    pub(super) domains: TableState,
}

impl View {
    pub(super) fn new(has_colours: bool) -> Self {
        Self {
            has_colours,
            status: None,
            silence: None,
            domains: TableState::new().with_selected(0),
        }
    }

    /// Takes an answer, or why there is none: then the last one stays.
    pub(super) fn learn(&mut self, answer: anyhow::Result<StatusResponse>, now: Instant) {
        match answer {
            Ok(status) => {
                self.status = Some(status);
                self.silence = None;
            }
            Err(error) => {
                let since = self.silence.take().map_or(now, |(since, _)| since);
                self.silence = Some((since, words::escaped(&format!("{error:#}"))));
            }
        }
    }

    /// Does what a key says; whether that is to quit.
    pub(super) fn press(&mut self, key: &KeyEvent) -> bool {
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            // Nobody else makes a signal of it while keys come one by one.
            KeyCode::Char('c') => return key.modifiers.contains(KeyModifiers::CONTROL),
            KeyCode::Down => self.domains.select_next(),
            KeyCode::Up => self.domains.select_previous(),
            KeyCode::PageDown => self.domains.scroll_down_by(PAGE),
            KeyCode::PageUp => self.domains.scroll_up_by(PAGE),
            KeyCode::Home => self.domains.select_first(),
            KeyCode::End => self.domains.select_last(),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn silence_counts_from_the_first_question_without_an_answer() {
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let mut view = View::new(false);
        view.learn(Ok(StatusResponse::default()), start);
        view.learn(Err(anyhow::anyhow!("refused\u{1b}")), start);
        view.learn(Err(anyhow::anyhow!("time-out")), later);
        assert_eq!(view.silence, Some((start, "time-out".to_owned())));
        assert!(view.status.is_some(), "what was known stays");
        view.learn(Ok(StatusResponse::default()), later);
        assert_eq!(view.silence, None);
    }

    #[test]
    fn keys_select_and_quit() {
        let mut view = View::new(false);
        assert!(!view.press(&KeyCode::Down.into()));
        assert_eq!(view.domains.selected(), Some(1));
        assert!(!view.press(&KeyCode::Up.into()));
        assert!(!view.press(&KeyCode::Up.into()));
        assert_eq!(view.domains.selected(), Some(0));
        assert!(!view.press(&KeyCode::Char('c').into()));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(view.press(&interrupt));
        assert!(view.press(&KeyCode::Char('q').into()));
    }
}
