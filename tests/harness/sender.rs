//! A plain SMTP client: one session, one step at a time, every reply handed back.

use std::{
    fmt,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::ClientConfig;

use crate::{
    letter::Letter,
    network::{Lines, Wire},
};

/// Longer than any node's `commit_timeout` in tests, so that its 451 is read and not guessed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The text of each line, without digits and line end.
    pub lines: Vec<String>,
}

impl Reply {
    /// Whether the server said yes (2xx) or go on (3xx).
    #[must_use]
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Whether the same may work later (4xx).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// The message id in `250 2.0.0 Ok: queued as ID`.
    #[must_use]
    pub fn queued_as(&self) -> Option<&str> {
        let (_, id) = self.lines.last()?.rsplit_once("queued as ")?;
        (self.code == 250).then_some(id.trim())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / "))
    }
}

/// A session with a server. Dropping it breaks the connection without QUIT.
#[derive(Debug)]
pub struct Sender {
    lines: Lines,
    /// The keywords of the last EHLO.
    pub extensions: Vec<String>,
}

impl Sender {
    /// Connects, reads the greeting and says EHLO.
    ///
    /// # Errors
    /// When nobody listens, or the greeting is not 220.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_for(address, PATIENCE)
    }

    /// The same for a client that waits so long for each reply and no longer.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_for(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let mut sender = Self::dial_for(address, patience)?;
        let greeting = sender.read_reply()?;
        if greeting.code != 220 {
            return Err(io::Error::other(format!("greeted with {greeting}")));
        }
        sender.ehlo()?;
        Ok(sender)
    }

    /// Connects and runs TLS by STARTTLS.
    ///
    /// # Errors
    /// As [`Self::connect`], and when TLS is refused or fails.
    pub fn connect_tls(address: SocketAddr, trust: Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect(address)?.start_tls(trust)
    }

    /// Connects and reads nothing yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn dial(address: SocketAddr) -> io::Result<Self> {
        Self::dial_for(address, PATIENCE)
    }

    fn dial_for(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self {
            lines: Lines::new(Wire::Plain(stream)),
            extensions: Vec::new(),
        })
    }

    /// Says EHLO and remembers what the server offers.
    ///
    /// # Errors
    /// When the connection fails or EHLO is refused.
    pub fn ehlo(&mut self) -> io::Result<()> {
        let reply = expect(self.command("EHLO sender.test")?)?;
        self.extensions = reply.lines.into_iter().skip(1).collect();
        Ok(())
    }

    /// Whether the server offered `keyword`.
    #[must_use]
    pub fn offers(&self, keyword: &str) -> bool {
        self.extensions
            .iter()
            .any(|line| line.split(' ').next() == Some(keyword))
    }

    /// Runs STARTTLS and says EHLO again.
    ///
    /// # Errors
    /// When the server refuses or the handshake fails.
    pub fn start_tls(mut self, trust: Arc<ClientConfig>) -> io::Result<Self> {
        expect(self.command("STARTTLS")?)?;
        let wire = self.lines.into_wire().start_tls(trust)?;
        let mut sender = Self {
            lines: Lines::new(wire),
            extensions: Vec::new(),
        };
        sender.ehlo()?;
        Ok(sender)
    }

    /// Sends one command line, reads one reply.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.read_reply()
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lines.write(bytes)
    }

    /// Reads one reply, which may have several lines.
    ///
    /// # Errors
    /// When the connection fails or what comes is no reply.
    pub fn read_reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = String::from_utf8_lossy(&self.lines.read_line()?)
                .trim_end()
                .to_owned();
            let code: u16 = line
                .get(..3)
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| io::Error::other(format!("not a reply: {line:?}")))?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// Sends one message; returns the reply to the final dot, or the first reply that said no
    /// (the transaction is then reset).
    ///
    /// # Errors
    /// When the connection fails: whether the message was taken is then unknown.
    pub fn send(&mut self, letter: &Letter) -> io::Result<Reply> {
        let mut commands = self.envelope(letter);
        commands.push("DATA".to_owned());
        for command in commands {
            let reply = self.command(&command)?;
            if !reply.is_positive() {
                return self.give_up(reply);
            }
        }
        self.write(&stuffed(&letter.body))?;
        self.read_reply()
    }

    /// Sends one message by BDAT, in chunks of so many octets and a last one with the rest (RFC 3030).
    /// Waits for no reply before all is sent, so the chunks should not be thousands; returns the last
    /// one, or the first that said no.
    ///
    /// # Errors
    /// When the connection fails: whether the message was taken is then unknown.
    pub fn send_in_chunks(&mut self, letter: &Letter, octets: usize) -> io::Result<Reply> {
        let commands = self.envelope(letter);
        let mut sent = format!("{}\r\n", commands.join("\r\n")).into_bytes();
        let mut awaited = 1 + letter.to.len();
        let mut rest = letter.body.as_slice();
        loop {
            let (chunk, behind) = rest.split_at(octets.min(rest.len()));
            let last = if behind.is_empty() { " LAST" } else { "" };
            write!(sent, "BDAT {}{last}\r\n", chunk.len())?;
            sent.extend_from_slice(chunk);
            awaited += 1;
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        self.write(&sent)?;
        let replies = (0..awaited).map(|_| self.read_reply());
        let replies: Vec<Reply> = replies.collect::<io::Result<_>>()?;
        let refusal = replies.iter().find(|reply| !reply.is_positive());
        let told = refusal.or_else(|| replies.last()).cloned();
        told.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// MAIL and RCPT for a message.
    fn envelope(&self, letter: &Letter) -> Vec<String> {
        let eight_bit = letter.is_eight_bit() && self.offers("8BITMIME");
        let body = if eight_bit { " BODY=8BITMIME" } else { "" };
        let mut commands = vec![format!("MAIL FROM:<{}>{body}", letter.from)];
        commands.extend(letter.to.iter().map(|to| format!("RCPT TO:<{to}>")));
        commands
    }

    /// Clears the transaction behind a reply that said no.
    fn give_up(&mut self, reply: Reply) -> io::Result<Reply> {
        // Behind a 421 the server hangs up (RFC 5321 section 3.8).
        if reply.code != 421 {
            self.command("RSET")?;
        }
        Ok(reply)
    }

    /// The server's certificate, DER, when TLS runs.
    #[must_use]
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        self.lines.server_certificate()
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn quit(mut self) -> io::Result<Reply> {
        self.command("QUIT")
    }

    /// Breaks the connection off.
    pub fn hang_up(self) {
        self.lines.hang_up();
    }
}

/// Fails unless the server said yes.
fn expect(reply: Reply) -> io::Result<Reply> {
    if reply.is_positive() {
        Ok(reply)
    } else {
        Err(io::Error::other(reply.to_string()))
    }
}

/// The body as it travels: dots doubled at line starts, and the final dot (RFC 5321 section 4.5.2).
#[must_use]
pub fn stuffed(body: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(body.len() + body.len() / 64 + 8);
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
    }
    sent.write_all(b".\r\n").expect("vectors grow");
    sent
}

#[cfg(test)]
mod tests {
    use super::{Reply, stuffed};

    #[test]
    fn dots_are_doubled_at_line_starts_only() {
        assert_eq!(stuffed(b".\r\na.b\r\n..\r\n"), b"..\r\na.b\r\n...\r\n.\r\n");
    }

    #[test]
    fn the_id_is_read_from_a_250_only() {
        let reply = |code| Reply {
            code,
            lines: vec!["2.0.0 Ok: queued as 01ABC".to_owned()],
        };
        assert_eq!(reply(250).queued_as(), Some("01ABC"));
        assert_eq!(reply(451).queued_as(), None);
    }
}
