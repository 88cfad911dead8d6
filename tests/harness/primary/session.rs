//! One session of the stand-in primary.

use std::{io, net::TcpStream, sync::Arc, thread, time::Instant};

use super::{Offer, Received, Said, Shared, Stage, lock};
use crate::network::{Lines, Wire};

/// The SIZE that is usually told.
const SIZE: usize = 100 * 1024 * 1024;

/// The dialogue with one client.
#[derive(Debug)]
pub(super) struct Session {
    shared: Arc<Shared>,
    lines: Lines,
    number: usize,
    tls: bool,
    from: Option<String>,
    to: Vec<String>,
    said: Said,
    /// What came by BDAT so far.
    chunks: Vec<u8>,
}

/// Whether to read on.
enum Next {
    Command,
    Tls,
    End,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, stream: TcpStream, number: usize) -> Self {
        let lines = Lines::new(Wire::Plain(stream));
        Self {
            shared,
            lines,
            number,
            tls: false,
            from: None,
            to: Vec::new(),
            said: Said::default(),
            chunks: Vec::new(),
        }
    }

    /// Talks until either side ends it.
    pub(super) fn run(mut self) -> io::Result<()> {
        self.lines.socket().set_nodelay(true)?;
        self.answer(Stage::Connect, "220 primary.test ESMTP stand-in")?;
        loop {
            let line = self.lines.read_line()?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            match self.obey(&line)? {
                Next::Command => {}
                Next::Tls => self = self.upgraded()?,
                Next::End => return Ok(()),
            }
        }
    }

    fn obey(&mut self, line: &str) -> io::Result<Next> {
        let verb = line
            .split([' ', ':'])
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let starttls = self.shared.tls.is_some() && !self.tls;
                let starttls = starttls.then_some("STARTTLS");
                let offers = lock(&self.shared.cue).offers.clone();
                let extra: String = starttls
                    .into_iter()
                    .chain(offers.into_iter().map(Offer::keyword))
                    .map(|keyword| format!("250-{keyword}\r\n"))
                    .collect();
                let size = lock(&self.shared.cue).size.unwrap_or(SIZE);
                let offer = format!(
                    "250-primary.test\r\n250-PIPELINING\r\n250-SIZE {size}\r\n{extra}\
                     250-ENHANCEDSTATUSCODES\r\n250 8BITMIME"
                );
                self.answer(Stage::Ehlo, &offer)?;
            }
            "HELO" => drop(self.answer(Stage::Ehlo, "250 primary.test")?),
            "STARTTLS" if self.shared.tls.is_some() && !self.tls => {
                self.lines.write(b"220 2.0.0 go ahead\r\n")?;
                return Ok(Next::Tls);
            }
            "MAIL" => self.mail(line)?,
            "RCPT" => self.recipient(line)?,
            "DATA" => self.data()?,
            "BDAT" if self.is_offered(Offer::Chunking) => self.chunk(line)?,
            "RSET" => {
                self.forget();
                self.lines.write(b"250 2.0.0 ok\r\n")?;
            }
            "NOOP" => self.lines.write(b"250 2.0.0 ok\r\n")?,
            "QUIT" => {
                self.lines.write(b"221 2.0.0 bye\r\n")?;
                return Ok(Next::End);
            }
            _ => self.lines.write(b"500 5.5.1 what?\r\n")?,
        }
        Ok(Next::Command)
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
        self.said = Said::default();
        self.chunks.clear();
    }

    fn is_offered(&self, offer: Offer) -> bool {
        lock(&self.shared.cue).offers.contains(&offer)
    }

    fn mail(&mut self, line: &str) -> io::Result<()> {
        let (path, parameters) = path(line);
        if let Some(refusal) = self.objection(&parameters) {
            return self.lines.write(refusal);
        }
        if self.answer(Stage::Mail, "250 2.1.0 ok")? {
            self.forget();
            self.from = Some(path);
            self.said.mail = parameters;
        }
        Ok(())
    }

    /// What is said to parameters of MAIL or RCPT that are not offered.
    fn objection(&self, parameters: &[String]) -> Option<&'static [u8]> {
        let mut needed = parameters
            .iter()
            .filter_map(|parameter| Offer::for_parameter(parameter));
        let offered = needed.all(|offer| self.is_offered(offer));
        (!offered).then_some(b"555 5.5.4 not offered\r\n")
    }

    fn recipient(&mut self, line: &str) -> io::Result<()> {
        let (to, parameters) = path(line);
        if self.from.is_none() {
            return self.lines.write(b"503 5.5.1 MAIL first\r\n");
        }
        if let Some(refusal) = self.objection(&parameters) {
            return self.lines.write(refusal);
        }
        lock(&self.shared.named).push(to.to_ascii_lowercase());
        let refused = lock(&self.shared.cue).refusal(&to);
        if let Some(reply) = refused {
            return self.lines.write(format!("{reply}\r\n").as_bytes());
        }
        if self.answer(Stage::Recipient, "250 2.1.5 ok")? {
            self.to.push(to);
            self.said.rcpt.push(parameters);
        }
        Ok(())
    }

    fn data(&mut self) -> io::Result<()> {
        if self.to.is_empty() {
            return self.lines.write(b"554 5.5.1 no valid recipients\r\n");
        }
        if !self.answer(Stage::Data, "354 go ahead")? {
            return Ok(());
        }
        let body = self.read_body()?;
        self.take(body)
    }

    /// One chunk of a body (RFC 3030).
    fn chunk(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let octets = words.next().and_then(|word| word.parse().ok());
        let Some(octets) = octets else {
            return self.lines.write(b"501 5.5.4 BDAT octets [LAST]\r\n");
        };
        let octets = self.lines.read_octets(octets)?;
        if self.to.is_empty() {
            return self.lines.write(b"554 5.5.1 no valid recipients\r\n");
        }
        self.chunks.extend_from_slice(&octets);
        self.said.chunks += 1;
        if words.next().is_some() {
            let body = std::mem::take(&mut self.chunks);
            return self.take(body);
        }
        self.answer(Stage::Data, "250 2.0.0 go on")?;
        Ok(())
    }

    /// Records a message that has arrived, and answers.
    fn take(&mut self, body: Vec<u8>) -> io::Result<()> {
        let at = Instant::now();
        // Looked at here: a refusal at the dot must leave no record.
        if self.misbehaves(Stage::Dot)? {
            return Ok(());
        }
        let from = self.from.take().unwrap_or_default();
        let to = std::mem::take(&mut self.to);
        let said = std::mem::take(&mut self.said);
        let arrived = Received {
            from,
            to,
            said,
            body,
            session: self.number,
            tls: self.tls,
            at,
        };
        lock(&self.shared.received).push(arrived);
        self.answer(Stage::AfterDot, "250 2.0.0 taken")?;
        Ok(())
    }

    /// The body up to the final dot, un-stuffed.
    fn read_body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.lines.read_line()?;
            if line == b".\r\n" {
                return Ok(body);
            }
            body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    /// Says the usual reply, unless the cue wants another; tells whether it was the usual one.
    fn answer(&mut self, stage: Stage, usual: &str) -> io::Result<bool> {
        if self.misbehaves(stage)? {
            return Ok(false);
        }
        self.lines.write(format!("{usual}\r\n").as_bytes())?;
        Ok(true)
    }

    fn misbehaves(&mut self, stage: Stage) -> io::Result<bool> {
        let (pause, broken, reply) = {
            let mut cue = lock(&self.shared.cue);
            let pause = cue.pauses.get(&stage).copied();
            (pause, cue.take_drop(stage), cue.take_reply(stage))
        };
        if let Some(pause) = pause {
            thread::sleep(pause);
        }
        if broken {
            self.lines.hang_up();
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let Some(reply) = reply else { return Ok(false) };
        self.lines.write(format!("{reply}\r\n").as_bytes())?;
        if reply.starts_with("421") {
            self.lines.hang_up();
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(true)
    }

    fn upgraded(self) -> io::Result<Self> {
        let config = self.shared.tls.clone().ok_or(io::ErrorKind::Unsupported)?;
        let wire = self.lines.into_wire().accept_tls(config)?;
        let mut secure = Self {
            lines: Lines::new(wire),
            tls: true,
            ..self
        };
        secure.forget();
        Ok(secure)
    }
}

/// What stands between the angle brackets, and the words behind them. A quoted local part may have
/// such brackets of its own, and so may a parameter.
fn path(line: &str) -> (String, Vec<String>) {
    let (_, rest) = line.split_once('<').unwrap_or_default();
    let (mut quoted, mut escaped) = (false, false);
    let end = rest.find(|c: char| {
        let closes = c == '>' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    let (path, parameters) = rest.split_at(end.unwrap_or(rest.len()));
    let words = parameters.trim_start_matches('>').split_ascii_whitespace();
    (path.to_owned(), words.map(str::to_owned).collect())
}
