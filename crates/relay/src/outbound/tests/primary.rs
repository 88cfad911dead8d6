//! A primary that misbehaves on cue.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Where a dialogue stands when the script is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Greeting,
    Ehlo,
    /// XCLIENT or XFORWARD.
    Client,
    Mail,
    Rcpt(String),
    Data,
    /// The first line of a body has come, or the command in front of its first chunk.
    Body,
    /// A chunk has come that is not the last.
    Chunk,
    /// The final dot or the last chunk has come, with the whole body.
    Dot(Vec<u8>),
}

/// What the primary does then.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Usual,
    Say(&'static str),
    SayAndClose(&'static str),
    Close,
    /// Says nothing and reads nothing more.
    Silence,
    /// Takes its time, then does as usual.
    After(Duration),
}

pub(crate) type Script = Arc<dyn Fn(usize, &Moment) -> Act + Send + Sync>;

/// One message that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) connection: usize,
    pub(crate) to: Vec<String>,
    /// MAIL and RCPT as they came.
    pub(crate) commands: Vec<String>,
    /// Each XCLIENT and XFORWARD that was taken since the message before, or the connection's beginning.
    pub(crate) passed_on: Vec<String>,
    /// Sizes of the chunks; none when it came by DATA.
    pub(crate) chunks: Vec<usize>,
    pub(crate) body: Vec<u8>,
    pub(crate) tls: bool,
}

impl Taken {
    /// The number in the trace field that the test's outbox puts in front.
    pub(crate) fn sequence(&self) -> u64 {
        let text = String::from_utf8_lossy(&self.body);
        let line = text.lines().next().unwrap();
        line.strip_prefix("Received: ").unwrap().parse().unwrap()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) connections: usize,
    pub(crate) taken: Vec<Taken>,
    /// Messages between MAIL and the end of data now, and at most.
    pub(crate) open: Vec<Vec<String>>,
    pub(crate) open_max: usize,
    /// Recipients that were in two transactions at once.
    pub(crate) overlaps: usize,
    /// Final dots that were read.
    pub(crate) dots: usize,
}

pub(crate) struct Primary {
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Mutex<Log>>,
    /// Everything ends with it.
    tasks: JoinSet<()>,
}

impl Primary {
    pub(crate) async fn start(
        address: SocketAddr,
        script: Script,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let mut tasks = JoinSet::new();
        let kept = log.clone();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection = {
                    let mut log = kept.lock().unwrap();
                    log.connections += 1;
                    log.connections
                };
                let talk = Talk {
                    connection,
                    script: script.clone(),
                    log: kept.clone(),
                    begun: false,
                    to: Vec::new(),
                    commands: Vec::new(),
                    passed_on: Vec::new(),
                    chunks: Vec::new(),
                    chunked: Vec::new(),
                    secured: false,
                    tls: tls.clone(),
                };
                sessions.spawn(talk.run(stream));
            }
        });
        Self {
            address,
            log,
            tasks,
        }
    }

    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.log.lock().unwrap().taken.clone()
    }

    pub(crate) fn dots(&self) -> usize {
        self.log.lock().unwrap().dots
    }

    pub(crate) fn sequences(&self) -> Vec<u64> {
        self.taken().iter().map(Taken::sequence).collect()
    }
}

struct Talk {
    connection: usize,
    script: Script,
    log: Arc<Mutex<Log>>,
    /// MAIL was accepted.
    begun: bool,
    to: Vec<String>,
    commands: Vec<String>,
    passed_on: Vec<String>,
    /// Sizes of the chunks so far, and their octets.
    chunks: Vec<usize>,
    chunked: Vec<u8>,
    secured: bool,
    tls: Option<TlsAcceptor>,
}

enum Next {
    On,
    Upgrade,
    End,
}

impl Talk {
    async fn run(mut self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        if !matches!(
            self.say(&mut stream, Moment::Greeting, "220 primary.test")
                .await,
            Some(true)
        ) {
            return;
        }
        if matches!(self.lines(&mut stream).await, Next::Upgrade) {
            let acceptor = self.tls.clone().unwrap();
            if let Ok(stream) = acceptor.accept(stream.into_inner()).await {
                self.secured = true;
                self.lines(&mut BufReader::new(stream)).await;
            }
        }
    }

    async fn lines<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
    ) -> Next {
        let mut line = Vec::new();
        loop {
            line.clear();
            match stream.read_until(b'\n', &mut line).await {
                Ok(length) if length > 0 => {}
                _ => break Next::End,
            }
            let command = String::from_utf8_lossy(&line).trim_end().to_owned();
            match self.command(stream, &command).await {
                Some(Next::On) => {}
                Some(next) => break next,
                None => break Next::End,
            }
        }
    }

    async fn command<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
        command: &str,
    ) -> Option<Next> {
        if command == "STARTTLS" {
            stream.write_all(b"220 go\r\n").await.ok()?;
            return Some(Next::Upgrade);
        }
        if command == "QUIT" {
            stream.write_all(b"221 bye\r\n").await.ok()?;
            return None;
        }
        if command.starts_with("EHLO") {
            let offer = self.tls.is_some() && !self.secured;
            let lines = if offer {
                "250-primary.test\r\n250-PIPELINING\r\n250 STARTTLS"
            } else {
                "250-primary.test\r\n250 PIPELINING"
            };
            self.say(stream, Moment::Ehlo, lines).await?;
        } else if command.starts_with("HELO") {
            stream.write_all(b"250 primary.test\r\n").await.ok()?;
        } else if command.starts_with("XCLIENT") || command.starts_with("XFORWARD") {
            let usual = if command.starts_with("XC") {
                "220 primary.test"
            } else {
                "250 2.0.0 ok"
            };
            if self.say(stream, Moment::Client, usual).await? {
                self.passed_on.push(command.to_owned());
            }
        } else if command.starts_with("MAIL") {
            self.forget();
            self.commands.push(command.to_owned());
            self.begun = self.say(stream, Moment::Mail, "250 2.1.0 ok").await?;
        } else if let Some(to) = command.strip_prefix("RCPT TO:<") {
            let (to, _) = to.split_once('>').unwrap();
            let to = to.to_owned();
            if !self.begun {
                stream.write_all(b"503 5.5.1 MAIL first\r\n").await.ok()?;
            } else if self
                .say(stream, Moment::Rcpt(to.clone()), "250 2.1.5 ok")
                .await?
            {
                self.to.push(to);
                self.commands.push(command.to_owned());
            }
        } else if command == "DATA" {
            if self.to.is_empty() {
                stream
                    .write_all(b"554 5.5.1 no valid recipients\r\n")
                    .await
                    .ok()?;
            } else if self.say(stream, Moment::Data, "354 go").await? {
                self.body(stream).await?;
            }
        } else if let Some(arguments) = command.strip_prefix("BDAT ") {
            self.chunk(stream, arguments).await?;
        } else if command == "RSET" {
            self.forget();
            stream.write_all(b"250 2.0.0 ok\r\n").await.ok()?;
        } else {
            stream.write_all(b"500 5.5.2 what?\r\n").await.ok()?;
        }
        Some(Next::On)
    }

    fn forget(&mut self) {
        self.to.clear();
        self.commands.clear();
        self.chunks.clear();
        self.chunked.clear();
    }

    /// Reads a chunk. One that is refused ends the transaction.
    async fn chunk<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
        arguments: &str,
    ) -> Option<()> {
        let (size, last) = match arguments.split_once(' ') {
            Some((size, last)) => (size, last == "LAST"),
            None => (arguments, false),
        };
        if self.chunks.is_empty() {
            self.say(stream, Moment::Body, "").await?;
        }
        let mut octets = vec![0; size.parse().unwrap()];
        stream.read_exact(&mut octets).await.ok()?;
        if self.to.is_empty() {
            stream
                .write_all(b"503 5.5.1 no transaction\r\n")
                .await
                .ok()?;
            return Some(());
        }
        self.chunks.push(octets.len());
        self.chunked.append(&mut octets);
        if !last {
            if !self.say(stream, Moment::Chunk, "250 2.0.0 ok").await? {
                self.forget();
            }
            return Some(());
        }
        self.log.lock().unwrap().dots += 1;
        let body = self.chunked.clone();
        let is_taken = self.say(stream, Moment::Dot(body.clone()), "").await?;
        if is_taken {
            self.take(stream, body).await?;
        }
        self.forget();
        Some(())
    }

    /// Takes a message, and says so.
    async fn take<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
        body: Vec<u8>,
    ) -> Option<()> {
        let taken = Taken {
            connection: self.connection,
            to: self.to.clone(),
            commands: self.commands.clone(),
            passed_on: core::mem::take(&mut self.passed_on),
            chunks: self.chunks.clone(),
            body,
            tls: self.secured,
        };
        self.log.lock().unwrap().taken.push(taken);
        stream.write_all(b"250 2.0.0 taken\r\n").await.ok()
    }

    async fn body<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
    ) -> Option<()> {
        {
            let mut log = self.log.lock().unwrap();
            let overlap = log.open.iter().flatten().any(|open| self.to.contains(open));
            log.overlaps += usize::from(overlap);
            log.open.push(self.to.clone());
            log.open_max = log.open_max.max(log.open.len());
        }
        let ended = self.read_body(stream).await;
        {
            let mut log = self.log.lock().unwrap();
            if let Some(at) = log.open.iter().position(|open| *open == self.to) {
                log.open.remove(at);
            }
        }
        if let (true, body) = ended? {
            self.take(stream, body).await?;
        }
        Some(())
    }

    /// Reads a body, and tells whether the script lets it be taken.
    async fn read_body<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
    ) -> Option<(bool, Vec<u8>)> {
        let mut body = Vec::new();
        let mut first = true;
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            if line == b".\r\n" {
                break;
            }
            body.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            if core::mem::take(&mut first) {
                self.say(stream, Moment::Body, "").await?;
            }
        }
        self.log.lock().unwrap().dots += 1;
        let usual = self.say(stream, Moment::Dot(body.clone()), "").await?;
        Some((usual, body))
    }

    /// Does what the script says: `Some(true)` when all went as usual, `None` at the end.
    async fn say<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        moment: Moment,
        usual: &str,
    ) -> Option<bool> {
        let act = (self.script)(self.connection, &moment);
        let (words, go_on, as_usual) = match act {
            Act::Usual => (usual, true, true),
            Act::Say(words) => (words, true, false),
            Act::SayAndClose(words) => (words, false, false),
            Act::Close => ("", false, false),
            Act::Silence => return std::future::pending().await,
            Act::After(pause) => {
                tokio::time::sleep(pause).await;
                (usual, true, true)
            }
        };
        if !words.is_empty() {
            stream
                .write_all(format!("{words}\r\n").as_bytes())
                .await
                .ok()?;
        }
        go_on.then_some(as_usual)
    }
}
