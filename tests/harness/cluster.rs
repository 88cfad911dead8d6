//! Several daemons that found a cluster together.

use std::{net::SocketAddr, path::Path, time::Duration};

use tempfile::TempDir;

use crate::{
    Authority, Courier, Ctl, Daemon,
    settings::{Founding, Place, Ports, Settings},
    wait,
};

/// An election, on two cores that several clusters share, is over within this time.
pub const ELECTION: Duration = Duration::from_secs(30);

/// A cluster under test. Its files go when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// Its nodes; node `i` has the id `i + 1` until it is replaced.
    pub nodes: Vec<Daemon>,
    /// Who signed its certificates.
    pub authority: Authority,
    directory: TempDir,
}

impl Cluster {
    /// Writes the files of `size` nodes; starts none.
    ///
    /// # Panics
    /// When the temporary directory is not writable.
    #[must_use]
    pub fn prepare(size: u64, settings: &Settings) -> Self {
        Self::prepare_at((1..=size).map(|id| (id, Ports::free())).collect(), settings)
    }

    /// Writes the files of nodes of which each has settings of its own; starts none. Their policies are to be
    /// the same.
    ///
    /// # Panics
    /// When the temporary directory is not writable.
    #[must_use]
    pub fn prepare_each(settings: &[Settings]) -> Self {
        let ports: Vec<(u64, Ports)> = (1..)
            .zip(settings)
            .map(|(id, _)| (id, Ports::free()))
            .collect();
        let members: Vec<(u64, SocketAddr)> = ports
            .iter()
            .map(|(id, ports)| (*id, ports.cluster.address()))
            .collect();
        let mut cluster = Self::empty();
        for ((id, ports), own) in ports.into_iter().zip(settings) {
            cluster.prepare_node(id, ports, Founding::Members(&members), own);
        }
        cluster
    }

    /// Writes the files of nodes with these ids and ports; starts none.
    ///
    /// # Panics
    /// When the temporary directory is not writable.
    #[must_use]
    pub fn prepare_at(ports: Vec<(u64, Ports)>, settings: &Settings) -> Self {
        let mut cluster = Self::empty();
        let members: Vec<(u64, SocketAddr)> = ports
            .iter()
            .map(|(id, ports)| (*id, ports.cluster.address()))
            .collect();
        for (id, ports) in ports {
            cluster.prepare_node(id, ports, Founding::Members(&members), settings);
        }
        cluster
    }

    /// Starts one node that founds a cluster alone, and waits until it takes mail.
    #[must_use]
    pub fn bootstrap(settings: &Settings) -> Self {
        let mut cluster = Self::empty();
        cluster.prepare_node(1, Ports::free(), Founding::Bootstrap, settings);
        for node in &mut cluster.nodes {
            node.spawn();
            node.wait_ready();
        }
        cluster
    }

    /// Writes the files of one more node, which is to ask another one to be added; starts nothing.
    /// Returns the node's place.
    pub fn prepare_joining(&mut self, asked: SocketAddr, settings: &Settings) -> usize {
        let place = self.nodes.len();
        let id = self.nodes.last().map_or(1, |last| last.id + 1);
        self.prepare_node(id, Ports::free(), Founding::Join(asked), settings);
        place
    }

    /// Starts one more node, which asks the node at place `asked` to be added, and waits until it
    /// takes mail: then it is a voter. Returns the node's place.
    pub fn join(&mut self, asked: usize, settings: &Settings) -> usize {
        let asked = self.nodes[asked].ports.cluster.address();
        let place = self.prepare_joining(asked, settings);
        self.nodes[place].spawn();
        self.nodes[place].wait_ready();
        place
    }

    /// Writes the files of a new node in place of one that does not run any more and whose data
    /// directory is empty. It has an id that was never used, and is to ask the node at place `asked`
    /// to be added; starts nothing. Returns the id.
    pub fn replace(&mut self, place: usize, asked: usize, settings: &Settings) -> u64 {
        let id = 1 + self.nodes.iter().map(|node| node.id).max().unwrap_or(0);
        let asked = self.nodes[asked].ports.cluster.address();
        self.rewrite(place, id, Founding::Join(asked), settings);
        id
    }

    /// Brings the members in all node files up to date, as operators do after a change.
    pub fn note_members(&mut self, settings: &Settings) {
        let members: Vec<(u64, SocketAddr)> = self
            .nodes
            .iter()
            .map(|node| (node.id, node.ports.cluster.address()))
            .collect();
        for (place, (id, _)) in members.iter().enumerate() {
            self.rewrite(place, *id, Founding::Members(&members), settings);
        }
    }

    fn rewrite(&mut self, place: usize, id: u64, founding: Founding<'_>, settings: &Settings) {
        let node = &mut self.nodes[place];
        let text = settings.node_file(&Place {
            id,
            directory: node.home(),
            ports: &node.ports,
            founding,
            authority: &self.authority,
        });
        node.become_node(id, &text);
    }

    fn empty() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("layover-")
            .tempdir()
            .expect("the temporary directory is writable");
        let authority = Authority::new(&directory.path().join("ca"));
        Self {
            nodes: Vec::new(),
            authority,
            directory,
        }
    }

    fn prepare_node(&mut self, id: u64, ports: Ports, founding: Founding<'_>, settings: &Settings) {
        let home = self.directory.path().join(format!("mx{id}"));
        let text = settings.node_file(&Place {
            id,
            directory: &home,
            ports: &ports,
            founding,
            authority: &self.authority,
        });
        let node = Daemon::prepare(id, &home, ports, &self.authority, &text, settings);
        self.nodes.push(node);
    }

    /// Starts `size` nodes and waits until all take mail.
    #[must_use]
    pub fn start(size: u64, settings: &Settings) -> Self {
        let mut cluster = Self::prepare(size, settings);
        for node in &mut cluster.nodes {
            node.spawn();
        }
        for node in &mut cluster.nodes {
            node.wait_ready();
        }
        cluster
    }

    /// Which node leads, once one does and a majority says so by being ready.
    ///
    /// # Panics
    /// When none does within the time of an election.
    #[must_use]
    pub fn leader(&self) -> usize {
        wait::within(ELECTION, || self.nodes.iter().position(Daemon::is_leader))
            .expect("a leader is elected in time")
    }

    /// Some node that does not lead and runs.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        (0..self.nodes.len())
            .find(|&place| place != leader && self.nodes.get(place).is_some_and(Daemon::is_running))
            .expect("a cluster of several has followers")
    }

    /// The addresses at which the nodes take mail.
    #[must_use]
    pub fn hosts(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Daemon::smtp).collect()
    }

    /// Sends to the nodes in turn.
    #[must_use]
    pub fn courier(&self) -> Courier {
        Courier::new(&self.hosts())
    }

    /// The command line, told about every node.
    #[must_use]
    pub fn ctl(&self) -> Ctl {
        let servers: Vec<SocketAddr> = self
            .nodes
            .iter()
            .map(|node| node.ports.admin.address())
            .collect();
        Ctl::new(&servers)
    }

    /// Waits until every running node counts `expected` messages in the spool.
    ///
    /// # Panics
    /// When that does not come about in time; the panic says what each counts.
    #[track_caller]
    pub fn wait_queued(&self, expected: u64, deadline: Duration) {
        let counts = || -> Vec<Option<u64>> {
            self.nodes
                .iter()
                .filter(|node| node.is_running())
                .map(Daemon::queued)
                .collect()
        };
        let reached = wait::within(deadline, || {
            counts().iter().all(|&n| n == Some(expected)).then_some(())
        });
        assert!(
            reached.is_some(),
            "expected {expected} queued messages, found {:?}; applied up to {:?}, last log {:?}",
            counts(),
            self.figures("layover_raft_last_applied_index"),
            self.figures("layover_raft_last_log_index"),
        );
    }

    /// A metric of every running node.
    fn figures(&self, name: &str) -> Vec<Option<f64>> {
        let running = self.nodes.iter().filter(|node| node.is_running());
        running.map(|node| node.metric(name, &[])).collect()
    }

    /// Where its files lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Lets it run on after the harness is gone, files included; returns the process ids.
    pub fn leave_running(mut self) -> Vec<u32> {
        self.directory.disable_cleanup(true);
        self.nodes
            .iter_mut()
            .filter_map(Daemon::leave_running)
            .collect()
    }
}
