//! From the tables of the file to a sound configuration.

use std::{ops::RangeInclusive, time::Duration};

use cluster::Founding;
use ipnet::IpNet;
use relay::{
    dns::{Anchors, RESOLV_CONF, Servers},
    inbound::PerMinute,
};
use spool::Timestamp;
use tls::MutualFiles;
use toml::Spanned;

use super::{
    Config, Http, LOG_KEEP_BYTES_DEFAULT, LOG_KEEP_DEFAULT, Peers, Smtp,
    certificates::{self, PemFiles, written},
    fault::Fault,
    file::{AdminTable, ClusterTable, DnsTable, File, MemberTable, NodeTable, PemFile, SmtpTable},
    listening,
    users::users,
    values::{HostName, Network, Reach, Size, Span, host_of},
};

/// The largest message that is still mail; more than this would not fit the memory budgets.
const MESSAGE_SIZE_MAX: u64 = 1 << 30;

/// RFC 5321 section 4.5.3.1.8: a server must take at least 100 recipients.
const RECIPIENTS_MIN: u32 = 100;

/// More recipients than this would make one log entry too large to send to a peer.
const RECIPIENTS_MAX: u32 = 10_000;

/// Senders give up ten minutes after the final dot (RFC 5321 section 4.5.3.2.6), and a reply must
/// be there well before.
const COMMIT_TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

/// Fewer would send a snapshot after every hiccup, more would fill the disk with what was delivered
/// long ago.
const LOG_KEEP: RangeInclusive<u64> = 100..=10_000_000;
/// From what a restarted follower lacks, to more than any disk should spend on it.
const LOG_KEEP_BYTES: RangeInclusive<u64> = 16 << 20..=1 << 40;

/// Shorter than this no election ends.
const COMMIT_TIMEOUT_MIN: Duration = Duration::from_secs(1);

pub(super) fn build(file: File, now: Timestamp) -> Result<Config, Fault> {
    check_node(&file.node)?;
    listening::check(&file)?;
    let smtp = smtp(file.smtp)?;
    let node_id = *file.node.id.get_ref();
    let cluster = peers(&file.cluster, &file.node.id, now)?;
    let admin_tls = admin_tls(&file.admin, now)?;
    let anchors = anchors(&file.dns)?;
    let hostname = file.node.hostname.into_inner();
    let names = page_names(&hostname, &cluster.advertise, file.http.names);
    let users = users(file.http.user)?;
    Ok(Config {
        source: None,
        node_id,
        hostname,
        data_dir: file.node.data_dir.into_inner(),
        min_free_space: file.node.min_free_space.0,
        smtp,
        cluster,
        admin_listen: file.admin.listen.get_ref().0,
        admin_tls,
        http: Http {
            listen: file.http.listen.get_ref().0,
            trusted: networks(file.http.trusted),
            metrics_trusted: networks(file.http.metrics_trusted),
            names,
            users,
        },
        dns: servers(file.dns),
        anchors,
        policy_file: file
            .policy
            .initial
            .filter(|path| !path.as_os_str().is_empty()),
    })
}

fn servers(table: DnsTable) -> Servers {
    if table.servers.is_empty() {
        return Servers::System(RESOLV_CONF.into());
    }
    Servers::Listed(table.servers.into_iter().map(|server| server.0).collect())
}

fn anchors(table: &DnsTable) -> Result<Anchors, Fault> {
    match &table.trust_anchors {
        Some(file) if !file.get_ref().as_os_str().is_empty() => {
            Anchors::read(file.get_ref()).map_err(|error| Fault::at(file, error.to_string()))
        }
        _ => Ok(Anchors::default()),
    }
}

fn page_names(hostname: &str, advertise: &str, further: Vec<HostName>) -> Vec<String> {
    let own = [hostname, advertise].into_iter().filter_map(host_of);
    own.chain(further.into_iter().map(|name| name.0)).collect()
}

fn networks(list: Vec<Network>) -> Vec<IpNet> {
    list.into_iter().map(|network| network.0).collect()
}

fn check_node(node: &NodeTable) -> Result<(), Fault> {
    if *node.id.get_ref() == 0 {
        return Err(Fault::at(
            &node.id,
            "id = 0 is not possible; use 1 or more, each only once",
        ));
    }
    let hostname = node.hostname.get_ref();
    // A port is no part of a name, so one is put behind it only to have the name checked.
    let sound = !hostname.contains(':') && spool::policy::host_port(hostname, 25).is_ok();
    if !sound {
        let message = format!(
            "hostname = {hostname:?} is not a host name; write this node's name in the DNS, such as \"mx1.example.net\""
        );
        return Err(Fault::at(&node.hostname, message));
    }
    if node.data_dir.get_ref().as_os_str().is_empty() {
        let message = "data_dir is empty; name a directory, such as \"/var/lib/layover\"";
        return Err(Fault::at(&node.data_dir, message));
    }
    Ok(())
}

fn smtp(table: SmtpTable) -> Result<Smtp, Fault> {
    if table.listen.get_ref().is_empty() {
        let message = "listen names no address; write for example [\"0.0.0.0:25\", \"[::]:25\"]";
        return Err(Fault::at(&table.listen, message));
    }
    check_size(&table.max_message_size)?;
    check_span(
        "command_timeout",
        &table.command_timeout,
        Duration::from_secs(1),
        Duration::from_secs(3600),
    )?;
    check_span(
        "commit_timeout",
        &table.commit_timeout,
        COMMIT_TIMEOUT_MIN,
        COMMIT_TIMEOUT_MAX,
    )?;
    let (tls, certificates) =
        certificates::of_smtp(table.tls_cert, table.tls_key, table.certificate)?;
    Ok(Smtp {
        tls,
        certificates,
        max_message_size: table.max_message_size.get_ref().0,
        max_recipients: count(
            "max_recipients",
            &table.max_recipients,
            RECIPIENTS_MIN,
            RECIPIENTS_MAX,
        )?,
        max_connections: count("max_connections", &table.max_connections, 1, 1_000_000)?,
        max_connections_per_ip: count(
            "max_connections_per_ip",
            &table.max_connections_per_ip,
            1,
            1_000_000,
        )?,
        per_minute: PerMinute {
            connections: table.max_connections_per_minute_per_ip,
            messages: table.max_messages_per_minute_per_ip,
            recipients: table.max_recipients_per_minute_per_ip,
            unknown: table.max_unknown_recipients_per_minute_per_ip,
        },
        trusted: networks(table.trusted),
        proxies: networks(table.proxy_protocol_from),
        public_addresses: table
            .public_addresses
            .into_iter()
            .map(|address| address.0)
            .collect(),
        command_timeout: table.command_timeout.get_ref().0,
        commit_timeout: table.commit_timeout.get_ref().0,
        listen: table
            .listen
            .into_inner()
            .into_iter()
            .map(|listen| listen.0)
            .collect(),
    })
}

fn check_size(size: &Spanned<Size>) -> Result<(), Fault> {
    // RFC 5321 section 4.5.3.1.7: a server must take messages of at least 64 KiB.
    if (64 << 10..=MESSAGE_SIZE_MAX).contains(&size.get_ref().0) {
        return Ok(());
    }
    Err(Fault::at(
        size,
        "max_message_size is out of range; \"64KiB\" to \"1GiB\" are possible",
    ))
}

fn check_span(key: &str, span: &Spanned<Span>, min: Duration, max: Duration) -> Result<(), Fault> {
    if (min..=max).contains(&span.get_ref().0) {
        return Ok(());
    }
    let message = format!(
        "{key} is out of range; \"{}\" to \"{}\" are possible",
        humantime::format_duration(min),
        humantime::format_duration(max)
    );
    Err(Fault::at(span, message))
}

fn count(key: &str, value: &Spanned<u32>, min: u32, max: u32) -> Result<usize, Fault> {
    let number = *value.get_ref();
    match usize::try_from(number) {
        Ok(count) if (min..=max).contains(&number) => Ok(count),
        _ => {
            let message = format!("{key} = {number} is out of range; {min} to {max} are possible");
            Err(Fault::at(value, message))
        }
    }
}

fn pem_files(ca: &PemFile, cert: &PemFile, key: &PemFile) -> Result<Option<PemFiles>, Fault> {
    match (
        written(ca.clone()),
        written(cert.clone()),
        written(key.clone()),
    ) {
        (None, None, None) => Ok(None),
        (Some(ca), Some(cert), Some(key)) => Ok(Some(PemFiles { ca, cert, key })),
        (ca, cert, key) => {
            let message = "tls_ca, tls_cert and tls_key belong together; give all three or none";
            let one = ca.or(cert).or(key);
            Err(one.map_or_else(
                || Fault {
                    offset: 0,
                    message: message.to_owned(),
                },
                |one| Fault::at(&one, message),
            ))
        }
    }
}

fn admin_tls(table: &AdminTable, now: Timestamp) -> Result<Option<MutualFiles>, Fault> {
    let Some(files) = pem_files(&table.tls_ca, &table.tls_cert, &table.tls_key)? else {
        if table.listen.get_ref().0.ip().is_loopback() {
            return Ok(None);
        }
        let message = "[admin] listens beyond loopback and so needs tls_ca, tls_cert and tls_key; \
                       give them, or listen on \"127.0.0.1:7401\"";
        return Err(Fault::at(&table.listen, message));
    };
    files.check_server(now)?;
    Ok(Some(files.into_files()))
}

fn peers(table: &Spanned<ClusterTable>, id: &Spanned<u64>, now: Timestamp) -> Result<Peers, Fault> {
    let cluster = table.get_ref();
    let listen = cluster.listen.get_ref().0;
    let join = cluster
        .join
        .as_ref()
        .filter(|join| !join.get_ref().is_empty());
    let bootstrap = cluster
        .bootstrap
        .as_ref()
        .filter(|bootstrap| *bootstrap.get_ref());
    let members = cluster
        .members
        .as_ref()
        .filter(|members| !members.get_ref().is_empty());
    let (advertise, founding) = match (bootstrap, members, join) {
        (Some(_), None, None) => (alone(cluster)?, Founding::Bootstrap),
        (None, Some(members), None) => together(cluster, members.get_ref(), id)?,
        (None, None, Some(join)) => joining(cluster, join)?,
        (Some(_), Some(members), _) => {
            let message = "bootstrap and members exclude each other; leave one of them out";
            return Err(Fault::at(members, message));
        }
        (_, _, Some(join)) => {
            let message = "join excludes bootstrap and members, which found a new cluster; leave it or them out";
            return Err(Fault::at(join, message));
        }
        (None, None, None) => {
            let message = "[cluster] does not say how the node comes to a cluster; set bootstrap = true (a new one \
                           of this node alone), members = [{ id = 1, address = \"mx1.internal:7400\" }, ...] (a new \
                           one of these, the same list on each) or join = \"mx1.internal:7400\" (one that runs)";
            return Err(Fault::at(table, message));
        }
    };
    let tls = peer_tls(cluster, now, &advertise, &founding)?;
    Ok(Peers {
        listen,
        advertise: advertise.0,
        founding,
        tls,
        log_keep: log_keep(cluster.log_keep.as_ref())?,
        log_keep_bytes: log_keep_size(cluster.log_keep_size.as_ref())?,
    })
}

/// How a single node is reached.
fn alone(table: &ClusterTable) -> Result<Reach, Fault> {
    if let Some(advertise) = &table.advertise {
        return Ok(advertise.get_ref().clone());
    }
    let listen = table.listen.get_ref().0;
    if listen.ip().is_unspecified() {
        let message = "listen names no single address; say how other nodes reach this one, \
                       such as advertise = \"mx1.internal:7400\"";
        return Err(Fault::at(&table.listen, message));
    }
    Ok(Reach(listen.to_string()))
}

/// How this node is reached, and whom it asks to be added.
fn joining(table: &ClusterTable, join: &Spanned<String>) -> Result<(Reach, Founding), Fault> {
    let asked =
        Reach::try_from(join.get_ref().clone()).map_err(|message| Fault::at(join, message))?;
    let own = alone(table)?;
    if asked == own {
        let message = format!(
            "join = \"{}\" is this node's own address; name a member of the cluster that is to be joined",
            asked.0
        );
        return Err(Fault::at(join, message));
    }
    Ok((own, Founding::Join(asked.0)))
}

/// How this node is reached, out of the list that is the same on all.
fn together(
    table: &ClusterTable,
    members: &[MemberTable],
    id: &Spanned<u64>,
) -> Result<(Reach, Founding), Fault> {
    let mut list: Vec<(u64, String)> = Vec::with_capacity(members.len());
    for member in members {
        let (member_id, address) = (*member.id.get_ref(), &member.address.get_ref().0);
        if member_id == 0 {
            return Err(Fault::at(
                &member.id,
                "id = 0 is not possible; use 1 or more",
            ));
        }
        if list.iter().any(|(earlier, _)| *earlier == member_id) {
            let message = format!("member {member_id} is listed twice; every node has its own id");
            return Err(Fault::at(&member.id, message));
        }
        if list.iter().any(|(_, earlier)| earlier == address) {
            let message = format!("address \"{address}\" is listed twice; every node has its own");
            return Err(Fault::at(&member.address, message));
        }
        list.push((member_id, address.clone()));
    }
    let own_id = *id.get_ref();
    let Some((_, own)) = list.iter().find(|(member_id, _)| *member_id == own_id) else {
        let message = format!("id = {own_id} is not among the members; add this node to them");
        return Err(Fault::at(id, message));
    };
    let own = Reach(own.clone());
    if let Some(advertise) = table
        .advertise
        .as_ref()
        .filter(|advertise| *advertise.get_ref() != own)
    {
        let message = format!(
            "advertise = \"{}\" differs from this node's address among the members; use \"{}\" or leave it out",
            advertise.get_ref().0,
            own.0
        );
        return Err(Fault::at(advertise, message));
    }
    Ok((own, Founding::Members(list)))
}

fn log_keep(value: Option<&Spanned<u64>>) -> Result<u64, Fault> {
    let Some(value) = value else {
        return Ok(LOG_KEEP_DEFAULT);
    };
    let entries = *value.get_ref();
    if LOG_KEEP.contains(&entries) {
        return Ok(entries);
    }
    let (min, max) = (LOG_KEEP.start(), LOG_KEEP.end());
    let message = format!("log_keep = {entries} is out of range; {min} to {max} are possible");
    Err(Fault::at(value, message))
}

fn log_keep_size(value: Option<&Spanned<Size>>) -> Result<u64, Fault> {
    let Some(value) = value else {
        return Ok(LOG_KEEP_BYTES_DEFAULT);
    };
    if LOG_KEEP_BYTES.contains(&value.get_ref().0) {
        return Ok(value.get_ref().0);
    }
    let message = "log_keep_size is out of range; \"16MiB\" to \"1TiB\" are possible";
    Err(Fault::at(value, message))
}

fn peer_tls(
    table: &ClusterTable,
    now: Timestamp,
    advertise: &Reach,
    founding: &Founding,
) -> Result<Option<MutualFiles>, Fault> {
    let Some(files) = pem_files(&table.tls_ca, &table.tls_cert, &table.tls_key)? else {
        let all_loopback = table.listen.get_ref().0.ip().is_loopback()
            && advertise.is_loopback()
            && match founding {
                Founding::Bootstrap => true,
                Founding::Join(asked) => Reach(asked.clone()).is_loopback(),
                Founding::Members(members) => members
                    .iter()
                    .all(|(_, address)| Reach(address.clone()).is_loopback()),
            };
        if all_loopback {
            return Ok(None);
        }
        let message = "[cluster] has addresses beyond loopback and so needs tls_ca, tls_cert and tls_key; give them";
        return Err(Fault::at(&table.listen, message));
    };
    files.check_peer(tls::host_of(&advertise.0), now)?;
    Ok(Some(files.into_files()))
}
