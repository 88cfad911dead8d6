//! Dialogues as text files: one promise a file, read the same way wherever they are played.
//!
//! ```text
//! # What this dialogue promises, in a sentence.
//! @ size_max 1000              a setting that the server must have; see `Transcript::settings`
//! S: 220 *                     a line that the server sends; `*` stands for anything
//! C: NOOP                      a line that the client sends; CRLF follows
//! C- raw octets                the same without CRLF
//! MESSAGE <a@b> <c@d> <e@f>    the server takes a message: reverse-path and forward-paths
//! BODY text\r\n                and this is its body
//! TLS                          both sides shake hands
//! TIMEOUT                      the client says nothing for too long
//! RETIRE, SHUTDOWN             the server is told to end its sessions: soon, at once
//! CLOSED                       the server closes the connection
//! ```
//!
//! Client lines and bodies know the escapes `\r \n \t \0 \\ \xNN`, and `\(12*text)` for twelve
//! times the text. Lines that start with `#` and empty lines mean nothing.

use std::path::{Path, PathBuf};

/// One dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The file's name without its ending.
    pub name: String,
    /// What a server must be set to: `size_max N`, `recipients_max N`, `no-starttls`, `no-smtputf8`,
    /// `binarymime`; who can play it: `machine` (only the bare session, because it asks for answers that no policy
    /// gives), `whole` (only with all client lines between two barriers in one segment).
    pub settings: Vec<(String, String)>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client sends these octets.
    Client(Vec<u8>),
    /// The server sends a line that matches this pattern.
    Server(String),
    /// The server takes a message with this envelope, paths in brackets and parted by spaces.
    Message(String),
    /// The body of the message just named.
    Body(Vec<u8>),
    /// Both sides shake hands.
    Tls,
    /// The client says nothing for too long.
    TimeOut,
    /// The server is to end its sessions at their next command.
    Retire,
    /// The server is to end its sessions at once.
    ShutDown,
    /// The server closes the connection.
    Closed,
}

impl Transcript {
    /// Reads every `.txt` file of a folder, in order of name.
    pub fn read_all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("a folder that opened can be read").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Reads one file.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self::parse(&name, &text)
    }

    /// Reads a file's text.
    pub fn parse(name: &str, text: &str) -> Self {
        let mut transcript = Self {
            name: name.to_owned(),
            settings: Vec::new(),
            steps: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(setting) = line.strip_prefix("@ ") {
                let (key, value) = setting.split_once(' ').unwrap_or((setting, ""));
                transcript.settings.push((key.to_owned(), value.to_owned()));
                continue;
            }
            let step = step(line)
                .unwrap_or_else(|| panic!("{name}, line {}: cannot read {line:?}", number + 1));
            transcript.steps.push(step);
        }
        transcript
    }

    /// A setting's value.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a setting is there.
    pub fn has(&self, key: &str) -> bool {
        self.setting(key).is_some()
    }
}

/// Whether a line matches a pattern in which `*` stands for any text.
pub fn matches(pattern: &str, line: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('*') else {
        return pattern == line;
    };
    line.strip_prefix(front).is_some_and(|line| {
        line.char_indices()
            .map(|(at, _)| at)
            .chain([line.len()])
            .any(|at| matches(rest, &line[at..]))
    })
}

fn step(line: &str) -> Option<Step> {
    Some(match line {
        "TLS" => Step::Tls,
        "TIMEOUT" => Step::TimeOut,
        "RETIRE" => Step::Retire,
        "SHUTDOWN" => Step::ShutDown,
        "CLOSED" => Step::Closed,
        "C:" => Step::Client(b"\r\n".to_vec()),
        "BODY" => Step::Body(Vec::new()),
        _ => match line.split_once(' ')? {
            ("C:", text) => {
                let mut octets = unescape(text)?;
                octets.extend_from_slice(b"\r\n");
                Step::Client(octets)
            }
            ("C-", text) => Step::Client(unescape(text)?),
            ("S:", pattern) => Step::Server(pattern.to_owned()),
            ("MESSAGE", envelope) => Step::Message(envelope.to_owned()),
            ("BODY", text) => Step::Body(unescape(text)?),
            _ => return None,
        },
    })
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(plain.as_bytes());
        let kind = escape.chars().next()?;
        rest = &escape[kind.len_utf8()..];
        match kind {
            'r' => octets.push(b'\r'),
            'n' => octets.push(b'\n'),
            't' => octets.push(b'\t'),
            '0' => octets.push(0),
            '\\' => octets.push(b'\\'),
            'x' => {
                octets.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = &rest[2..];
            }
            '(' => {
                let (repeated, behind) = rest.split_once(')')?;
                let (count, part) = repeated.split_once('*')?;
                octets.extend(unescape(part)?.repeat(count.parse().ok()?));
                rest = behind;
            }
            _ => return None,
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    Some(octets)
}
