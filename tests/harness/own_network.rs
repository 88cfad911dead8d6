//! A network that only a test and what it starts are in, with addresses as they stand in the DNS.
//!
//! MX records name no port, and nobody looks up what a loopback address is called. So a test that goes by the DNS
//! needs hosts at port 25 of public addresses; here they are this machine's own, and nothing leaves it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::Ipv4Addr,
    os::fd::AsFd as _,
    process::{Child, Command, Stdio},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A thread that is in a network of its own, with all that it starts from then on, until this is dropped.
#[derive(Debug)]
pub struct OwnNetwork {
    /// Where the thread was before.
    home: File,
}

impl OwnNetwork {
    /// Moves this thread to where these addresses, and the loopback ones, are the machine's, and no others can be
    /// reached.
    ///
    /// # Errors
    /// When this user or this machine can not do that: what the programs said.
    pub fn enter(addresses: &[Ipv4Addr]) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("no network of its own: {error}");
        let home = File::open("/proc/thread-self/ns/net").map_err(failed)?;
        let mut script = "ip link set lo up".to_owned();
        for address in addresses {
            script.push_str(&format!(" && ip address add {address}/32 dev lo"));
        }
        // It keeps the network there until its input ends, by when this thread is in it.
        script.push_str(" && echo ready && exec cat");
        let mut keeper = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let entered = ready(&mut keeper).and_then(|()| {
            let file = format!("/proc/{}/ns/net", keeper.id());
            let network = File::open(file).map_err(failed)?;
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|error| format!("setns: {error}"))
        });
        drop(keeper.stdin.take());
        drop(keeper.wait());
        entered.map(|()| Self { home })
    }
}

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        // Whoever is left in it by a failure here finds no other host.
        move_into_link_name_space(self.home.as_fd(), Some(LinkNameSpaceType::Network)).ok();
    }
}

fn ready(keeper: &mut Child) -> Result<(), String> {
    let mut line = String::new();
    if let Some(said) = keeper.stdout.take() {
        BufReader::new(said).read_line(&mut line).ok();
    }
    if line == "ready\n" {
        return Ok(());
    }
    let mut why = String::new();
    if let Some(mut said) = keeper.stderr.take() {
        said.read_to_string(&mut why).ok();
    }
    let why = why.trim().replace('\n', "; ");
    Err(format!(
        "no network of its own (run the tests as root): {why}"
    ))
}
