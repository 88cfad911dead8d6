//! Users of the page: who they are, and what their roles let them do.

use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
};

use harness::{Browser, Cluster, Daemon, Primary, Scripts, Settings, binaries, http, or_skip};

use crate::{
    page::{between, token},
    scene,
};

/// All have the password "correct horse". This is what argon2id makes of it, quickly.
const HORSE: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI";

const ROLES: [&str; 4] = ["viewer", "operator", "admin", "reader"];

/// A node with a user of each role, who is called as his role is, and mail that waits.
pub(crate) fn start() -> (Primary, Cluster) {
    let primary = Primary::down_at_first();
    let users = ROLES.map(|role| {
        format!("{{ name = \"{role}\", password = \"{HORSE}\", roles = [\"{role}\"] }}")
    });
    let users = format!("user = [{}]", users.join(", "));
    let settings = Settings::for_primary(primary.address()).with("http", &users);
    let cluster = Cluster::start(1, &settings);
    scene::send_all(&cluster, &scene::letters(0..3));
    (primary, cluster)
}

fn address(node: &Daemon) -> SocketAddr {
    node.ports.http.address()
}

/// The status and the head of the answer.
fn try_to_log_in(node: &Daemon, name: &str, password: &str) -> (u16, String) {
    let (_, page) = http::get(address(node), "/login").unwrap();
    let form = format!("token={}&name={name}&password={password}", token(&page));
    let (status, head, _) = http::post(address(node), "/login", &[], &form).unwrap();
    (status, head)
}

/// A user at his browser.
struct User<'n> {
    node: &'n Daemon,
    cookie: String,
    token: String,
}

impl<'n> User<'n> {
    #[track_caller]
    fn log_in(node: &'n Daemon, name: &str) -> Self {
        let (status, head) = try_to_log_in(node, name, "correct+horse");
        assert_eq!(status, 303, "{head}");
        let cookie = format!("Cookie: {}", between(&head, "set-cookie: ", ";"));
        let mut user = Self {
            node,
            cookie,
            token: String::new(),
        };
        let (status, page) = user.get("/");
        assert_eq!(status, 200, "{page}");
        user.token = token(&page).to_owned();
        user
    }

    fn get(&self, path: &str) -> (u16, String) {
        http::get_with(address(self.node), path, &[&self.cookie]).unwrap()
    }

    fn post(&self, path: &str, form: &str) -> (u16, String) {
        let form = format!("token={}&{form}", self.token);
        let (status, _, told) =
            http::post(address(self.node), path, &[&self.cookie], &form).unwrap();
        (status, told)
    }
}

#[test]
fn each_role_gets_what_it_is_for_and_nothing_else() {
    let (_primary, cluster) = start();
    let node = &cluster.nodes[0];
    let queue = node.ctl().json(&["queue", "list"]);
    let id = queue[0]["id"].as_str().unwrap();
    let (message, original) = (format!("/message/{id}"), format!("/message/{id}/original"));
    let (hold, delete) = (format!("verb=hold&id={id}"), format!("verb=delete&id={id}"));
    let bounce = "verb=bounce&which=chosen&sure=yes&recipient=nobody%40example.com";
    // In the order of `ROLES`. What is no form is asked for.
    for (path, form, may) in [
        ("/", None, [true, true, true, true]),
        ("/queue", None, [true, true, true, true]),
        (&message, None, [true, true, true, true]),
        (&original, None, [false, false, false, true]),
        ("/outages", None, [true, true, true, true]),
        ("/cluster", None, [true, true, true, true]),
        ("/audit", None, [true, true, true, true]),
        (
            "/flush",
            Some("domain=example.com"),
            [false, true, true, false],
        ),
        (
            "/pause",
            Some("domain=example.com"),
            [false, true, true, false],
        ),
        (
            "/resume",
            Some("domain=example.com"),
            [false, true, true, false],
        ),
        ("/queue", Some(&*hold), [false, true, true, false]),
        ("/queue", Some(&*delete), [false, false, true, false]),
        ("/queue", Some(bounce), [false, false, true, false]),
    ] {
        for (role, may) in ROLES.into_iter().zip(may) {
            let user = User::log_in(node, role);
            let (status, told) = match form {
                None => user.get(path),
                Some(form) => user.post(path, form),
            };
            let is_let = matches!(status, 200 | 303);
            assert!(is_let || status == 403, "{role}, {path}: {status} {told}");
            assert_eq!(is_let, may, "{role}, {path} {form:?}: {told}");
        }
        // Who has not said who he is.
        let (status, told) = match form {
            None => http::get(address(node), path).unwrap(),
            Some(form) => {
                let (status, head, _) = http::post(address(node), path, &[], form).unwrap();
                assert!(head.contains("location: /login"), "{head}");
                (status, head)
            }
        };
        assert_eq!(status, 303, "{path}: {told}");
    }
    assert_eq!(node.queued(), Some(3), "nobody was sure");
    let audit = node.ctl().json(&["audit"]).to_string();
    for words in [
        "operator by web page, 127.0.0.1",
        "reader by web page, 127.0.0.1",
        &format!("queue export {id}"),
    ] {
        assert!(audit.contains(words), "{words} in {audit}");
    }
    assert!(!audit.contains("viewer"), "{audit}");
}

#[test]
fn pages_offer_only_what_a_role_may_do() {
    let (_primary, cluster) = start();
    let node = &cluster.nodes[0];
    let queue = node.ctl().json(&["queue", "list"]);
    let id = queue[0]["id"].as_str().unwrap();
    for (role, header, hold, delete, original) in [
        ("viewer", false, false, false, false),
        ("operator", true, true, false, false),
        ("admin", true, true, true, false),
        ("reader", true, false, false, true),
    ] {
        let user = User::log_in(node, role);
        let (_, page) = user.get(&format!("/message/{id}"));
        for (part, is_there) in [
            (">Header</h2>", header),
            ("value=\"hold\"", hold),
            ("value=\"delete\"", delete),
            ("/original\"", original),
        ] {
            assert_eq!(page.contains(part), is_there, "{role}, {part}: {page}");
        }
        let (_, page) = user.get("/");
        assert_eq!(page.contains("Try all mail now"), hold, "{role}: {page}");
    }
    let (status, text) = User::log_in(node, "reader").get(&format!("/message/{id}/original"));
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
    assert!(status == 200 && text.starts_with("Received: "), "{text}");
    assert!(body.is_some_and(|body| !body.is_empty()), "{text}");
}

#[test]
fn who_guesses_passwords_has_to_wait() {
    let (_primary, cluster) = start();
    let node = &cluster.nodes[0];
    for (name, password) in [
        ("viewer", "wrong+horse"),
        ("viewer", ""),
        ("viewer", "correct+horse+"),
        ("nobody", "correct+horse"),
        ("", ""),
    ] {
        let (status, head) = try_to_log_in(node, name, password);
        assert_eq!(status, 403, "{name}: {head}");
        assert!(!head.contains("set-cookie"), "{head}");
    }
    User::log_in(node, "viewer");
    let statuses: Vec<u16> = (0..12)
        .map(|_| try_to_log_in(node, "viewer", "wrong").0)
        .collect();
    assert_eq!(statuses, [vec![403; 10], vec![429; 2]].concat());
    assert_eq!(try_to_log_in(node, "viewer", "correct+horse").0, 429);
    let log = node.log_text();
    assert!(log.contains("too many attempts to log in"), "{log}");
    assert!(!log.contains("horse"), "{log}");
}

#[test]
fn a_session_is_its_users_own_and_ends_when_he_logs_out() {
    let (_primary, cluster) = start();
    let node = &cluster.nodes[0];
    let (_, head) = try_to_log_in(node, "operator", "correct+horse");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(head.contains(part), "{head}");
    }
    assert!(!head.contains("Secure"), "this was in clear: {head}");
    let operator = User::log_in(node, "operator");
    let admin = User::log_in(node, "admin");
    let crossed = User {
        node,
        cookie: admin.cookie.clone(),
        token: operator.token.clone(),
    };
    assert_eq!(crossed.post("/flush", "domain=example.com").0, 403);
    assert_eq!(crossed.post("/logout", "").0, 403);
    assert_eq!(operator.post("/logout", "").0, 303);
    assert_eq!(operator.get("/").0, 303);
    assert_eq!(operator.post("/flush", "domain=example.com").0, 303);
    assert_eq!(admin.get("/").0, 200, "it was not his");
    let audit = node.ctl().json(&["audit"]);
    assert_eq!(audit.as_array().map(Vec::len), Some(0), "{audit}");
    for path in ["/style.css", "/healthz", "/metrics"] {
        assert_eq!(http::get(address(node), path).unwrap().0, 200, "{path}");
    }
}

#[test]
fn staff_log_in_and_out_in_their_browser() {
    let Some(browser) = or_skip(Browser::start(Scripts::Off)) else {
        return;
    };
    let (_primary, cluster) = start();
    browser.open(&format!("http://{}/queue", address(&cluster.nodes[0])));
    assert_eq!(browser.text("h1").as_deref(), Some("Log in"));
    assert!(browser.nameless().is_empty() && browser.faint_texts().is_empty());
    browser.write("input[name=name]", "operator");
    browser.write("input[name=password]", "wrong horse");
    browser.press("Log in");
    let told = browser.text("[role=alert]").unwrap_or_default();
    assert!(told.contains("There is no such user"), "{told}");
    browser.write("input[name=name]", "operator");
    browser.write("input[name=password]", "correct horse");
    browser.press("Log in");
    let told = browser.text("main").unwrap_or_default();
    assert!(told.contains("You have logged in as operator."), "{told}");
    browser.press("Try all mail now");
    let told = browser.text("[role=status]").unwrap_or_default();
    assert!(told.contains("The queue is being tried now"), "{told}");
    browser.press("Log out");
    assert_eq!(browser.text("h1").as_deref(), Some("Log in"));
}

#[test]
fn layoverd_makes_of_a_password_what_the_node_file_has_of_it() {
    let made = |password: &str| {
        let mut child = Command::new(binaries::layoverd())
            .arg("password")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said.trim().to_owned(), complaint)
    };
    let (code, kept, complaint) = made("staple of batteries");
    assert_eq!(code, Some(0), "{complaint}");
    let user =
        format!("user = [{{ name = \"ann\", password = \"{kept}\", roles = [\"viewer\"] }}]");
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let cluster = Cluster::start(1, &Settings::for_primary(nowhere).with("http", &user));
    let tried = try_to_log_in(&cluster.nodes[0], "ann", "staple+of+batteries");
    assert_eq!(tried.0, 303, "{}", tried.1);
    let (code, said, complaint) = made("short");
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(complaint.contains("choose a longer one"), "{complaint}");
}
