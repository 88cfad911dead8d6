//! Whose mail is ours, and which domain of the policy it falls under.

use super::*;

fn found<'a>(policy: &'a Policy, local_part: &str, domain: &str) -> Option<&'a str> {
    policy
        .domain_of(&recipient(local_part, domain))
        .ok()
        .map(|d| d.name.as_str())
}

#[test]
fn an_exact_name_wins_over_wildcards_and_the_longer_wildcard_over_the_shorter() {
    let policy = policy_of(&[
        "*.example.com",
        "example.com",
        "*.a.example.com",
        "b.a.example.com",
    ]);
    assert_eq!(found(&policy, "u", "EXAMPLE.com"), Some("example.com"));
    assert_eq!(found(&policy, "u", "x.Example.Com"), Some("*.example.com"));
    assert_eq!(found(&policy, "u", "a.example.com"), Some("*.example.com"));
    assert_eq!(
        found(&policy, "u", "x.a.example.com"),
        Some("*.a.example.com")
    );
    assert_eq!(
        found(&policy, "u", "b.A.example.com"),
        Some("b.a.example.com")
    );
    assert_eq!(
        found(&policy, "u", "x.y.z.example.com"),
        Some("*.example.com")
    );
}

#[test]
fn nothing_but_our_domains_is_ours() {
    let policy = policy_of(&["*.example.com"]);
    for domain in [
        "example.com",
        ".example.com",
        "badexample.com",
        "example.com.evil",
        "[192.0.2.1]",
        "",
        "com",
        "[x.example.com",
    ] {
        assert_eq!(found(&policy, "u", domain), None, "{domain}");
    }
}

#[test]
fn an_address_that_asks_for_relaying_is_not_ours() {
    let policy = policy_of(&["example.com"]);
    for local_part in [
        "u%elsewhere",
        "elsewhere!u",
        "\"u@elsewhere\"",
        "@elsewhere:u",
        "\"u%x\"",
        "u\u{ff20}elsewhere",
        "u\u{ff05}elsewhere",
        "elsewhere\u{ff01}u",
        "u\u{fe6b}elsewhere",
    ] {
        assert_eq!(
            found(&policy, local_part, "example.com"),
            None,
            "{local_part}"
        );
    }
    assert_eq!(
        found(&policy, "\"a b\"", "example.com"),
        Some("example.com")
    );
    assert_eq!(found(&policy, "\u{e4}", "example.com"), Some("example.com"));
}

#[test]
fn a_domain_in_its_own_script_is_the_one_that_the_dns_has() {
    let policy = policy_of(&[
        "B\u{dc}cher.example.",
        "*.xn--bcher-kva.example.com",
        "*.example.net",
    ]);
    let names: Vec<&str> = policy.domains.iter().map(|own| &*own.name).collect();
    let own = "xn--bcher-kva.example";
    let (below_own, below) = ("*.xn--bcher-kva.example.com", "*.example.net");
    assert_eq!(names, [own, below_own, below]);
    for (domain, expected) in [
        ("b\u{fc}cher.example", Some(own)),
        ("B\u{dc}CHER.Example", Some(own)),
        ("bu\u{308}cher.example", None),
        ("XN--BCHER-KVA.example", Some(own)),
        ("\u{ff42}\u{fc}cher.example", None),
        ("b\u{fc}c\u{ad}her.example", None),
        ("bucher.example", None),
        ("a.b\u{fc}cher.example", None),
        ("a.b\u{fc}cher.example.com", Some(below_own)),
        ("\u{e4}.xn--bcher-kva.example.com", Some(below_own)),
        ("b\u{fc}cher.example.com", None),
        ("b\u{fc}cher.example.net", Some(below)),
        ("stra\u{df}e.example.net", Some(below)),
    ] {
        assert_eq!(found(&policy, "u", domain), expected, "{domain}");
    }
}

/// What would have to be mapped to a character of ASCII is no domain at all.
#[test]
fn no_character_beyond_ascii_opens_a_relay() {
    let policy = policy_of(&["example.com", "*.example.net"]);
    for characters in [
        // Dots.
        "\u{3002}\u{ff0e}\u{ff61}\u{2024}",
        // Wide and small `@`, wide `%`, `!`, `/`, `[`, `:`, `_`, `e`.
        "\u{ff20}\u{fe6b}\u{ff05}\u{ff01}\u{ff0f}\u{ff3b}\u{ff1a}\u{ff3f}\u{ff45}",
        // What is mapped to several, to a space or to nothing, or stands in no name.
        "\u{2100}\u{2488}\u{a0}\u{ad}\u{200b}\u{2028}\u{fffd}",
    ] {
        for it in characters.chars() {
            for domain in [
                format!("example{it}com"),
                format!("example.com{it}"),
                format!("{it}xample.com"),
                format!("elsewhere{it}example.net"),
                format!("elsewhere.{it}example.net"),
                format!("{it}.example.net"),
            ] {
                let found = found(&policy, "u", &domain);
                assert_eq!(found, None, "{}", domain.escape_unicode());
            }
        }
    }
    let long = format!("{}.example.net", "\u{fc}".repeat(63));
    assert_eq!(found(&policy, "u", &long), None);
}

#[test]
fn domains_below_a_domain_are_those_that_its_mail_may_fall_under() {
    let policy = policy_of(&[
        "example.com",
        "*.example.com",
        "a.example.com",
        "notexample.com",
        "*.example.net",
    ]);
    let below = |domain: &str| -> Vec<&str> {
        let domains = policy.domains_below(domain);
        domains.iter().map(|own| own.name.as_str()).collect()
    };
    assert_eq!(
        below("Example.com"),
        ["example.com", "*.example.com", "a.example.com"]
    );
    assert_eq!(below("a.example.com"), ["a.example.com"]);
    assert_eq!(below("b.example.com"), ["*.example.com"]);
    assert_eq!(below("example.net"), ["*.example.net"]);
    assert_eq!(below("com").len(), 4);
    assert!(below("elsewhere.example").is_empty());
}

#[test]
fn postmaster_without_a_domain_falls_under_the_first() {
    let policy = policy_of(&["b.example", "a.example"]);
    assert_eq!(
        policy.domain_of(&ForwardPath::Postmaster).unwrap().name,
        "b.example"
    );
    assert_eq!(
        Policy {
            domains: Domains::default(),
            ..Policy::default()
        }
        .domain_of(&ForwardPath::Postmaster),
        Err(NotOurs)
    );
}
