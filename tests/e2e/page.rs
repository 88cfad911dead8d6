//! The web page, as a browser without scripts uses it.

use std::{cmp::Reverse, net::SocketAddr};

use harness::{Cluster, Daemon, Letter, Sender, Settings, http, wait_until};

use crate::scene;

fn get(node: &Daemon, path: &str) -> String {
    let (status, page) = http::get(node.ports.http.address(), path).unwrap();
    assert_eq!(status, 200, "{path}: {page}");
    page
}

/// What stands between two texts, the first time.
#[track_caller]
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}

pub(crate) fn token(page: &str) -> &str {
    between(page, "name=\"token\" value=\"", "\"")
}

fn post(node: &Daemon, path: &str, form: &str) -> (u16, String, String) {
    http::post(node.ports.http.address(), path, &[], form).unwrap()
}

#[test]
fn staff_see_what_waits_and_send_it_by_a_button() {
    let (mut primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..12);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(12, scene::CATCH_UP);
    let node = &cluster.nodes[cluster.follower()];
    let follows =
        || get(node, "/").contains("12 messages safe here. The primary of example.com is down.");
    wait_until(scene::CATCH_UP, "the page says so", follows);
    let page = get(node, "/");
    assert!(
        page.contains("example.com") && page.contains(">leader<"),
        "{page}"
    );
    assert!(page.contains("12 messages wait now."), "{page}");
    let by_age = || get(node, "/").contains("example.com</th><td class=\"number\">12</td>");
    wait_until(scene::CATCH_UP, "they are counted by age", by_age);
    let secret = token(&page);
    let form = format!("token={secret}&domain=example.com&reason=it+is+%3Cback%3E");
    let peak = || get(node, "/").contains("The most were 12, at ");
    wait_until(scene::CATCH_UP, "the curve shows it", peak);
    primary.up();
    let (status, head, _) = post(node, "/flush", &form);
    assert_eq!(status, 303, "{head}");
    assert!(head.contains("location: /?done=flush"), "{head}");
    assert!(get(node, "/?done=flush").contains("The queue is being tried now"));
    cluster.wait_queued(0, scene::DRAIN);
    let done = || get(node, "/").contains("All mail is delivered.");
    wait_until(scene::CATCH_UP, "the page says that all is well", done);
    let cluster = get(node, "/cluster");
    assert!(
        cluster.contains("Mail is taken while 2 of the 3 voting nodes answer.")
            && cluster.contains("<th scope=\"row\">3</th><td>smtp</td>"),
        "{cluster}"
    );
    let audit = get(node, "/audit");
    assert!(
        audit.contains("flush example.com") && audit.contains("web page, 127.0.0.1"),
        "{audit}"
    );
    assert!(audit.contains("it is &lt;back&gt;"), "{audit}");
    let audit = node.ctl().run(&["audit"]).out;
    assert!(audit.contains("it is <back>"), "{audit}");
}

#[test]
fn each_outage_is_remembered_with_what_waited_and_how_long_that_took() {
    let (mut primary, cluster) = scene::outage(3);
    let letters = scene::letters(0..12);
    scene::send_all(&cluster, &letters);
    cluster.wait_queued(12, scene::CATCH_UP);
    let node = &cluster.nodes[cluster.follower()];
    let listed = || node.ctl().json(&["domain", "outages", "example.com"]);
    let lasts = || listed()["outages"][0]["messages"] == 12;
    wait_until(scene::CATCH_UP, "it lasts", lasts);
    let before = listed();
    assert!(before["outages"][0]["until_ms"].is_null(), "{before}");
    // A node looks at its queues once a second.
    let begun = before["now_ms"].as_u64().unwrap();
    let looked = || listed()["now_ms"].as_u64().unwrap() > begun + 3_000;
    wait_until(scene::CATCH_UP, "every node has seen what waits", looked);
    scene::drain(&cluster, &mut primary, &letters);
    for node in &cluster.nodes {
        let listed = || node.ctl().json(&["domain", "outages"]);
        let done = || listed()["outages"][0]["drain_ms"].is_u64();
        wait_until(scene::CATCH_UP, "the node has seen the end", done);
        let told = listed();
        let outage = &told["outages"][0];
        assert_eq!(outage["domain"], "example.com", "{told}");
        assert_eq!(outage["messages"], 12, "{told}");
        assert!(outage["until_ms"].is_u64(), "{told}");
        let page = get(node, "/outages?domain=example.com");
        assert!(page.contains("12 messages<"), "{page}");
    }
    let (status, told) = http::get(node.ports.http.address(), "/outages?domain=a.test").unwrap();
    assert!(status == 404 && told.contains("a.test"), "{told}");
}

#[test]
fn messages_are_held_and_deleted_by_those_who_say_that_they_are_sure() {
    let (_primary, cluster) = scene::outage(1);
    let letters = scene::letters(0..60);
    scene::send_all(&cluster, &letters);
    let node = &cluster.nodes[0];
    let page = get(node, "/queue");
    assert_eq!(page.matches("name=\"id\"").count(), 50, "a page of them");
    let next = between(&page, "<p><a href=\"", "\">Go on</a>").replace("&amp;", "&");
    assert_eq!(get(node, &next).matches("name=\"id\"").count(), 10);
    let first = between(&page, "name=\"id\" value=\"", "\"").to_owned();
    let shown = get(node, &format!("/message/{first}"));
    assert!(
        shown.contains("Received: ") && shown.contains("user0@example.com"),
        "{shown}"
    );

    let secret = token(&page).to_owned();
    let form = format!("token={secret}&which=ticked&id={first}&verb=hold&reason=looks+%3Codd%3E");
    let (status, _, told) = post(node, "/queue", &form);
    assert!(status == 200 && told.contains("1 message held."), "{told}");
    let held = get(node, "/queue?state=held");
    assert!(
        held.contains(&first) && held.contains("looks &lt;odd&gt;"),
        "{held}"
    );

    let all = format!("token={secret}&which=chosen&recipient=user1%40example.com&verb=delete");
    let (status, _, asked) = post(node, "/queue", &all);
    assert!(
        status == 200 && asked.contains("Yes, delete 12 messages"),
        "{asked}"
    );
    assert_eq!(node.queued(), Some(60), "asked first");
    let fields = asked
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|field| {
            let (name, rest) = field.split_once("\" value=\"").unwrap();
            format!(
                "{name}={}",
                rest.split_once('"').unwrap().0.replace('@', "%40")
            )
        });
    let sure: Vec<String> = fields.collect();
    let (status, _, told) = post(node, "/queue", &sure.join("&"));
    assert!(
        status == 200 && told.contains("12 messages deleted."),
        "{told}"
    );
    wait_until(scene::CATCH_UP, "they are gone", || {
        node.queued() == Some(48)
    });
}

#[test]
fn the_queue_is_paged_through_in_each_order() {
    let (_primary, cluster) = scene::outage(1);
    let node = &cluster.nodes[0];
    // Of five sizes, in turn.
    let sized = |serial| Letter::new(serial, "ann@example.com", 1_000 + 100 * (serial % 5));
    let letters: Vec<Letter> = (0..120).map(sized).collect();
    scene::send_all(&cluster, &letters);
    let arrived = node.ctl().json(&["queue", "list"]);
    let arrived = arrived.as_array().unwrap().iter();
    let arrived: Vec<(u64, &str)> = arrived
        .map(|one| (one["size"].as_u64().unwrap(), one["id"].as_str().unwrap()))
        .collect();
    let ids = |sorted: &[(u64, &str)]| -> Vec<String> {
        sorted.iter().map(|(_, id)| (*id).to_owned()).collect()
    };
    let mut newest = arrived.clone();
    newest.reverse();
    let mut largest = arrived.clone();
    largest.sort_by_key(|(size, _)| Reverse(*size));
    for (order, sorted) in [("", arrived), ("newest", newest), ("largest", largest)] {
        let mut path = format!("/queue?recipient=ann%40example.com&order={order}");
        let mut shown: Vec<String> = Vec::new();
        for rows in [50, 50, 20] {
            let page = get(node, &path);
            let parts: Vec<&str> = page.split("name=\"id\" value=\"").skip(1).collect();
            assert_eq!(parts.len(), rows, "{path}");
            let id = |part: &&str| part.split('"').next().unwrap().to_owned();
            shown.extend(parts.iter().map(id));
            if rows == 50 {
                path = between(&page, "<p><a href=\"", "\">Go on</a>").replace("&amp;", "&");
            } else {
                assert!(!page.contains("Go on"), "{page}");
            }
        }
        assert_eq!(shown, ids(&sorted), "{order}");
    }
}

#[test]
fn nobody_else_presses_a_button_or_sees_the_page() {
    let (_primary, cluster) = scene::outage(1);
    let node = &cluster.nodes[0];
    let page = get(node, "/");
    let good = format!("token={}&domain=example.com", token(&page));
    let address: SocketAddr = node.ports.http.address();
    for (headers, form) in [
        (&[][..], "domain=example.com"),
        (
            &[][..],
            "token=00000000000000000000000000000000&domain=example.com",
        ),
        (&["Sec-Fetch-Site: cross-site"][..], good.as_str()),
    ] {
        for path in ["/flush", "/pause", "/resume", "/queue"] {
            let (status, _, told) = http::post(address, path, headers, form).unwrap();
            assert_eq!(status, 403, "{path}: {told}");
        }
    }
    let audit = node.ctl().json(&["audit"]);
    assert_eq!(audit.as_array().map(Vec::len), Some(0), "{audit}");
    let (_, head, _) = http::post(address, "/flush", &[], "").unwrap();
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );

    let elsewhere = Settings::for_primary(address).with("http", "trusted = [\"192.0.2.0/24\"]");
    let cluster = Cluster::start(1, &elsewhere);
    let address = cluster.nodes[0].ports.http.address();
    for path in [
        "/",
        "/queue",
        "/audit",
        "/outages",
        "/cluster",
        "/message/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "/style.css",
        "/live.js",
        "/nowhere",
    ] {
        assert_eq!(http::get(address, path).unwrap().0, 403, "{path}");
    }
    assert_eq!(http::post(address, "/flush", &[], "").unwrap().0, 403);
    assert_eq!(http::get(address, "/healthz").unwrap().0, 200);
}

#[test]
fn a_foreign_site_whose_name_leads_here_sees_nothing() {
    let settings = Settings::for_primary(SocketAddr::from(([127, 0, 0, 1], 9)))
        .with("http", "names = [\"queue.example.org\"]");
    let cluster = Cluster::start(1, &settings);
    let node = &cluster.nodes[0];
    let address = node.ports.http.address();
    let good = format!("token={}&domain=example.com", token(&get(node, "/")));
    let port = address.port();
    for host in [
        "rebound.example".to_owned(),
        format!("rebound.example:{port}"),
        "127.0.0.1.rebound.example".to_owned(),
        String::new(),
    ] {
        let host = format!("Host: {host}");
        for path in ["/", "/queue", "/audit", "/style.css"] {
            let (status, told) = http::get_with(address, path, &[&host]).unwrap();
            assert_eq!(status, 421, "{host}, {path}: {told}");
            assert!(told.contains("add it to names in [http]"), "{told}");
        }
        let (status, _, told) = http::post(address, "/flush", &[&host], &good).unwrap();
        assert_eq!(status, 421, "{host}: {told}");
        for path in ["/metrics", "/healthz", "/readyz"] {
            let (status, _) = http::get_with(address, path, &[&host]).unwrap();
            assert_ne!(status, 421, "{host}, {path}");
        }
    }
    for host in [
        "localhost".to_owned(),
        format!("MX1.example.net:{port}"),
        "queue.example.org".to_owned(),
        format!("[::1]:{port}"),
    ] {
        let (status, told) = http::get_with(address, "/", &[&format!("Host: {host}")]).unwrap();
        assert_eq!(status, 200, "{host}: {told}");
    }
}

#[test]
fn what_came_with_the_mail_is_shown_and_never_run() {
    let (_primary, cluster) = scene::outage(1);
    let node = &cluster.nodes[0];
    let mut sender = Sender::connect(node.smtp()).unwrap();
    for line in [
        "MAIL FROM:<\"<script>alert(1)</script>\"@sender.test>",
        "RCPT TO:<\"<img/src=x>\"@example.com>",
        "DATA",
    ] {
        let reply = sender.command(line).unwrap();
        assert!(reply.is_positive(), "{line}: {reply}");
    }
    sender
        .write(b"Subject: <b onclick=x>\"'&\r\n\r\ntext\r\n.\r\n")
        .unwrap();
    let reply = sender.read_reply().unwrap();
    let id = reply.queued_as().unwrap().to_owned();
    for path in ["/queue".to_owned(), format!("/message/{id}")] {
        let page = get(node, &path);
        assert!(page.contains("&lt;img/src=x&gt;"), "{page}");
        for tag in ["<script", "<img", "<b "] {
            assert!(!page.contains(tag), "{path}: {page}");
        }
    }
    let (status, told) = http::get(node.ports.http.address(), "/nowhere").unwrap();
    assert!(
        status == 404 && told.contains("There is no such page."),
        "{told}"
    );
    let (status, told) = http::get(node.ports.http.address(), "/message/nonsense").unwrap();
    assert!(
        status == 400 && told.contains("That did not work"),
        "{told}"
    );
}
