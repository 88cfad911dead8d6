mod lists;
mod ownership;

use smtp::Mailbox;

use super::*;

const PLAIN: &str = "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\"]\n";

fn with(line: &str) -> String {
    format!("{PLAIN}{line}\n")
}

fn complaint(text: &str) -> String {
    Policy::parse(text).unwrap_err().to_string()
}

fn policy_of(names: &[&str]) -> Policy {
    let text: String = names
        .iter()
        .map(|name| format!("[[domain]]\nname = \"{name}\"\nprimary = [\"mail.example.com\"]\n"))
        .collect();
    Policy::parse(&text).unwrap()
}

fn recipient(local_part: &str, domain: &str) -> ForwardPath {
    ForwardPath::Mailbox(Mailbox {
        local_part: local_part.into(),
        domain: domain.into(),
    })
}

#[test]
fn what_is_left_out_gets_the_documented_defaults() {
    let policy = Policy::parse(PLAIN).unwrap();
    assert_eq!(
        policy.domains[..],
        [Domain {
            name: "example.com".into(),
            primary: vec!["mail.example.com:25".into()],
            recipients: Recipients::Any,
            sentry: false,
            tls: Tls::Opportunistic,
            order: Order::Recipient,
            connections: 20,
            messages_per_second: 0,
            probe_interval: Duration::from_secs(15),
            quota: Quota::default(),
            recovery_guard: true,
            xclient: false,
            canary: None,
        }]
    );
}

#[test]
fn a_quota_is_what_is_written() {
    let lines = "max_queued_messages = 5\nmax_queued_size = \"1GiB\"";
    let policy = Policy::parse(&with(lines)).unwrap();
    let quota = policy.domains[0].quota;
    assert_eq!((quota.messages, quota.bytes), (5, 1 << 30));
}

#[test]
fn the_sample_file_is_a_policy_with_only_defaults() {
    let sample = include_str!("../../../../deploy/policy.toml");
    assert_eq!(
        Policy::parse(sample).unwrap(),
        Policy::parse(PLAIN).unwrap()
    );
}

#[test]
fn names_and_hosts_are_brought_to_their_normal_form() {
    let text = "[[domain]]\nname = \"*.Example.COM.\"\n\
        primary = [\"Mail.Example.com.\", \"192.0.2.1:2525\", \"[2001:DB8::1]\", \"[::1]:26\", \"mail_1\"]\n";
    let policy = Policy::parse(text).unwrap();
    assert_eq!(policy.domains[0].name, "*.example.com");
    assert_eq!(
        policy.domains[0].primary,
        [
            "mail.example.com:25",
            "192.0.2.1:2525",
            "[2001:db8::1]:25",
            "[::1]:26",
            "mail_1:25"
        ]
    );
}

#[test]
fn block_lists_are_none_unless_named() {
    assert!(Policy::parse(PLAIN).unwrap().dnsbl.is_empty());
    let text = with("[dnsbl]\nzones = [\"Zen.Spamhaus.org.\", \"b_l.example\"]");
    let policy = Policy::parse(&text).unwrap();
    assert_eq!(policy.dnsbl, ["zen.spamhaus.org", "b_l.example"]);
    let longest = format!("{0}.{0}.{0}.com", "a".repeat(61));
    assert_eq!(longest.len(), 189);
    let text = with(&format!("[dnsbl]\nzones = [\"{longest}\"]"));
    assert_eq!(Policy::parse(&text).unwrap().dnsbl, [longest]);
    let said = complaint(&text.replace(".com", ".coms"));
    assert!(
        said.contains("can not be the zone of a block list"),
        "{said}"
    );
}

#[test]
fn what_can_not_be_a_block_list_is_named_with_its_place() {
    for (line, expected) in [
        (
            "[dnsbl]\nzone = []",
            "5:1: unknown key `zone`, expected `zones`",
        ),
        (
            "[dnsbl]\nzones = [\"bl.example\", \"*.example\"]",
            "5:24: zones \"*.example\" is not a name; write one such as \"zen.spamhaus.org\"",
        ),
        (
            "[dnsbl]\nzones = [\"127.0.0.2\"]",
            "5:10: zones \"127.0.0.2\" can not be the zone of a block list; write one such as",
        ),
        (
            "[dnsbl]\nzones = [\"bl.example\", \"BL.example.\"]",
            "5:24: zones \"bl.example\" is named twice; leave one out",
        ),
        (
            "[dnsbl]\nzones = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"]",
            "5:9: zones names 9 block lists; 8 are possible",
        ),
    ] {
        let said = complaint(&with(line));
        assert!(said.starts_with(expected), "{line}: {said}");
    }
}

#[test]
fn recipients_may_be_those_whom_the_primary_knows() {
    for (lines, unknown_while_down) in [
        ("recipients = \"verify\"", WhileDown::Accept),
        (
            "recipients = \"verify\"\nunknown_while_down = \"accept\"",
            WhileDown::Accept,
        ),
        (
            "recipients = \"verify\"\nunknown_while_down = \"defer\"",
            WhileDown::Defer,
        ),
    ] {
        let policy = Policy::parse(&with(lines)).unwrap();
        let verify = Recipients::Verify { unknown_while_down };
        assert_eq!(policy.domains[0].recipients, verify, "{lines}");
    }
    let policy = Policy::parse(&with("unknown_while_down = \"defer\"")).unwrap();
    assert_eq!(policy.domains[0].recipients, Recipients::Any);
}

#[test]
fn a_recovery_is_guarded_unless_that_is_not_wanted() {
    for (line, expected) in [
        ("recovery_guard = true", true),
        ("recovery_guard = false", false),
    ] {
        let policy = Policy::parse(&with(line)).unwrap();
        assert_eq!(policy.domains[0].recovery_guard, expected, "{line}");
    }
}

#[test]
fn the_primary_is_told_of_clients_where_that_is_wanted() {
    for (line, expected) in [("xclient = true", true), ("xclient = false", false)] {
        let policy = Policy::parse(&with(line)).unwrap();
        assert_eq!(policy.domains[0].xclient, expected, "{line}");
    }
}

#[test]
fn dane_needs_names() {
    let policy = Policy::parse(&with("tls = \"dane\"")).unwrap();
    assert_eq!(policy.domains[0].tls, Tls::Dane);
    let by_mx = "[[domain]]\nname = \"example.com\"\ntls = \"dane\"\n";
    assert_eq!(Policy::parse(by_mx).unwrap().domains[0].tls, Tls::Dane);
    for address in ["192.0.2.1", "[2001:db8::1]:26"] {
        let text = format!(
            "[[domain]]\nname = \"example.com\"\nprimary = [\"mail.example.com\", \"{address}\"]\ntls = \"dane\"\n"
        );
        let errors = Policy::parse(&text).unwrap_err();
        let said = errors.iter().next().unwrap().to_string();
        assert!(
            said.starts_with("4:7: tls = \"dane\" needs primaries with names"),
            "{said}"
        );
        assert!(said.contains(address), "{said}");
    }
}

#[test]
fn what_this_version_can_not_do_is_refused_with_what_it_can() {
    for (line, expected) in [
        (
            "recipients = \"most\"",
            "4:14: recipients = \"most\" is unknown; use \"any\", \"list\" or \"verify\"",
        ),
        (
            "unknown_while_down = \"refuse\"",
            "4:22: unknown_while_down = \"refuse\" is unknown; use \"accept\" or \"defer\"",
        ),
        (
            "max_queued_messages = -1",
            "4:23: max_queued_messages = -1 is out of range; 0 to 4294967295 are possible",
        ),
        (
            "max_queued_size = \"much\"",
            "4:19: max_queued_size = \"much\" is not a size; write for example \"50MiB\" or \"2GiB\"",
        ),
        (
            "[queue]\ndsn = \"everyone\"",
            "5:7: dsn = \"everyone\" is unknown; use \"always\", \"authenticated\" or \"never\"",
        ),
    ] {
        assert_eq!(complaint(&with(line)), expected);
    }
}

#[test]
fn a_value_of_another_kind_is_told_with_how_one_is_written() {
    for (line, expected) in [
        (
            "connections = \"many\"",
            "4:15: invalid type: string \"many\"; write a whole number of 0 or more, without quotes, such as 20",
        ),
        (
            "sentry = \"yes\"",
            "4:10: invalid type: string \"yes\"; write true or false, without quotes",
        ),
        (
            "probe_interval = 15",
            "4:18: invalid type: integer `15`; write text in quotes, such as \"15s\" for a duration",
        ),
    ] {
        assert!(complaint(&with(line)).starts_with(expected), "{line}");
    }
}

#[test]
fn mistakes_are_named_with_their_place_and_the_remedy() {
    for (line, expected) in [
        (
            "conections = 3",
            "4:1: unknown key `conections`, expected one of",
        ),
        (
            "connections = 0",
            "4:15: connections = 0 is out of range; 1 to 1000 are possible",
        ),
        (
            "connections = 1001",
            "4:15: connections = 1001 is out of range",
        ),
        (
            "messages_per_second = -1",
            "4:23: messages_per_second = -1 is out of range",
        ),
        (
            "order = \"random\"",
            "4:9: order = \"random\" is unknown; use \"recipient\", \"strict\" or \"none\"",
        ),
        (
            "probe_interval = \"soon\"",
            "4:18: probe_interval = \"soon\" is not a duration; write for example",
        ),
        (
            "probe_interval = \"99ms\"",
            "4:18: probe_interval = \"99ms\" is too short",
        ),
        (
            "probe_interval = \"31d\"",
            "4:18: probe_interval = \"31d\" is too long; at most \"30d\"",
        ),
        (
            "[[domain]]\nname = \"*.x.example\"",
            "5:8: \"*.x.example\" has no primary, and many domains fall under it",
        ),
        (
            "[[domain]]\nname = \"x.example\"\nprimary = []",
            "6:11: primary names no host",
        ),
        (
            "[[domain]]\nname = \"EXAMPLE.com.\"\nprimary = [\"x\"]",
            "5:8: \"example.com\" is named twice",
        ),
        ("[[domain]]\nprimary = [\"x\"]", "4:1: missing key `name`"),
        (
            "[dsn]\npostmaster = \"me\"",
            "5:14: postmaster = \"me\" is not an address",
        ),
        (
            "[queue]\nmax_age = \"long\"",
            "5:11: max_age = \"long\" is not a duration",
        ),
        ("order = ", "4:9: "),
    ] {
        let said = complaint(&with(line));
        assert!(said.starts_with(expected), "{line}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
    assert_eq!(
        complaint(""),
        "1:1: no domain is named; add [[domain]] with a name and its primary"
    );
}

#[test]
fn a_domain_without_a_primary_goes_by_its_mx_records() {
    let policy = Policy::parse("[[domain]]\nname = \"example.com\"\n").unwrap();
    assert!(policy.domains[0].primary.is_empty());
}

#[test]
fn a_primary_that_can_not_be_reached_by_its_name_is_refused() {
    for (host, expected) in [
        ("", "is not a name"),
        (":25", "is not a name"),
        ("mail.example.com:", "has no valid port"),
        ("mail.example.com:0", "has no valid port"),
        ("mail.example.com:+25", "has no valid port"),
        ("mail.example.com:65536", "has no valid port"),
        ("2001:db8::1", "needs brackets; write \"[2001:db8::1]:25\""),
        ("[2001:db8::1", "has no IPv6 address in its brackets"),
        ("[mail]:25", "has no IPv6 address in its brackets"),
        ("mail..example.com", "is not a name"),
        ("-mail", "is not a name"),
        ("two words", "is not a name"),
        ("m\u{fc}ller.example", "beyond ASCII"),
    ] {
        let text = format!("[[domain]]\nname = \"example.com\"\nprimary = [\"{host}\"]\n");
        let said = complaint(&text);
        assert!(
            said.starts_with("3:12: primary ") && said.contains(expected),
            "{host}: {said}"
        );
    }
    let twice = "[[domain]]\nname = \"a.example\"\nprimary = [\"x\", \"X:25\"]\n";
    assert_eq!(
        complaint(twice),
        "3:17: primary \"x:25\" is named twice; leave one out"
    );
}

#[test]
fn a_name_that_is_no_domain_is_refused() {
    for name in [
        "",
        ".",
        "*",
        "*.",
        "a.*.b",
        "*.*.b",
        "[192.0.2.1]",
        "192.0.2.1",
        "a..b",
        "a b",
        "b\u{fc}_ro.example",
        "*.b\u{fc}\u{ff20}ro.example",
        "b\u{fc}*.example",
        "b\u{fc}\u{2028}.example",
        "\u{ff11}92.0.2.1",
        "xn--b\u{fc}cher.example",
    ] {
        let text = format!("[[domain]]\nname = \"{name}\"\nprimary = [\"x\"]\n");
        let said = complaint(&text);
        assert!(said.starts_with("2:8: name = "), "{name}: {said}");
    }
}

#[test]
fn lines_and_columns_count_characters_from_one() {
    assert_eq!(line_and_column("", 0), (1, 1));
    assert_eq!(line_and_column("a\u{fc}b", 3), (1, 3));
    assert_eq!(line_and_column("a\u{fc}b", 2), (1, 2));
    assert_eq!(line_and_column("a\nbc", 3), (2, 2));
    assert_eq!(line_and_column("a\n", 99), (2, 1));
}

#[test]
fn ages_that_make_no_sense_are_told() {
    for (line, expected) in [
        (
            "[queue]\nmax_age = \"0s\"",
            "5:11: max_age = \"0s\" is too short; at least \"1s\"",
        ),
        (
            "[queue]\nmax_age = \"61d\"",
            "5:11: max_age = \"61d\" is longer than max_age_total, which is \"60d\" where it is left out",
        ),
        (
            "[queue]\nmax_age = \"3h\"\nmax_age_total = \"2h\"",
            "6:17: max_age_total = \"2h\" is shorter than max_age",
        ),
        (
            "[queue]\nretain_rejected = \"0s\"",
            "5:19: retain_rejected = \"0s\" is too short; at least \"1s\"",
        ),
    ] {
        let said = complaint(&with(line));
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn what_is_kept_for_how_long_is_read() {
    let keeping = |line: &str| Policy::parse(&with(line)).unwrap().keeping;
    assert_eq!(keeping(""), Keeping::default());
    let lines = "[queue]\nmax_age = \"2h\"\nmax_age_total = \"3h\"\nretain_delivered = \"0s\"\nretain_rejected = \"2s\"\nhistory = \"1s\"";
    let read = keeping(lines);
    let seconds = [
        read.max_age,
        read.max_age_total,
        read.retain_delivered,
        read.retain_rejected,
        read.history,
    ]
    .map(|span| span.as_secs());
    assert_eq!(seconds, [7200, 10_800, 0, 2, 1]);
    assert_eq!(read.remembered().as_secs(), 3600);
}

#[test]
fn a_webhook_is_read_and_none_is_none() {
    let webhook = |line: &str| Policy::parse(&with(line)).unwrap().webhook;
    assert_eq!(webhook(""), None);
    assert_eq!(webhook("[alarms]\nwebhook = \"\""), None);
    let read = webhook("[alarms]\nwebhook = \"https://alerts.example/x\"").unwrap();
    assert_eq!(read.host, "alerts.example:443");
    assert_eq!(
        complaint(&with("[alarms]\nwebhook = \"alerts.example\"")),
        "5:11: webhook = \"alerts.example\" does not begin with https:// or http://; write for example \
         \"https://alerts.example.com/layover\", or \"\" for none"
    );
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_text() {
    let text = "[queue]\nmax_age = \"5x\"\nhistory = \"long\"\nfuture = 1\n\
        [[domain]]\nname = \"a b\"\nprimary = [\"mail.example.com:0\"]\n\
        [[domain]]\nname = 5\nprimary = []\n\
        [[domain]]\nname = \"example.com\"\nprimary = [7]\ntls = \"maybe\"\nconections = 3\n\
        [[domain]]\nprimary = [\"x\"]\n\
        [alarm]\n";
    let said = complaint(text);
    let places: Vec<&str> = said
        .lines()
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    let expected = [
        "2:11", "3:11", "4:1", "6:8", "7:12", "9:8", "13:12", "14:7", "15:1", "16:1", "18:2",
    ];
    assert_eq!(places, expected, "{said}");
    for word in [
        "future",
        "maybe",
        "conections",
        "missing key `name`",
        "alarm",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
