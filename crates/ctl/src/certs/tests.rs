use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn later(days: i64) -> Timestamp {
    Timestamp::from_millisecond(now().as_millisecond() + days * DAY_MS).unwrap()
}

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("certs").join(name)
    }

    fn try_make(&self, names: &[&str], renew: bool, now: Timestamp) -> Result<Made, String> {
        let certs = Certs {
            dir: self.path(""),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            renew,
        };
        make_in(&certs, now).map_err(|error| format!("{error:#}"))
    }

    fn make(&self, names: &[&str]) -> Made {
        self.try_make(names, false, now()).unwrap()
    }

    fn refusal(&self, names: &[&str]) -> String {
        let before = self.contents();
        let said = self.try_make(names, false, now()).unwrap_err();
        assert_eq!(self.contents(), before, "a refusal changed something");
        assert!(!said.contains('\n'), "{said}");
        said
    }

    /// Every file with what is in it.
    fn contents(&self) -> Vec<(PathBuf, String)> {
        let entries = fs::read_dir(self.path("")).into_iter().flatten();
        let mut all: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect();
        all.sort();
        all
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    /// Whether other nodes would take what is there.
    fn serves(&self, name: &str, now: Timestamp) -> Result<(), String> {
        let (cert, key) = pair_files(&self.path(""), name);
        let ca = self.path("ca.pem");
        MutualTls::for_peer(MutualFiles { ca, cert, key }, name, unix(now))
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

fn states(made: &Made) -> Vec<(&str, State)> {
    [&made.ca]
        .into_iter()
        .chain(&made.certificates)
        .map(|pair| (pair.name.as_str(), pair.state))
        .collect()
}

#[test]
fn an_authority_and_a_certificate_for_each_name_are_made() {
    let scene = Scene::new();
    let made = scene.make(&["mx1.internal", "10.0.0.2", "2001:db8::3"]);
    assert_eq!(
        states(&made),
        [
            ("ca", State::Made),
            ("10.0.0.2", State::Made),
            ("2001:db8::3", State::Made),
            ("mx1.internal", State::Made),
        ]
    );
    for name in ["mx1.internal", "10.0.0.2", "2001:db8::3"] {
        assert_eq!(scene.serves(name, now()), Ok(()));
        assert_eq!(scene.mode(&format!("{name}.key")), 0o600);
    }
    assert_eq!(scene.mode("ca.key"), 0o600);
    // Nothing is left over from writing.
    assert_eq!(scene.contents().len(), 8);
}

#[test]
fn certificates_are_valid_from_yesterday_for_two_years_and_the_authority_for_ten() {
    let scene = Scene::new();
    let made = scene.make(&["mx1"]);
    assert_eq!(day(made.ca.not_after_ms), "2036-11-24");
    assert_eq!(day(made.certificates[0].not_after_ms), "2028-11-24");
    for days in [0, -1, 365, 730] {
        assert_eq!(scene.serves("mx1", later(days)), Ok(()), "{days}");
    }
    for days in [-2, 732] {
        assert!(scene.serves("mx1", later(days)).is_err(), "{days}");
    }
    // None outlives the authority.
    let nine_years = later(9 * 366);
    let made = scene.try_make(&["mx2"], false, nine_years).unwrap();
    assert_eq!(day(made.certificates[0].not_after_ms), "2036-11-24");
    let said = scene.try_make(&["mx3"], false, later(11 * 366));
    assert!(said.unwrap_err().contains("ca.pem ended on 2036-11-24"));
}

#[test]
fn a_second_run_uses_the_authority_and_leaves_alone_what_is_there() {
    let scene = Scene::new();
    scene.make(&["mx1", "mx2"]);
    let before = scene.contents();
    let made = scene.make(&["mx2", "mx3", "mx3"]);
    assert_eq!(
        states(&made),
        [
            ("ca", State::Kept),
            ("mx2", State::Kept),
            ("mx3", State::Made)
        ]
    );
    let after = scene.contents();
    assert!(before.iter().all(|file| after.contains(file)));
    for name in ["mx1", "mx2", "mx3"] {
        assert_eq!(scene.serves(name, now()), Ok(()));
    }
}

#[test]
fn a_renewed_certificate_is_another_one_for_the_same_key() {
    let scene = Scene::new();
    scene.make(&["mx1"]);
    let read = |name: &str| fs::read_to_string(scene.path(name)).unwrap();
    let (cert, key) = (read("mx1.pem"), read("mx1.key"));
    let much_later = later(725);
    let made = scene.try_make(&["mx1"], true, much_later).unwrap();
    assert_eq!(states(&made)[1], ("mx1", State::Renewed));
    assert_eq!(read("mx1.key"), key);
    assert_ne!(read("mx1.pem"), cert);
    assert_eq!(scene.serves("mx1", later(1400)), Ok(()));
    let serial = |pem: &str| {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        pem.parse_x509().unwrap().raw_serial().to_vec()
    };
    assert_ne!(serial(&read("mx1.pem")), serial(&cert));
}

#[test]
fn what_an_interrupted_run_left_is_finished() {
    let scene = Scene::new();
    scene.make(&["mx1"]);
    for name in ["ca.pem", "mx1.pem"] {
        fs::remove_file(scene.path(name)).unwrap();
    }
    let key = fs::read(scene.path("mx1.key")).unwrap();
    let made = scene.make(&["mx1"]);
    assert_eq!(states(&made), [("ca", State::Made), ("mx1", State::Made)]);
    assert_eq!(fs::read(scene.path("mx1.key")).unwrap(), key);
    assert_eq!(scene.serves("mx1", now()), Ok(()));
}

#[test]
fn nothing_is_changed_when_what_is_there_does_not_fit() {
    let scene = Scene::new();
    scene.make(&["mx1"]);
    let key = fs::read(scene.path("mx1.key")).unwrap();
    fs::remove_file(scene.path("mx1.key")).unwrap();
    let said = scene.refusal(&["mx0", "mx1"]);
    assert!(said.contains("mx1.pem is there without"), "{said}");
    fs::write(scene.path("mx1.key"), "nothing").unwrap();
    let said = scene.refusal(&["mx1"]);
    assert!(said.contains("mx1.key holds no private key"), "{said}");
    assert!(said.contains("--renew"), "{said}");
    fs::write(scene.path("mx1.key"), key).unwrap();

    let other = Scene::new();
    other.make(&["mx1"]);
    fs::copy(other.path("ca.key"), scene.path("ca.key")).unwrap();
    let said = scene.refusal(&["mx2"]);
    assert!(said.contains("does not belong to any certificate in"));
    fs::copy(other.path("ca.pem"), scene.path("ca.pem")).unwrap();
    let said = scene.refusal(&["mx1"]);
    assert!(said.contains("is not accepted under"), "{said}");
    fs::remove_file(scene.path("ca.key")).unwrap();
    let said = scene.refusal(&["mx2"]);
    assert!(said.contains("ca.pem is there without"), "{said}");
}

#[test]
fn the_authority_of_the_key_is_found_among_several() {
    let (old, new) = (Scene::new(), Scene::new());
    old.make(&["mx1"]);
    new.make(&["mx1"]);
    let read = |scene: &Scene| fs::read_to_string(scene.path("ca.pem")).unwrap();
    let both = read(&old) + &read(&new);
    fs::write(new.path("ca.pem"), both).unwrap();
    new.make(&["mx2"]);
    assert_eq!(new.serves("mx2", now()), Ok(()));
    fs::write(new.path("ca.pem"), read(&old)).unwrap();
    assert!(new.serves("mx2", now()).is_err());
}

#[test]
fn a_directory_that_can_not_be_made_is_named() {
    let scene = Scene::new();
    fs::write(scene.folder.path().join("certs"), "a file").unwrap();
    let said = scene.try_make(&["mx1"], false, now()).unwrap_err();
    assert!(said.contains("making ") && said.contains("certs"), "{said}");
}
