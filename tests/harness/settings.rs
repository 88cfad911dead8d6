//! The configuration of a node under test, and the policy of its cluster.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use crate::{Authority, NameServer, Port, SignedZone};

/// Where nobody listens.
const NO_NAME_SERVER: &str = "127.0.0.1:9";

/// What a test may want otherwise; the default is a cluster that is quick to notice things.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The policy file's text.
    pub policy: String,
    /// Further lines for a section of the node file, as `("smtp", "command_timeout = \"2s\"")`.
    /// A key that is given here is left out of what the harness itself would write.
    pub lines: Vec<(String, String)>,
    /// Phrases of log lines at level ERROR that this test expects.
    pub allowed_errors: Vec<String>,
    /// What RUST_LOG is set to.
    pub log: String,
}

impl Settings {
    /// For one domain, `example.com`, with its primary at `primary`.
    #[must_use]
    pub fn for_primary(primary: SocketAddr) -> Self {
        Self::for_domains(&[("example.com", primary)])
    }

    /// For several domains.
    #[must_use]
    pub fn for_domains(domains: &[(&str, SocketAddr)]) -> Self {
        let mut policy = String::new();
        for (name, primary) in domains {
            write!(
                policy,
                "[[domain]]\nname = \"{name}\"\nprimary = [\"{primary}\"]\n\
                 recipients = \"any\"\nprobe_interval = \"500ms\"\n\n"
            )
            .expect("strings grow");
        }
        // openraft says so of every entry that a peer still sends to a node that is being stopped.
        let allowed_errors = vec!["raft stopped".to_owned()];
        Self {
            policy,
            lines: Vec::new(),
            allowed_errors,
            log: "info,openraft=warn".to_owned(),
        }
    }

    /// Adds a line to a section of the node file.
    #[must_use]
    pub fn with(mut self, section: &str, line: &str) -> Self {
        self.lines.push((section.to_owned(), line.to_owned()));
        self
    }

    /// Has the nodes ask this name server.
    #[must_use]
    pub fn asking(self, server: &NameServer) -> Self {
        self.with("dns", &format!("servers = [\"{}\"]", server.address()))
    }

    /// Has the nodes ask this name server, and believe what its key has signed.
    #[must_use]
    pub fn trusting(self, server: &SignedZone) -> Self {
        self.with("dns", &format!("servers = [\"{}\"]", server.address()))
            .with(
                "dns",
                &format!("trust_anchors = {:?}", server.trust_anchors()),
            )
    }

    /// Expects log lines at level ERROR that contain `phrase`.
    #[must_use]
    pub fn allowing(mut self, phrase: &str) -> Self {
        self.allowed_errors.push(phrase.to_owned());
        self
    }

    /// The node file's text.
    pub(crate) fn node_file(&self, place: &Place<'_>) -> String {
        let Place {
            id,
            directory,
            ports,
            ..
        } = place;
        let smtp_pair = directory.join("smtp");
        let mut sections: Vec<(&str, Vec<String>)> = vec![
            (
                "node",
                vec![
                    format!("id = {id}"),
                    format!("hostname = \"mx{id}.example.net\""),
                    format!("data_dir = {:?}", directory.join("spool")),
                    // A nearly full disk of the machine that runs the tests is none of their
                    // business.
                    "min_free_space = \"64MiB\"".to_owned(),
                ],
            ),
            (
                "smtp",
                vec![
                    format!("listen = [\"{}\"]", ports.smtp.address()),
                    format!("tls_cert = {:?}", smtp_pair.with_extension("pem")),
                    format!("tls_key = {:?}", smtp_pair.with_extension("key")),
                    "max_connections_per_ip = 1000".to_owned(),
                    "commit_timeout = \"10s\"".to_owned(),
                ],
            ),
            ("cluster", place.cluster_lines()),
            (
                "admin",
                vec![format!("listen = \"{}\"", ports.admin.address())],
            ),
            (
                "http",
                vec![format!("listen = \"{}\"", ports.http.address())],
            ),
            // Nothing under test asks the name servers of the machine that runs the tests.
            ("dns", vec![format!("servers = [\"{NO_NAME_SERVER}\"]")]),
            (
                "policy",
                vec![format!("initial = {:?}", directory.join("policy.toml"))],
            ),
        ];
        for (name, line) in &self.lines {
            let key = line.split('=').next().unwrap_or_default().trim();
            for (section, lines) in &mut sections {
                if section == name {
                    lines.retain(|own| own.split('=').next().unwrap_or_default().trim() != key);
                    lines.push(line.clone());
                }
            }
        }
        let mut text = String::new();
        for (section, lines) in sections {
            writeln!(text, "[{section}]\n{}\n", lines.join("\n")).expect("strings grow");
        }
        text
    }
}

/// The ports of one node.
#[derive(Debug)]
pub struct Ports {
    /// Mail comes in here.
    pub smtp: Port,
    /// Peers talk here.
    pub cluster: Port,
    /// gRPC for operators.
    pub admin: Port,
    /// Metrics and health.
    pub http: Port,
}

impl Ports {
    /// Those of a host whose ports are all its own. The operator's port is for that host alone.
    #[must_use]
    pub fn of_host(address: IpAddr) -> Self {
        let port = |address: IpAddr, number| Port::given(SocketAddr::new(address, number));
        Self {
            smtp: port(address, 2525),
            cluster: port(address, 7400),
            admin: port(Ipv4Addr::LOCALHOST.into(), 7401),
            http: port(address, 7402),
        }
    }

    /// Four free ones.
    #[must_use]
    pub fn free() -> Self {
        Self {
            smtp: Port::free(),
            cluster: Port::free(),
            admin: Port::free(),
            http: Port::free(),
        }
    }
}

/// Where one node of a cluster lives.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) id: u64,
    pub(crate) directory: &'a Path,
    pub(crate) ports: &'a Ports,
    pub(crate) founding: Founding<'a>,
    pub(crate) authority: &'a Authority,
}

/// How a node comes to its cluster at its first start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Founding<'a> {
    /// It founds one alone.
    Bootstrap,
    /// It founds one with these.
    Members(&'a [(u64, SocketAddr)]),
    /// It asks the node at this address to be added.
    Join(SocketAddr),
}

impl Founding<'_> {
    fn line(self) -> String {
        match self {
            Self::Bootstrap => "bootstrap = true".to_owned(),
            Self::Join(asked) => format!("join = \"{asked}\""),
            Self::Members(members) => {
                let list: Vec<String> = members
                    .iter()
                    .map(|(id, address)| format!("{{ id = {id}, address = \"{address}\" }}"))
                    .collect();
                format!("members = [{}]", list.join(", "))
            }
        }
    }
}

impl Place<'_> {
    fn cluster_lines(&self) -> Vec<String> {
        let pair = self.directory.join("peer");
        vec![
            format!("listen = \"{}\"", self.ports.cluster.address()),
            format!("advertise = \"{}\"", self.ports.cluster.address()),
            self.founding.line(),
            format!("tls_ca = {:?}", self.authority.ca()),
            format!("tls_cert = {:?}", pair.with_extension("pem")),
            format!("tls_key = {:?}", pair.with_extension("key")),
        ]
    }
}
