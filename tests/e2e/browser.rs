//! The web page in a real browser, as staff see it.

use std::{env, fs, net::SocketAddr, path::PathBuf};

use harness::{
    Browser, Cluster, Daemon, Letter, Primary, Scripts, Settings, View, compare, or_skip,
    wait_until,
};

use crate::scene;

/// Names a directory into which the pictures of the documentation are drawn.
const PICTURES: &str = "LAYOVER_PICTURES";

fn address(node: &Daemon, path: &str) -> String {
    format!("http://{}{path}", node.ports.http.address())
}

/// Waits until the page, which loads itself again, has this in its headline.
#[track_caller]
fn wait_headline(browser: &Browser, words: &str) {
    let is_shown = || browser.text("h1").is_some_and(|text| text.contains(words));
    wait_until(scene::DRAIN, &format!("the page says {words:?}"), is_shown);
}

#[track_caller]
fn assert_told(browser: &Browser, words: &str) {
    let told = browser.text("[role=status]").unwrap_or_default();
    assert!(told.contains(words), "{words} in {told:?}");
}

#[test]
fn the_queue_is_seen_sent_by_a_button_and_watched_until_it_is_empty() {
    let Some(browser) = or_skip(Browser::start(Scripts::On)) else {
        return;
    };
    let mut primary = Primary::down_at_first();
    let mut settings = Settings::for_primary(primary.address());
    // Nothing but the button sends anything, and then slowly enough to be watched.
    let slowly = "probe_interval = \"10m\"\nmessages_per_second = 4";
    settings.policy = settings
        .policy
        .replace("probe_interval = \"500ms\"", slowly);
    let cluster = Cluster::start(3, &settings);
    let letters = scene::letters(0..80);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(80, scene::CATCH_UP);
    browser.open(&address(&cluster.nodes[cluster.follower()], "/"));
    wait_headline(
        &browser,
        "80 messages safe here. The primary of example.com is down.",
    );

    browser.press("Queue");
    assert_eq!(browser.text("h1").as_deref(), Some("Queue"));
    assert_eq!(browser.count("input[name=id]"), 50, "a page of them");
    browser.press("Go on");
    assert_eq!(browser.count("input[name=id]"), 30);
    browser.press("Status");

    primary.up();
    browser.press("Try all mail now");
    assert_told(&browser, "The queue is being tried now");
    wait_headline(&browser, "on the way to the primary.");
    wait_headline(&browser, "All mail is delivered.");
    let account = compare(&letters, &primary.received());
    assert!(account.is_right(), "{account}: {account:?}");
}

#[test]
fn with_scripts_switched_off_messages_are_chosen_held_and_deleted() {
    let Some(browser) = or_skip(Browser::start(Scripts::Off)) else {
        return;
    };
    let (_primary, cluster) = scene::outage(1);
    let node = &cluster.nodes[0];
    scene::send_all(&cluster, &scene::letters(0..12));
    browser.open(&address(node, "/queue"));
    browser.tick("input[name=id]");
    browser.write("input[name=reason]", "looks <odd>");
    browser.press("Hold");
    assert_told(&browser, "1 message held.");

    browser.press("Back to the queue");
    browser.tick("select[name=state] option[value=held]");
    browser.press("Choose");
    assert_eq!(browser.count("input[name=id]"), 1);
    let row = browser.text("tbody tr").unwrap();
    assert!(row.contains("looks <odd>"), "{row}");

    for answer in ["No, change nothing", "Yes, delete 3 messages"] {
        browser.open(&address(node, "/queue"));
        browser.write("input[name=recipient]", "user1@example.com");
        browser.press("Choose");
        browser.tick("input[value=chosen]");
        browser.press("Delete");
        assert_eq!(browser.text("h1").as_deref(), Some("Are you sure?"));
        assert_eq!(node.queued(), Some(12), "it asks first");
        browser.press(answer);
    }
    assert_told(&browser, "3 messages deleted.");
    browser.open(&address(node, "/"));
    let gone = node.ctl().run(&["queue", "delete", "--all", "--yes"]);
    assert_eq!(gone.code, 0, "{gone:?}");
    wait_headline(&browser, "No mail waits.");
}

#[test]
fn who_comes_from_elsewhere_is_refused() {
    let Some(browser) = or_skip(Browser::start(Scripts::On)) else {
        return;
    };
    let settings = Settings::for_primary(SocketAddr::from(([127, 0, 0, 1], 9)))
        .with("http", "trusted = [\"192.0.2.0/24\"]");
    let cluster = Cluster::start(1, &settings);
    for path in ["/", "/queue", "/audit"] {
        browser.open(&address(&cluster.nodes[0], path));
        let told = browser.text("body").unwrap_or_default();
        let words = "this address is not among the trusted networks";
        assert!(told.contains(words), "{path}: {told:?}");
        assert_eq!(browser.count("form, table"), 0, "{path}");
    }
}

/// The pages, what they are called in the documentation, and in which views they are shown there.
fn pages(message: &str) -> [(&'static str, String, &'static [View]); 6] {
    let path = str::to_owned;
    [
        ("status", path("/"), &[View::Light, View::Dark, View::Phone]),
        ("queue", path("/queue"), &[View::Light]),
        ("message", format!("/message/{message}"), &[View::Light]),
        ("outages", path("/outages"), &[View::Light]),
        ("cluster", path("/cluster"), &[View::Light]),
        ("audit", path("/audit"), &[]),
    ]
}

#[test]
fn every_page_can_be_read_in_the_dark_on_a_phone_and_by_a_screen_reader() {
    let Some(browser) = or_skip(Browser::start(Scripts::On)) else {
        return;
    };
    let (_primaries, cluster) = an_eventful_day();
    let node = &cluster.nodes[0];
    let queue = node.ctl().json(&["queue", "list"]);
    let message = queue[1]["id"].as_str().unwrap();
    let pictures = env::var_os(PICTURES).map(PathBuf::from);
    let views = [
        View::Light,
        View::Dark,
        View::Phone,
        View::Zoomed,
        View::Narrow,
    ];
    for view in views {
        browser.look_as(view);
        for (name, path, shown) in pages(message) {
            browser.open(&address(node, &path));
            assert!(browser.count("h1") == 1, "{path} is a page");
            for complaints in [
                browser.nameless(),
                browser.faint_texts(),
                browser.stumbling_blocks(),
            ] {
                let complaints = complaints.join("\n");
                assert!(complaints.is_empty(), "{view:?}, {path}:\n{complaints}");
            }
            assert!(browser.overhang(view) <= 0, "{view:?}, {path} is too wide");
            let Some(directory) = pictures.as_ref().filter(|_| shown.contains(&view)) else {
                continue;
            };
            let further = match view {
                View::Dark => "-dark",
                View::Phone => "-phone",
                View::Light | View::Zoomed | View::Narrow => "",
            };
            fs::create_dir_all(directory).unwrap();
            browser.draw(&directory.join(format!("{name}{further}.png")));
        }
    }
}

/// Nodes with a primary that was down and is down again, and one that is up.
fn an_eventful_day() -> ([Primary; 2], Cluster) {
    let (mut down, up) = (Primary::started(), Primary::started());
    let domains = [
        ("example.com", down.address()),
        ("example.org", up.address()),
    ];
    let cluster = Cluster::start(3, &Settings::for_domains(&domains));
    let ctl = cluster.nodes[0].ctl();
    let outages = || ctl.json(&["domain", "outages", "example.com"]);

    down.down();
    scene::send_all(&cluster, &scene::letters(0..20));
    let is_seen = || outages()["outages"][0]["messages"] == 20;
    wait_until(scene::CATCH_UP, "the outage is seen", is_seen);
    // A node looks at its queues once a second.
    let begun = outages()["now_ms"].as_u64().unwrap();
    let looked = || outages()["now_ms"].as_u64().unwrap() > begun + 3_000;
    wait_until(scene::CATCH_UP, "the node has seen what waits", looked);
    down.up();
    let is_over = || outages()["outages"][0]["drain_ms"].is_u64();
    wait_until(scene::DRAIN, "the outage is over", is_over);

    down.down();
    scene::send_all(&cluster, &scene::letters(20..32));
    let elsewhere = |serial| Letter::new(serial, "ann@example.org", 2_000);
    scene::send_all(&cluster, &(32..36).map(elsewhere).collect::<Vec<_>>());
    scene::wait_received(&up, 4);
    let lasts = || outages()["outages"][0]["messages"] == 12;
    wait_until(scene::CATCH_UP, "the next one is seen", lasts);
    let queue = ctl.json(&["queue", "list"]);
    let first = queue[0]["id"].as_str().unwrap();
    let reason = "the recipient has asked to look at it first";
    let held = ctl.run(&["queue", "hold", first, "--reason", reason]);
    assert_eq!(held.code, 0, "{held:?}");
    ([down, up], cluster)
}
