//! The web page in a real browser, by somebody who has no mouse.

use harness::{Browser, Cluster, Primary, Scripts, Settings, compare, or_skip, wait_until};

use crate::{login, scene};

fn open(browser: &Browser, cluster: &Cluster, path: &str) {
    let address = cluster.nodes[0].ports.http.address();
    browser.open(&format!("http://{address}{path}"));
}

#[track_caller]
fn wait_headline(browser: &Browser, words: &str) {
    let is_shown = || browser.text("h1").is_some_and(|text| text.contains(words));
    wait_until(scene::DRAIN, &format!("the page says {words:?}"), is_shown);
}

#[test]
fn the_queue_is_flushed_with_the_keyboard_alone() {
    let Some(browser) = or_skip(Browser::start(Scripts::On)) else {
        return;
    };
    let mut primary = Primary::down_at_first();
    let mut settings = Settings::for_primary(primary.address());
    // Nothing but the button sends anything.
    let (soon, late) = ("probe_interval = \"500ms\"", "probe_interval = \"10m\"");
    settings.policy = settings.policy.replace(soon, late);
    let cluster = Cluster::start(1, &settings);
    let letters = scene::letters(0..15);
    scene::send_all(&cluster, &letters[..12]);
    open(&browser, &cluster, "/");
    wait_headline(&browser, "12 messages safe here.");
    assert_eq!(browser.tab(), "To the content");
    browser.enter();
    assert_eq!(browser.tab(), "12 waiting, example.com");
    browser.tab_to("Reason to try now");
    browser.type_text("the primary is back");
    browser.enter();
    assert_eq!(browser.focused(), "Reason to try now", "Enter does nothing");
    browser.tab_to("Try now example.com");

    // The figures change below his fingers, and he stays where he is.
    scene::send_all(&cluster, &letters[12..]);
    wait_headline(&browser, "15 messages safe here.");
    assert_eq!(browser.focused(), "Try now example.com");

    primary.up();
    browser.enter_page();
    let told = browser.text("[role=status]").unwrap_or_default();
    assert!(told.contains("The queue is being tried now"), "{told}");
    wait_headline(&browser, "All mail is delivered.");
    let account = compare(&letters, &primary.received());
    assert!(account.is_right(), "{account}: {account:?}");
    let audit = cluster.nodes[0].ctl().json(&["audit"]);
    assert_eq!(audit[0]["what"], "flush example.com", "{audit}");
    assert_eq!(audit[0]["reason"], "the primary is back", "{audit}");
}

#[test]
fn an_admin_logs_in_and_deletes_a_message_with_the_keyboard_alone() {
    let Some(browser) = or_skip(Browser::start(Scripts::Off)) else {
        return;
    };
    let (_primary, cluster) = login::start();
    let node = &cluster.nodes[0];
    open(&browser, &cluster, "/queue");
    browser.tab_to("Name");
    browser.type_text("admin");
    assert_eq!(browser.tab(), "Password");
    browser.type_text("correct horse");
    browser.enter_page();

    browser.tab_to("Queue");
    browser.enter_page();
    browser.tab_to("Recipient");
    browser.type_text("user1@example.com");
    browser.enter_page();
    let filter = ["queue", "list", "--recipient", "user1@example.com"];
    let listed = node.ctl().json(&filter);
    let message = format!("Message {}", listed[0]["id"].as_str().unwrap());
    browser.tab_to(&message);
    browser.type_text(" ");
    browser.enter();
    assert_eq!(browser.focused(), message, "Enter on a box does nothing");
    browser.tab_to("Reason");
    browser.type_text("its recipient wants it gone");
    browser.enter();
    assert_eq!(browser.focused(), "Reason", "neither does it here");
    browser.tab_to("Delete");
    browser.enter_page();
    assert_eq!(browser.text("h1").as_deref(), Some("Are you sure?"));
    assert_eq!(node.queued(), Some(3), "it asks first");
    browser.tab_to("Reason");
    browser.enter();
    assert_eq!(browser.focused(), "Reason", "nor here");
    browser.tab_to("Yes, delete 1 message");
    browser.space_page();
    let told = browser.text("[role=status]").unwrap_or_default();
    assert!(told.contains("1 message deleted."), "{told}");

    assert_eq!(node.queued(), Some(2));
    let audit = node.ctl().json(&["audit"]);
    let deleted = audit.as_array().unwrap().last().unwrap();
    assert_eq!(deleted["reason"], "its recipient wants it gone", "{audit}");
    let by = deleted["by"].as_str().unwrap();
    assert!(by.starts_with("admin by web page"), "{audit}");
}

#[test]
fn a_domain_is_paused_and_resumed_with_reasons() {
    let Some(browser) = or_skip(Browser::start(Scripts::On)) else {
        return;
    };
    let (_primary, cluster) = scene::outage(1);
    let node = &cluster.nodes[0];
    open(&browser, &cluster, "/");
    browser.tab_to("Pause example.com");
    browser.enter_page();
    browser.tab_to("For");
    browser.type_text("2h");
    browser.tab_to("Reason");
    browser.type_text("the primary moves");
    browser.tab_to("Pause example.com");
    browser.enter_page();
    let shown = browser.text("tbody").unwrap_or_default();
    assert!(shown.contains("the primary moves, until"), "{shown}");
    browser.tab_to("Resume example.com");
    browser.enter_page();
    browser.tab_to("Reason");
    browser.type_text("it has moved");
    browser.tab_to("Resume example.com");
    browser.enter_page();
    let audit = node.ctl().json(&["audit"]);
    let reasons = [&audit[0]["reason"], &audit[1]["reason"]];
    assert_eq!(reasons, ["the primary moves", "it has moved"], "{audit}");
}

#[test]
fn all_that_can_be_pressed_is_reached_with_the_keyboard() {
    let Some(browser) = or_skip(Browser::start(Scripts::On)) else {
        return;
    };
    let (_primary, cluster) = scene::outage(1);
    scene::send_all(&cluster, &scene::letters(0..3));
    let queue = cluster.nodes[0].ctl().json(&["queue", "list"]);
    let message = format!("/message/{}", queue[0]["id"].as_str().unwrap());
    for path in ["/queue", &message, "/outages", "/cluster", "/audit"] {
        open(&browser, &cluster, path);
        let stops = browser.stops();
        let first = ["To the content", "Status", "Queue", "Outages", "Cluster"];
        assert_eq!(stops[..5], first, "{path}");
        let pressed =
            browser.count("a, button:not([hidden]), input:not([type=hidden]), select, pre");
        // Of the two ways to say which messages are meant, one is a stop; arrows lead to the other one.
        let arrows = browser.count("[type=radio]") / 2;
        assert_eq!(stops.len(), pressed - arrows, "{path}: {stops:?}");
    }
}
