//! A private headless Chromium, driven as WebDriver says (<https://www.w3.org/TR/webdriver2/>).
//!
//! Debian's `chromedriver` starts the browser and speaks HTTP and JSON; no more of both is here than that takes.

mod keyboard;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Port, logs, wait};

/// The driver answers within this time after its start.
const START: Duration = Duration::from_secs(60);

/// A browser on a busy machine has loaded any page of ours in this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// The key under which WebDriver gives an element (section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Whom a screen reader's user can not do without knowing by name: roles of the accessibility tree.
const NAMED_ROLES: [&str; 6] = ["button", "checkbox", "combobox", "link", "radio", "textbox"];

/// Texts that stand out too little from what is behind them (WCAG 2.2, 1.4.3: 4.5 to 1).
const FAINT_TEXTS: &str = r"
    const channels = colour => colour.match(/[\d.]+/g).map(Number);
    const linear = part => part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = channels(getComputedStyle(element).backgroundColor);
            if (colour[3] !== 0) return colour;
        }
        return [255, 255, 255];
    };
    const ratio = element => {
        const text = channels(getComputedStyle(element).color);
        const both = [luminance(text), luminance(behind(element))];
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    };
    const hasText = element => [...element.childNodes].some(
        node => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== '');
    return [...document.querySelectorAll('body *')]
        .filter(element => hasText(element) && ratio(element) < 4.5)
        .map(element => ratio(element).toFixed(2) + ': ' + element.outerHTML.slice(0, 200));
";

/// What those stumble over who have a page read to them, or press small things, or bear no motion.
const STUMBLING_BLOCKS: &str = r"
    const found = [];
    const all = selector => [...document.querySelectorAll(selector)];
    const told = element => element.outerHTML.slice(0, 200);
    let level = 0;
    for (const heading of all('h1, h2, h3, h4')) {
        const own = Number(heading.tagName[1]);
        if (own > level + 1) found.push('a level is left out before ' + told(heading));
        level = own;
    }
    for (const heading of all('th:not([scope])')) found.push('of what? ' + told(heading));
    for (const landmark of ['html[lang]', 'main', 'nav[aria-label]']) {
        if (all(landmark).length !== 1) found.push('not one ' + landmark);
    }
    const ids = all('[id]').map(element => element.id);
    for (const id of ids.filter((id, place) => ids.indexOf(id) !== place)) found.push('twice: ' + id);
    for (const element of all('button, input, select, nav a')) {
        const box = element.getBoundingClientRect();
        if (box.width > 0 && (box.width < 24 || box.height < 24)) found.push('small: ' + told(element));
    }
    for (const element of all('*')) {
        const style = getComputedStyle(element);
        const isStill = style.animationName === 'none' && /^(0s(, )?)+$/.test(style.transitionDuration);
        if (!isStill) found.push('it moves: ' + told(element));
    }
    return found;
";

/// Whether the browser runs scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// As everybody's does.
    On,
    /// As that of who has switched them off.
    Off,
}

/// What somebody looks at the page with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A wide window, dark on light.
    Light,
    /// A wide window, light on dark.
    Dark,
    /// A telephone, held upright.
    Phone,
    /// A wide window in which everything is twice as large.
    Zoomed,
    /// The narrowest that has to do (WCAG 2.2, 1.4.10): a small telephone, or a wide window at 400 %.
    Narrow,
}

impl View {
    /// Width and height, in pixels of CSS.
    const fn size(self) -> (u32, u32) {
        match self {
            Self::Light | Self::Dark => (1200, 800),
            Self::Phone => (390, 780),
            Self::Zoomed => (600, 400),
            Self::Narrow => (320, 256),
        }
    }
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Port,
    /// What the driver calls its only session, as the beginning of a path.
    session: String,
    child: Child,
    /// Its profile, and the driver's log.
    _directory: TempDir,
}

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// When Chromium or its driver is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(scripts: Scripts) -> Result<Self, String> {
        let program = program()?;
        let directory = tempfile::Builder::new()
            .prefix("layover-chromium-")
            .tempdir()
            .expect("the temporary directory is writable");
        let log = directory.path().join("log");
        let driver = Port::free();
        let child = Command::new(program)
            .arg(format!("--port={}", driver.address().port()))
            .env("TMPDIR", directory.path())
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("files can be written"))
            .spawn()
            .expect("the program was there a moment ago");
        let mut browser = Self {
            driver,
            session: String::new(),
            child,
            _directory: directory,
        };
        let ready = || browser.ask("GET", "/status", None).ok();
        let is_ready = wait::within(START, ready);
        assert!(is_ready.is_some(), "{}", logs::tail(&log, 30));
        let begun = browser.ask("POST", "/session", Some(&wishes(scripts)));
        let begun = begun.unwrap_or_else(|error| panic!("{error}\n{}", logs::tail(&log, 30)));
        let id = begun["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("/session/{id}");
        browser.look_as(View::Light);
        Ok(browser)
    }

    /// Has pages drawn for this view from now on.
    pub fn look_as(&self, view: View) {
        let (width, height) = view.size();
        let is_mobile = view == View::Phone;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile }),
        );
        let scheme = if view == View::Dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        );
    }

    /// Opens an address, and waits until its page is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.must("POST", "url", &json!({ "url": url }));
    }

    /// The address of the page that is shown.
    #[track_caller]
    pub fn url(&self) -> String {
        let path = format!("{}/url", self.session);
        let url = self.ask("GET", &path, None).expect("there is a page");
        url.as_str().unwrap_or_default().to_owned()
    }

    /// The text, as it is drawn, of the first element that a CSS selector finds; `None` where there is none, or the
    /// page went away meanwhile.
    #[must_use]
    pub fn text(&self, selector: &str) -> Option<String> {
        let element = self.find("css selector", selector).into_iter().next()?;
        let path = format!("{}/element/{element}/text", self.session);
        let text = self.ask("GET", &path, None).ok()?;
        text.as_str().map(str::to_owned)
    }

    /// How many elements a CSS selector finds.
    #[must_use]
    pub fn count(&self, selector: &str) -> usize {
        self.find("css selector", selector).len()
    }

    /// Presses the first button or link of this name, and waits for the page behind it.
    #[track_caller]
    pub fn press(&self, name: &str) {
        let path = format!(
            "//*[self::button or self::a][normalize-space()='{name}' or @aria-label='{name}']"
        );
        self.follow(|| self.click("xpath", &path));
    }

    /// Does what leads to another page, and waits until that is loaded.
    #[track_caller]
    fn follow(&self, step: impl FnOnce()) {
        let before = self.first("css selector", "html");
        step();
        let former = format!("{}/element/{before}/name", self.session);
        let state = json!({ "script": "return document.readyState", "args": [] });
        let is_there = || {
            let is_gone = self.ask("GET", &former, None).is_err();
            let state = self.ask(
                "POST",
                &format!("{}/execute/sync", self.session),
                Some(&state),
            );
            is_gone && state.is_ok_and(|state| state == "complete")
        };
        wait::wait_until(PATIENCE, "the page behind it is loaded", is_there);
    }

    /// Ticks the first box, or chooses the option, that a CSS selector finds.
    #[track_caller]
    pub fn tick(&self, selector: &str) {
        self.click("css selector", selector);
    }

    /// Writes into the first field that a CSS selector finds, in place of what stood there.
    #[track_caller]
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.first("css selector", selector);
        self.must("POST", &format!("element/{element}/clear"), &json!({}));
        self.must(
            "POST",
            &format!("element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// What a screen reader has no name for: buttons, fields and links.
    #[track_caller]
    pub fn nameless(&self) -> Vec<String> {
        let tree = self.devtools("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let is_named = |node: &Value| {
            let name = node["name"]["value"].as_str().unwrap_or_default();
            !name.trim().is_empty()
        };
        let role = |node: &Value| {
            node["role"]["value"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let with_role = nodes
            .iter()
            .filter(|node| NAMED_ROLES.contains(&role(node).as_str()));
        let without_name = with_role.filter(|node| !is_named(node));
        without_name.map(ToString::to_string).collect()
    }

    /// Texts that are hard to read: their contrast, and their elements.
    #[track_caller]
    pub fn faint_texts(&self) -> Vec<String> {
        self.found_by(FAINT_TEXTS)
    }

    /// Headings, tables, landmarks, sizes and motions that are in somebody's way.
    #[track_caller]
    pub fn stumbling_blocks(&self) -> Vec<String> {
        self.found_by(STUMBLING_BLOCKS)
    }

    #[track_caller]
    fn found_by(&self, script: &str) -> Vec<String> {
        let found = self.run(script);
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    /// How many pixels of the page stand out of the window to the right.
    #[track_caller]
    pub fn overhang(&self, view: View) -> i64 {
        let width = self.run("return document.documentElement.scrollWidth");
        width.as_i64().unwrap_or_default() - i64::from(view.size().0)
    }

    /// Writes a picture of the whole page, in PNG.
    ///
    /// # Panics
    /// When the file can not be written.
    #[track_caller]
    pub fn draw(&self, file: &Path) {
        let wanted = json!({ "format": "png", "captureBeyondViewport": true });
        let drawn = self.devtools("Page.captureScreenshot", &wanted);
        let text = drawn["data"].as_str().unwrap_or_default();
        let mut decoder = Command::new("base64")
            .arg("--decode")
            .stdin(Stdio::piped())
            .stdout(File::create(file).expect("files can be written"))
            .spawn()
            .expect("base64 comes with every Debian");
        let mut input = decoder.stdin.take().expect("it was asked for");
        input.write_all(text.as_bytes()).expect("base64 reads");
        drop(input);
        let ended = decoder.wait().expect("base64 ends");
        assert!(ended.success(), "{}: {ended}", file.display());
    }

    #[track_caller]
    fn click(&self, using: &str, value: &str) {
        let element = self.first(using, value);
        self.must("POST", &format!("element/{element}/click"), &json!({}));
    }

    #[track_caller]
    fn first(&self, using: &str, value: &str) -> String {
        let found = self.find(using, value).into_iter().next();
        found.unwrap_or_else(|| {
            let shown = self.text("body").unwrap_or_default();
            panic!("no {value} on {}:\n{shown}", self.url())
        })
    }

    fn find(&self, using: &str, value: &str) -> Vec<String> {
        let path = format!("{}/elements", self.session);
        let wanted = json!({ "using": using, "value": value });
        let found = self.ask("POST", &path, Some(&wanted)).unwrap_or_default();
        let found = found.as_array().cloned().unwrap_or_default();
        let id = |element: &Value| element[ELEMENT].as_str().map(str::to_owned);
        found.iter().filter_map(id).collect()
    }

    #[track_caller]
    fn run(&self, script: &str) -> Value {
        self.must(
            "POST",
            "execute/sync",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// A command of the DevTools protocol.
    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.must(
            "POST",
            "goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        )
    }

    #[track_caller]
    fn must(&self, method: &str, command: &str, parameters: &Value) -> Value {
        let path = format!("{}/{command}", self.session);
        let answer = self.ask(method, &path, Some(parameters));
        answer.unwrap_or_else(|error| panic!("{command} {parameters}: {error}"))
    }

    /// One command to the driver, and its value.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let answered = self.exchange(method, path, &body);
        let answer = answered.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        let value = &answer["value"];
        match value["error"].as_str() {
            Some(_) => Err(value["message"].to_string()),
            None => Ok(value.clone()),
        }
    }

    /// The driver speaks HTTP/1.1 only, and keeps the connection open whatever it is told.
    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let address = self.driver.address();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
        write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}")?;
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(octets) = line.strip_prefix("content-length:") {
                length = octets.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut text = vec![0; length];
        answer.read_exact(&mut text)?;
        String::from_utf8(text).map_err(io::Error::other)
    }
}

impl Drop for Browser {
    /// Killed, the driver would leave the browser behind.
    fn drop(&mut self) {
        drop(self.ask("GET", "/shutdown", None));
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program() -> Result<PathBuf, String> {
    let driver = PathBuf::from("/usr/bin/chromedriver");
    let is_there = driver.exists() && fs::exists("/usr/bin/chromium").unwrap_or_default();
    is_there
        .then_some(driver)
        .ok_or_else(|| "Chromium is not installed; Debian's package is chromium-driver".to_owned())
}

/// What the browser is to be. It shows pages of ours alone, and root can not have its sandbox.
fn wishes(scripts: Scripts) -> Value {
    let mut options = json!({ "args": [
        "--headless",
        "--no-sandbox",
        "--no-proxy-server",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ] });
    if scripts == Scripts::Off {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } })
}
