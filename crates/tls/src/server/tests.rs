use std::{fs, time::Duration};

use super::*;

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        files.issue();
        files
    }

    fn issue(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["mx.example.net".to_owned()]).unwrap();
        fs::write(self.cert(), made.cert.pem()).unwrap();
        fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn complaint(&self) -> String {
        ServerTls::load(&self.cert(), &self.key())
            .unwrap_err()
            .to_string()
    }
}

#[test]
fn a_certificate_and_its_key_load_and_tell_when_they_expire() {
    let files = Files::new();
    let tls = ServerTls::load(&files.cert(), &files.key()).unwrap();
    assert!(tls.not_after() > NOW);
}

#[test]
fn reloading_exchanges_the_certificate_and_failing_to_keeps_it() {
    let files = Files::new();
    let tls = ServerTls::load(&files.cert(), &files.key()).unwrap();
    let first = tls.config();
    files.issue();
    tls.reload(NOW).unwrap();
    let second = tls.config();
    assert!(!Arc::ptr_eq(&first, &second));
    fs::write(files.key(), "").unwrap();
    assert!(tls.reload(NOW).is_err());
    assert!(Arc::ptr_eq(&second, &tls.config()));
}

#[test]
fn every_complaint_names_the_file_and_the_cause_in_one_line() {
    let files = Files::new();
    let other = Files::new();
    fs::copy(other.key(), files.key()).unwrap();
    assert!(
        files.complaint().contains("does not belong to"),
        "{}",
        files.complaint()
    );
    fs::write(files.key(), "nothing here").unwrap();
    assert!(
        files.complaint().contains("key.pem holds no private key"),
        "{}",
        files.complaint()
    );
    fs::remove_file(files.key()).unwrap();
    assert!(
        files.complaint().starts_with("cannot read "),
        "{}",
        files.complaint()
    );
    fs::write(files.cert(), "nothing here").unwrap();
    assert!(
        files.complaint().contains("cert.pem holds no certificate"),
        "{}",
        files.complaint()
    );
    fs::write(
        files.cert(),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    assert!(
        files.complaint().contains("is malformed"),
        "{}",
        files.complaint()
    );
    assert!(!files.complaint().contains('\n'));
}
