//! Somebody who has no mouse: every step is a key, and what a key reaches is told by the name that is read to the blind.

use serde_json::{Value, json};

use super::{Browser, ELEMENT};

/// Keys, as WebDriver writes them (section 17.4.2).
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

/// No page of ours has as many stops of the Tab key.
const STOPS_MAX: usize = 200;

/// Whether somebody sees that he stands there: an outline, and the element within the window.
const SEES_FOCUS: &str = r"
    const element = document.activeElement, style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const isWithin = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return isWithin && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
";

impl Browser {
    /// The name of what the keys act on, or the name of its tag; empty where that is nothing.
    #[track_caller]
    pub fn focused(&self) -> String {
        let path = format!("{}/element/active", self.session);
        let active = self.ask("GET", &path, None).unwrap_or_default();
        let Some(id) = active[ELEMENT].as_str() else {
            return String::new();
        };
        if self.run("return document.activeElement === document.body") == true {
            return String::new();
        }
        let told = |what: &str| {
            let path = format!("{}/element/{id}/{what}", self.session);
            let told = self.ask("GET", &path, None).unwrap_or_default();
            told.as_str().unwrap_or_default().to_owned()
        };
        Some(told("computedlabel"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| told("name"))
    }

    /// Presses Tab once.
    ///
    /// # Panics
    /// When that leads to something, and it can not be seen where.
    #[track_caller]
    pub fn tab(&self) -> String {
        self.keys(&[TAB]);
        let name = self.focused();
        let is_seen = name.is_empty() || self.run(SEES_FOCUS) == true;
        assert!(
            is_seen,
            "{name:?} on {} does not show the focus",
            self.url()
        );
        name
    }

    /// Presses Tab until the keys act on what has this name.
    ///
    /// # Panics
    /// When that is never reached.
    #[track_caller]
    pub fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        while passed.len() < STOPS_MAX {
            let reached = self.tab();
            if reached == name {
                return;
            }
            passed.push(reached);
        }
        panic!("no key leads to {name:?} on {}: {passed:?}", self.url());
    }

    /// All that Tab reaches on this page, in order.
    ///
    /// # Panics
    /// When it never gets to an end, or what is reached does not show it.
    #[track_caller]
    pub fn stops(&self) -> Vec<String> {
        let mut stops = Vec::new();
        while stops.len() < STOPS_MAX {
            match self.tab() {
                end if end.is_empty() => return stops,
                name => stops.push(name),
            }
        }
        panic!("{} keeps the focus: {stops:?}", self.url());
    }

    /// Types a text where the keys act.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        self.keys(&text.chars().collect::<Vec<_>>());
    }

    /// Presses Enter where nothing is to come of it.
    #[track_caller]
    pub fn enter(&self) {
        self.keys(&[ENTER]);
    }

    /// Presses Enter, and waits for the page behind it.
    #[track_caller]
    pub fn enter_page(&self) {
        self.follow(|| self.keys(&[ENTER]));
    }

    /// Presses the space bar on a button, and waits for the page behind it.
    #[track_caller]
    pub fn space_page(&self) {
        self.follow(|| self.keys(&[' ']));
    }

    #[track_caller]
    fn keys(&self, keys: &[char]) {
        let strokes = keys.iter().flat_map(|key| {
            let stroke = |kind: &str| json!({ "type": kind, "value": key });
            [stroke("keyDown"), stroke("keyUp")]
        });
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.must("POST", "actions", &json!({ "actions": [keyboard] }));
    }
}
