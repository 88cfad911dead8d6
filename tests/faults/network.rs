//! A network of its own for each node, and a switch between them that drops what it is told to.
//!
//! ```text
//!   node 1 ── p1 ┐
//!   node 2 ── p2 ┤ br0, in a namespace of its own      clients and primary (this process) ── p100
//!   node 3 ── p3 ┘   nft: which node hears which                                            │
//!                └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Nothing outside the namespaces is touched; they are named after this process and go when it
//! does, or, when it was killed, at the start of the next one.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::AsFd as _,
    path::Path,
    process,
};

use rustix::{
    process::Signal,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::shell;

/// Where namespaces have names (ip-netns(8)).
const NAMES: &str = "/run/netns";

/// What ours begin with; the number of the process follows.
const PREFIX: &str = "layover-";

/// The number of the host on which clients and primary live.
const OUTSIDE: u8 = 100;

/// Octets a second of a slow link: a message of 50 kB takes 0.4 s over it.
const SLOW_RATE: &str = "1mbit";

/// Two nodes, the first of which is not heard by the second; counted from 0.
pub(crate) type Deafness = (usize, usize);

/// The namespaces of one run.
#[derive(Debug)]
pub(crate) struct Network {
    nodes: usize,
    /// The namespace in which this thread was before.
    home: File,
}

impl Network {
    /// Lays the cables, and moves this thread, and those that it starts from now on, to where the
    /// clients live.
    ///
    /// # Errors
    /// When this machine or this user can not do that: what the programs said.
    pub(crate) fn lay(nodes: usize) -> Result<Self, String> {
        sweep();
        let home = File::open("/proc/thread-self/ns/net").map_err(|error| error.to_string())?;
        let network = Self { nodes, home };
        let switch = name("switch");
        shell::run(&["ip", "netns", "add", &switch])?;
        shell::run(&["ip", "-n", &switch, "link", "add", "br0", "type", "bridge"])?;
        shell::run(&["ip", "-n", &switch, "link", "set", "br0", "up"])?;
        for host in network.hosts() {
            connect(host, &switch)?;
        }
        network.deafen(&[], 0)?;
        let outside = File::open(path(&host_name(OUTSIDE))).map_err(|error| error.to_string())?;
        move_into_link_name_space(outside.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| format!("setns: {error}"))?;
        Ok(network)
    }

    fn hosts(&self) -> Vec<u8> {
        (0..self.nodes).map(number).chain([OUTSIDE]).collect()
    }

    /// The address of a node, counted from 0.
    pub(crate) fn address(node: usize) -> IpAddr {
        address(number(node))
    }

    /// Where the primary listens.
    pub(crate) fn primary() -> SocketAddr {
        SocketAddr::new(address(OUTSIDE), 2526)
    }

    /// What starts a program on a node's host and becomes it.
    pub(crate) fn launcher(node: usize) -> Vec<String> {
        let file = path(&host_name(number(node)));
        vec!["nsenter".to_owned(), format!("--net={file}")]
    }

    /// From now on exactly these do not hear each other, and of what nodes say to nodes `lost`
    /// packets of a hundred are dropped.
    ///
    /// # Errors
    /// When the filter is refused.
    pub(crate) fn deafen(&self, pairs: &[Deafness], lost: u64) -> Result<(), String> {
        let mut rules = String::from(
            "table bridge faults\ndelete table bridge faults\ntable bridge faults {\n\
             chain between { type filter hook forward priority 0; policy accept;\n",
        );
        for &(from, to) in pairs {
            let (from, to) = (Self::address(from), Self::address(to));
            rules.push_str(&format!("ip saddr {from} ip daddr {to} drop\n"));
        }
        if lost > 0 {
            let nodes: Vec<String> = (0..self.nodes)
                .map(|node| Self::address(node).to_string())
                .collect();
            let nodes = nodes.join(", ");
            rules.push_str(&format!(
                "ip saddr {{ {nodes} }} ip daddr {{ {nodes} }} numgen random mod 100 < {lost} drop\n"
            ));
        }
        rules.push_str("}\n}\n");
        let net = format!("--net={}", path(&name("switch")));
        shell::feed(&["nsenter", &net, "nft", "-f", "-"], &rules)
    }

    /// Makes the link towards a node slow, or as fast as it was.
    ///
    /// # Errors
    /// When the kernel has no such queue (CONFIG_NET_SCH_TBF).
    pub(crate) fn slow_down(&self, node: usize, slow: bool) -> Result<(), String> {
        let (switch, port) = (name("switch"), format!("p{}", number(node)));
        let words: &[&str] = if slow {
            &["replace", "dev", &port, "root", "tbf", "rate", SLOW_RATE]
        } else {
            &["del", "dev", &port, "root"]
        };
        let mut all = vec!["tc", "-n", &switch, "qdisc"];
        all.extend(words);
        if slow {
            all.extend(["burst", "16k", "latency", "300ms"]);
        }
        shell::run(&all).map(drop)
    }

    /// Delays what goes towards a node, or no more.
    ///
    /// # Errors
    /// When the kernel has no such queue (CONFIG_NET_SCH_NETEM).
    pub(crate) fn delay(&self, node: usize, delayed: bool) -> Result<(), String> {
        let (switch, port) = (name("switch"), format!("p{}", number(node)));
        let words: &[&str] = if delayed {
            &["replace", "dev", &port, "root", "netem", "delay", "100ms"]
        } else {
            &["del", "dev", &port, "root"]
        };
        let mut all = vec!["tc", "-n", &switch, "qdisc"];
        all.extend(words);
        shell::run(&all).map(drop)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let network = Some(LinkNameSpaceType::Network);
        let _home = move_into_link_name_space(self.home.as_fd(), network);
        for host in self.hosts() {
            drop(shell::run(&["ip", "netns", "del", &host_name(host)]));
        }
        drop(shell::run(&["ip", "netns", "del", &name("switch")]));
    }
}

/// Makes a host and plugs it in.
fn connect(host: u8, switch: &str) -> Result<(), String> {
    let (own, port) = (host_name(host), format!("p{host}"));
    let address = format!("{}/24", address(host));
    shell::run(&["ip", "netns", "add", &own])?;
    let cable = ["type", "veth", "peer", "name", &port, "netns", switch];
    let mut words = vec!["ip", "-n", &own, "link", "add", "eth0"];
    words.extend(cable);
    shell::run(&words)?;
    for words in [
        &["link", "set", "lo", "up"][..],
        &["link", "set", "eth0", "up"],
        &["addr", "add", &address, "dev", "eth0"],
    ] {
        let mut all = vec!["ip", "-n", &own];
        all.extend(words);
        shell::run(&all)?;
    }
    shell::run(&[
        "ip", "-n", switch, "link", "set", &port, "master", "br0", "up",
    ])
    .map(drop)
}

/// Removes what runs that were killed have left: their nodes and namespaces.
fn sweep() {
    let Ok(names) = fs::read_dir(NAMES) else {
        return;
    };
    for entry in names.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Its nodes outlive a run that was killed.
            let nodes = shell::run(&["ip", "netns", "pids", &name]).unwrap_or_default();
            nodes
                .lines()
                .filter_map(|pid| pid.trim().parse().ok())
                .for_each(|pid| harness::process::signal(pid, Signal::KILL));
            drop(shell::run(&["ip", "netns", "del", &name]));
        }
    }
}

fn name(what: &str) -> String {
    format!("{PREFIX}{}-{what}", process::id())
}

fn host_name(host: u8) -> String {
    name(&host.to_string())
}

fn path(name: &str) -> String {
    format!("{NAMES}/{name}")
}

fn number(node: usize) -> u8 {
    u8::try_from(node + 1).expect("a handful of nodes")
}

/// Of TEST-NET-1 (RFC 5737), which nobody can reach by mistake.
fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, host).into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Network;

    /// Whether a host's refusal of a connection comes back to a node within a second.
    fn hears(from: usize, to: usize) -> bool {
        let connect = format!("exec 3<>/dev/tcp/{}/1", Network::address(to));
        let launcher = Network::launcher(from);
        let mut command = Command::new(&launcher[0]);
        command
            .args(&launcher[1..])
            .args(["timeout", "1", "bash", "-c", &connect]);
        // 124 is timeout's own code for running into it.
        harness::ctl::outcome(&mut command).code != 124
    }

    #[test]
    fn who_is_deafened_does_not_hear_and_all_others_do() {
        let network = match Network::lay(3) {
            Ok(network) => network,
            Err(why) => {
                println!("skipped: {why}");
                return;
            }
        };
        assert!(hears(0, 1) && hears(1, 0) && hears(1, 2));
        network.deafen(&[(0, 1)], 0).unwrap();
        assert!(!hears(0, 1) && !hears(1, 0) && hears(0, 2));
        network.deafen(&[(2, 0)], 20).unwrap();
        assert!(!hears(2, 0));
        network.deafen(&[], 0).unwrap();
        assert!(hears(0, 1));
    }
}
