use std::path::Path;

use tempfile::TempDir;

use super::*;

const ALONE: &str = "[node]\nid = 1\nhostname = \"mx1.example.net\"\n[cluster]\nbootstrap = true\n";

/// What is kept of "correct horse".
const HORSE: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI";

pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn read(text: &str) -> Result<Config, String> {
    let folder = TempDir::new().unwrap();
    read_in(folder.path(), text)
}

/// The complaint without the folder's name.
fn read_in(folder: &Path, text: &str) -> Result<Config, String> {
    let file = folder.join("layover.toml");
    fs::write(&file, text).unwrap();
    let prefix = format!("{}/", folder.display());
    Config::read(&file, NOW).map_err(|error| error.to_string().replace(&prefix, ""))
}

fn trio(own: &str, cluster: &str) -> String {
    format!(
        "[node]\nid = 2\nhostname = \"mx2.example.net\"\n[cluster]\n{cluster}\nmembers = [\n\
         {{ id = 1, address = \"127.0.0.1:7401\" }},\n\
         {{ id = {own}, address = \"localhost:7402\" }},\n]\n"
    )
}

fn joining(through: &str) -> String {
    ALONE.replace("bootstrap = true", &format!("join = \"{through}\""))
}

#[test]
fn a_node_that_joins_names_whom_it_asks() {
    let config = read(&joining("localhost")).unwrap();
    let asked = "localhost:7400".to_owned();
    assert_eq!(config.cluster.founding, Founding::Join(asked));
    assert_eq!(config.cluster.advertise, "127.0.0.1:7400");
}

#[test]
fn a_file_that_was_changed_since_it_was_read_is_told() {
    let folder = TempDir::new().unwrap();
    let config = read_in(folder.path(), ALONE).unwrap();
    assert_eq!(config.news(NOW), None);
    let write = |text: String| fs::write(folder.path().join("layover.toml"), text).unwrap();
    write(format!("# for later\n{ALONE}"));
    let news = config.news(NOW).unwrap();
    assert!(news.starts_with("it was changed since"), "{news}");
    write(format!("{ALONE}\nfoo = 1\n"));
    let news = config.news(NOW).unwrap();
    assert!(news.contains("layover.toml:7:1: "), "{news}");
    assert!(news.starts_with("this node would not start"), "{news}");
}

#[test]
fn what_is_left_out_gets_the_documented_defaults() {
    let config = read(ALONE).unwrap();
    assert_eq!(
        (config.node_id, config.hostname.as_str()),
        (1, "mx1.example.net")
    );
    assert_eq!(config.data_dir, Path::new("/var/lib/layover"));
    assert_eq!(config.min_free_space, FreeSpace::Percent(10));
    assert_eq!(
        config.smtp.listen,
        ["0.0.0.0:25", "[::]:25"].map(|a| a.parse().unwrap())
    );
    assert_eq!(config.smtp.max_message_size, 50 << 20);
    assert_eq!(
        (config.smtp.max_recipients, config.smtp.max_connections),
        (1000, 2000)
    );
    assert_eq!(config.smtp.max_connections_per_ip, 50);
    let per_minute = PerMinute {
        unknown: 300,
        ..PerMinute::default()
    };
    assert_eq!(config.smtp.per_minute, per_minute);
    assert!(config.smtp.trusted.is_empty() && config.smtp.proxies.is_empty());
    assert_eq!(config.smtp.command_timeout, Duration::from_secs(300));
    assert_eq!(config.smtp.commit_timeout, Duration::from_secs(60));
    assert_eq!(config.smtp.tls, None);
    assert_eq!(config.cluster.founding, Founding::Bootstrap);
    assert_eq!(config.cluster.advertise, "127.0.0.1:7400");
    assert_eq!(config.cluster.log_keep, 16_384);
    assert_eq!(config.cluster.log_keep_bytes, 1 << 30);
    assert_eq!(config.admin_listen, "127.0.0.1:7401".parse().unwrap());
    assert_eq!(config.http.listen, "127.0.0.1:7402".parse().unwrap());
    assert_eq!(config.http.trusted, config.http.metrics_trusted);
    assert_eq!(config.http.names, ["mx1.example.net", "127.0.0.1"]);
    assert_eq!(config.dns, Servers::System("/etc/resolv.conf".into()));
    assert_eq!(config.policy_file, None);
}

#[test]
fn the_sample_file_differs_from_the_defaults_only_in_what_has_none() {
    let sample = include_str!("../../../../deploy/layover.toml");
    let config = read(sample).unwrap();
    assert_eq!(
        format!("{:?}", config.smtp),
        format!("{:?}", read(ALONE).unwrap().smtp)
    );
    assert_eq!(
        config.policy_file.as_deref(),
        Some(Path::new("/etc/layover/policy.toml"))
    );
    assert_eq!(config.cluster.founding, Founding::Bootstrap);
    assert_eq!(config.dns, read(ALONE).unwrap().dns);
}

#[test]
fn the_page_goes_by_the_nodes_names_and_those_that_are_listed() {
    let text = "[node]\nid = 1\nhostname = \"MX1.example.net\"\n[cluster]\nbootstrap = true\n\
                advertise = \"LocalHost:7400\"\n[http]\nnames = [\"Mail-Queue.example.net.\"]\n";
    let names = ["mx1.example.net", "localhost", "mail-queue.example.net"];
    assert_eq!(read(text).unwrap().http.names, names);
}

#[test]
fn users_of_the_page_may_be_listed_each_once() {
    let user = |name: &str, roles: &str| {
        format!("[[http.user]]\nname = \"{name}\"\npassword = \"{HORSE}\"\nroles = {roles}\n")
    };
    let (ann, bob) = (
        user("ann", "[\"admin\", \"reader\"]"),
        user("bob", "[\"viewer\"]"),
    );
    let users = read(&format!("{ALONE}{ann}{bob}")).unwrap().http.users;
    let names: Vec<&str> = users.iter().map(|user| &*user.name).collect();
    assert_eq!(names, ["ann", "bob"]);
    assert_eq!(*users[0].roles, [Role::Admin, Role::Reader]);
    assert!(users[1].password.is("correct horse"));
    let error = read(&format!("{ALONE}{ann}{ann}")).unwrap_err();
    assert!(
        error.contains("11:8: user \"ann\" is listed twice"),
        "{error}"
    );
}

#[test]
fn name_servers_may_be_listed() {
    let text = format!("{ALONE}[dns]\nservers = [\"10.0.0.53\", \"[::1]:5353\"]\n");
    let listed = ["10.0.0.53:53", "[::1]:5353"].map(|a| a.parse().unwrap());
    assert_eq!(read(&text).unwrap().dns, Servers::Listed(listed.to_vec()));
}

#[test]
fn a_node_takes_its_own_address_from_the_members() {
    let config = read(&trio("2", "")).unwrap();
    assert_eq!(config.cluster.advertise, "localhost:7402");
    let members = vec![
        (1, "127.0.0.1:7401".to_owned()),
        (2, "localhost:7402".to_owned()),
    ];
    assert_eq!(config.cluster.founding, Founding::Members(members));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one mistake an entry")]
fn a_mistake_is_one_line_with_its_place_and_the_remedy() {
    let alone = |line: &str| format!("{ALONE}{line}\n");
    let node = |line: &str| ALONE.replace("[cluster]", &format!("{line}\n[cluster]"));
    let user = |lines: &str| alone(&format!("[[http.user]]\nname = \"ann\"\n{lines}"));
    for (text, expected) in [
        (String::new(), "1:1: missing key `node`"),
        ("[node".to_owned(), "1:6: "),
        (
            "[node]\nid = 1\n[cluster]\nbootstrap = true\n".to_owned(),
            "1:1: missing key `hostname`",
        ),
        (
            ALONE.replace("id = 1", "id = 0"),
            "2:6: id = 0 is not possible",
        ),
        (
            ALONE.replace("id = 1", "id = -1"),
            "2:6: invalid value: integer `-1`",
        ),
        (
            ALONE.replace("mx1.example.net", "mx 1"),
            "3:12: hostname = \"mx 1\" is not a host name; write",
        ),
        (
            ALONE.replace("mx1.example.net", "mx1:25"),
            "3:12: hostname = \"mx1:25\" is not a host name",
        ),
        (
            node("datadir = \"/x\""),
            "4:1: unknown key `datadir`, expected one of",
        ),
        (
            node("min_free_space = \"much\""),
            "4:18: \"much\" is not a share of a disk; write for example \"10%\"",
        ),
        (
            alone("[smtp]\nlisten = []"),
            "7:10: listen names no address; write for example",
        ),
        (
            alone("[smtp]\nlisten = [\"25\"]"),
            "7:10: \"25\" is not an IP address and port",
        ),
        (
            alone("[smtp]\nmax_message_size = \"50Mib\""),
            "7:20: \"50Mib\" is not a size; write for example \"50MiB\"",
        ),
        (
            alone("[smtp]\nmax_message_size = 50"),
            "7:20: invalid type: integer `50`; write text in quotes, such as \"15s\" for a duration, \"50MiB\" for a size",
        ),
        (
            alone("[smtp]\nmax_connections = \"2000\""),
            "7:19: invalid type: string \"2000\"; write a whole number from 0 to 4294967295, without quotes",
        ),
        (
            alone("[smtp]\nmax_connections = -1"),
            "7:19: invalid value: integer `-1`; write a whole number from 0",
        ),
        (
            alone("[smtp]\nlisten = \"127.0.0.1:25\""),
            "7:10: invalid type: string \"127.0.0.1:25\"; write a list in square brackets, such as",
        ),
        (
            ALONE.replace("true", "\"true\""),
            "5:13: invalid type: string \"true\"; write true or false, without quotes",
        ),
        (
            alone("[smtp]\nmax_message_size = \"1KiB\""),
            "7:20: max_message_size is out of range; \"64KiB\" to",
        ),
        (
            alone("[smtp]\nmax_recipients = 5"),
            "7:18: max_recipients = 5 is out of range; 100 to 10000",
        ),
        (
            alone("[smtp]\ncommit_timeout = \"1h\""),
            "7:18: commit_timeout is out of range; \"1s\" to \"5m\"",
        ),
        (
            alone("[smtp]\ncommand_timeout = \"long\""),
            "7:19: \"long\" is not a duration; write for example",
        ),
        (
            alone("[smtp]\nproxy_protocol_from = [\"balancer\"]"),
            "7:23: \"balancer\" is not a network; write for example",
        ),
        (
            alone("[smtp]\nmax_messages_per_minute_per_ip = -1"),
            "7:34: invalid value: integer `-1`",
        ),
        (
            alone("[smtp]\ntls_cert = \"/x\""),
            "7:12: tls_cert needs tls_key; give both or none",
        ),
        (
            alone("[[smtp.certificate]]\nkey = \"/x\""),
            "7:7: key needs cert; give both or none",
        ),
        (
            alone("[[smtp.certificate]]\ncert = \"/x\"\nkey = \"/y\""),
            "7:8: [[smtp.certificate]] needs tls_cert and tls_key in [smtp]",
        ),
        (
            alone("[smtp]\ntls_cert = \"/none/c\"\ntls_key = \"/none/k\""),
            "7:12: cannot read /none/c: ",
        ),
        (
            alone("[admin]\nlisten = \"0.0.0.0:7401\""),
            "7:10: [admin] listens beyond loopback and so needs tls_ca",
        ),
        (
            alone("[admin]\nlisten = \"127.0.0.1:7402\""),
            "7:10: [admin] listen = \"127.0.0.1:7402\" is taken by [http] listen = \"127.0.0.1:7402\"; give each",
        ),
        (
            alone("[smtp]\nlisten = [\"[::]:25\", \"0.0.0.0:7400\"]"),
            "7:10: [smtp] listen = \"0.0.0.0:7400\" is taken by [cluster] listen = \"127.0.0.1:7400\"",
        ),
        (
            alone("[smtp]\nlisten = [\"127.0.0.1:25\", \"127.0.0.1:25\"]"),
            "7:10: [smtp] listen = \"127.0.0.1:25\" is taken by [smtp] listen",
        ),
        (
            alone("[admin]\ntls_ca = \"/x\""),
            "7:10: tls_ca, tls_cert and tls_key belong together",
        ),
        (
            alone("[http]\ntrusted = [\"10.0.0.0/40\"]"),
            "7:11: \"10.0.0.0/40\" is not a network; write for example",
        ),
        (
            alone("[http]\nnames = [\"queue.example.net:443\"]"),
            "7:9: \"queue.example.net:443\" is not a host name; write one such as",
        ),
        (
            user("password = \"correct horse\"\nroles = [\"viewer\"]"),
            "8:12: this is not what argon2id makes of a password; `layoverd password` asks for one",
        ),
        (
            user(&format!("password = \"{HORSE}\"\nroles = []")),
            "9:9: user \"ann\" has no role and could do nothing; write for example [\"viewer\"]",
        ),
        (
            user(&format!("password = \"{HORSE}\"\nroles = [\"root\"]")),
            "9:10: unknown variant `root`, expected one of `viewer`, `operator`, `admin`, `reader`",
        ),
        (
            user(&format!("password = \"{HORSE}\"\nroles = [\"viewer\"]")).replace("ann", "ann b"),
            "7:8: name = \"ann b\" is not the name of a user; write 1 to 64 characters without blanks",
        ),
        (
            alone("[dns]\nservers = [\"10.0.0.53\", \"dns.example\"]"),
            "7:11: \"dns.example\" is not the IP address of a name server; write for example",
        ),
        (
            alone("[smtp]\npublic_addresses = [\"192.0.2.1:25\"]"),
            "7:20: \"192.0.2.1:25\" is not an IP address; write for example \"192.0.2.1\"",
        ),
        (
            alone("[dns]\nserver = []"),
            "7:1: unknown key `server`, expected `servers` or `trust_anchors`",
        ),
        (
            alone("[dns]\ntrust_anchors = \"/nowhere/root.key\""),
            "7:17: reading /nowhere/root.key failed",
        ),
        (
            alone("[policy]\nfinal = \"x\""),
            "7:1: unknown key `final`, expected `initial`",
        ),
        (
            alone("log_keep = 5"),
            "6:12: log_keep = 5 is out of range; 100 to 10000000 are possible",
        ),
        (
            alone("log_keep_size = \"1MiB\""),
            "6:17: log_keep_size is out of range; \"16MiB\" to \"1TiB\" are possible",
        ),
        (
            alone("join = \"mx1:7400\""),
            "6:8: join excludes bootstrap and members, which found a new cluster",
        ),
        (
            alone("members = [{ id = 1, address = \"localhost\" }]"),
            "6:11: bootstrap and members exclude each other",
        ),
        (
            alone("listen = \"0.0.0.0:7400\""),
            "6:10: listen names no single address; say how",
        ),
        (
            alone("listen = \"10.0.0.1:7400\""),
            "6:10: [cluster] has addresses beyond loopback and so needs tls_ca",
        ),
        (
            alone("tls_ca = \"/x\"\ntls_key = \"/y\""),
            "6:10: tls_ca, tls_cert and tls_key belong together",
        ),
        (
            ALONE.replace("true", "false"),
            "4:1: [cluster] does not say how the node comes to a cluster; set bootstrap",
        ),
        (
            joining("127.0.0.1:7400"),
            "5:8: join = \"127.0.0.1:7400\" is this node's own address; name a member",
        ),
        (
            joining("mx1.internal:7400"),
            "[cluster] has addresses beyond loopback and so needs tls_ca",
        ),
        (
            trio("3", ""),
            "2:6: id = 2 is not among the members; add this node to them",
        ),
        (trio("1", ""), "8:8: member 1 is listed twice"),
        (
            trio("2", "advertise = \"localhost:9\""),
            "5:13: advertise = \"localhost:9\" differs from this node's address",
        ),
        (
            trio("2", "").replace("localhost:7402", "::1"),
            "8:21: \"::1\" needs brackets; write \"[::1]:7400\"",
        ),
        (
            trio("2", "").replace("127.0.0.1:7401", "localhost:7402"),
            "8:21: address \"localhost:7402\" is listed twice",
        ),
        (
            trio("2", "").replace("127.0.0.1:7401", "mx1.internal"),
            "[cluster] has addresses beyond loopback",
        ),
    ] {
        let said = read(&text).unwrap_err();
        assert!(said.starts_with("layover.toml:"), "{said}");
        assert!(said.contains(expected), "expected {expected}\nsaid {said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read(Path::new("/none/layover.toml"), NOW)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/none/layover.toml:1:1: reading the file failed: No such file"),
        "{error}"
    );
}

#[test]
fn a_mistake_in_the_policy_is_told_with_the_policys_name() {
    let folder = TempDir::new().unwrap();
    let policy = folder.path().join("policy.toml");
    let text = format!("{ALONE}[policy]\ninitial = {policy:?}\n");
    fs::write(&policy, "[[domain]]\nname = 5\n").unwrap();
    let config = read_in(folder.path(), &text).unwrap();
    let said = config.read_policy().unwrap_err().to_string();
    assert!(
        said.contains("policy.toml:2:8: invalid type: integer `5`; write text in quotes"),
        "{said}"
    );
    fs::write(
        &policy,
        "[[domain]]\nname = 5\n[dsn]\npostmaster = \"me\"\n",
    )
    .unwrap();
    let said = config.read_policy().unwrap_err().to_string();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[1].contains("policy.toml:4:14: postmaster"), "{said}");
    fs::remove_file(&policy).unwrap();
    let said = config.read_policy().unwrap_err().to_string();
    assert!(
        said.contains("policy.toml:1:1: reading the file failed"),
        "{said}"
    );
}

/// Writes `NAME.pem` and `NAME.key` for an authority `ca` and a node `a` that it signed, and a
/// stranger `b` that signed itself.
fn write_certificates(folder: &Path) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    fs::write(
        folder.join("ca.pem"),
        ca.self_signed(&ca_key).unwrap().pem(),
    )
    .unwrap();
    let issuer = rcgen::Issuer::from_params(&ca, &ca_key);
    for name in ["a", "b"] {
        let key = rcgen::KeyPair::generate().unwrap();
        let params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
                .unwrap();
        let certificate = match name {
            "a" => params.signed_by(&key, &issuer),
            _ => params.self_signed(&key),
        };
        fs::write(
            folder.join(format!("{name}.pem")),
            certificate.unwrap().pem(),
        )
        .unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    fs::write(folder.join("empty.pem"), "").unwrap();
}

#[test]
fn further_certificates_for_senders_are_held_to_their_keys() {
    let folder = TempDir::new().unwrap();
    write_certificates(folder.path());
    let named = |pem: &str, key: &str| {
        let path = |name: &str| folder.path().join(name);
        let lines = format!(
            "{ALONE}[smtp]\ntls_cert = {:?}\ntls_key = {:?}\n[[smtp.certificate]]\ncert = {:?}\nkey = {:?}\n",
            path("a.pem"),
            path("a.key"),
            path(pem),
            path(key)
        );
        read_in(folder.path(), &lines)
    };
    let config = named("b.pem", "b.key").unwrap();
    assert_eq!(config.smtp.certificates.len(), 1);
    let said = named("b.pem", "a.key").unwrap_err().to_string();
    assert!(said.contains("does not belong to"), "{said}");
}

#[test]
fn certificates_that_do_not_belong_together_are_refused() {
    let folder = TempDir::new().unwrap();
    write_certificates(folder.path());
    let with = |ca: &str, cert: &str, key: &str| {
        let path = |name: &str| folder.path().join(name);
        let lines = format!(
            "tls_ca = {:?}\ntls_cert = {:?}\ntls_key = {:?}\n",
            path(ca),
            path(cert),
            path(key)
        );
        read_in(
            folder.path(),
            &format!(
                "{ALONE}{lines}[smtp]\ntls_cert = {:?}\ntls_key = {:?}\n",
                path("b.pem"),
                path("b.key")
            ),
        )
    };
    let config = with("ca.pem", "a.pem", "a.key").unwrap();
    assert!(config.cluster.tls.is_some() && config.smtp.tls.is_some());
    for (ca, cert, key, expected) in [
        (
            "ca.pem",
            "a.pem",
            "b.key",
            "8:11: the key in b.key does not belong to the first certificate in a.pem",
        ),
        (
            "ca.pem",
            "b.pem",
            "b.key",
            "7:12: the certificate in b.pem is not accepted under ca.pem",
        ),
        (
            "empty.pem",
            "a.pem",
            "a.key",
            "6:10: empty.pem holds no certificate",
        ),
        (
            "ca.pem",
            "a.key",
            "a.key",
            "7:12: a.key holds no certificate",
        ),
        (
            "ca.pem",
            "a.pem",
            "a.pem",
            "8:11: a.pem holds no private key",
        ),
    ] {
        let said = with(ca, cert, key).unwrap_err();
        assert!(
            said.starts_with(&format!("layover.toml:{expected}")),
            "{said}"
        );
    }
}

#[test]
fn what_is_on_the_disk_is_looked_at_before_a_start() {
    let folder = TempDir::new().unwrap();
    let spool = folder.path().join("spool");
    let check = |text: &str| {
        let text = text.replace("[cluster]", &format!("data_dir = {spool:?}\n[cluster]"));
        let said = read_in(folder.path(), &text).unwrap().check_start();
        said.map_err(|error| error.to_string())
    };
    let policy = "[policy]\ninitial = \"/etc/layover/policy.toml\"\n";
    let founding = format!("{ALONE}{policy}");
    assert_eq!(check(&founding), Ok(()));
    assert_eq!(check(&joining("localhost:7405")), Ok(()));
    let said = check(ALONE).unwrap_err();
    assert!(
        said.contains("layover.toml:5:1: [policy] initial is missing"),
        "{said}"
    );
    assert!(!spool.exists());
    // It has a cluster, and that has its policy.
    fs::create_dir(&spool).unwrap();
    let whose = "layover data, format 1\nnode 1\nfounded by 1\n";
    fs::write(spool.join("NODE"), whose).unwrap();
    assert_eq!(check(ALONE), Ok(()));
    let said = check(&founding.replace("id = 1", "id = 2")).unwrap_err();
    assert!(said.contains("layover.toml:4:12: data_dir"), "{said}");
    fs::remove_dir_all(&spool).unwrap();
    fs::write(&spool, "").unwrap();
    let said = check(&founding).unwrap_err();
    assert!(said.contains("can not be used: Not a directory"), "{said}");
}

#[test]
fn lists_of_recipients_are_read_from_beside_the_policy() {
    let folder = TempDir::new().unwrap();
    let policy = folder.path().join("policy.toml");
    let text = format!("{ALONE}[policy]\ninitial = {policy:?}\n");
    let config = read(&text).unwrap();
    let domain = "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n";
    let list = "recipients = \"list\"\nrecipients_file = \"users.txt\"\n";
    fs::write(&policy, format!("{domain}{list}")).unwrap();
    let said = config.read_policy().unwrap_err().to_string();
    assert!(
        said.contains("policy.toml:5:19: reading \"users.txt\" failed"),
        "{said}"
    );

    let users = folder.path().join("users.txt");
    fs::write(&users, "anna@example.com\nbert\n").unwrap();
    let said = config.read_policy().unwrap_err().to_string();
    assert!(
        said.contains("users.txt:2:1: \"bert\" is no recipient"),
        "{said}"
    );

    fs::write(&users, "# nobody yet\n").unwrap();
    let said = config.read_policy().unwrap_err().to_string();
    let expected = "policy.toml:5:19: recipients_file = \"users.txt\" has no address in it";
    assert!(said.contains(expected), "{said}");

    fs::write(&users, "anna@example.com\n").unwrap();
    let document = config.read_policy().unwrap().unwrap();
    assert_eq!(document.lists["users.txt"], "anna@example.com\n");
}
