//! Passwords of those who log in to the page: none is kept, only what argon2id (RFC 9106) makes of it.

use std::{
    fmt,
    io::{self, BufRead as _, IsTerminal as _},
    process::ExitCode,
};

use anyhow::Context as _;
use argon2::{
    Algorithm, Argon2, Params,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use serde::Deserialize;

/// Shorter ones are guessed.
const CHARS_MIN: usize = 8;

/// Memory that one login takes at most, in KiB: this machine has mail to do.
const MEMORY_KIB_MAX: u32 = 256 * 1024;

/// Passes over that memory, at most.
const PASSES_MAX: u32 = 16;

/// What is kept of a password: `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Password(PasswordHash);

/// Why a text is not what is kept of a password. The text itself is not repeated: it may be the password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    /// It is something else.
    #[error(
        "this is not what argon2id makes of a password; `layoverd password` asks for one and prints \
         \"$argon2id$v=19$m=19456,...\", which belongs here"
    )]
    Form,
    /// A login would be a burden.
    #[error(
        "this takes more than {} MiB of memory or {PASSES_MAX} passes a login; make it anew with `layoverd password`",
        MEMORY_KIB_MAX / 1024
    )]
    Cost,
    /// It would be guessed.
    #[error("a password has {CHARS_MIN} characters or more; choose a longer one")]
    Short,
}

impl Password {
    /// What is to be kept of these words.
    ///
    /// # Errors
    /// They are too short.
    fn of(words: &str) -> Result<Self, PasswordError> {
        if words.chars().count() < CHARS_MIN {
            return Err(PasswordError::Short);
        }
        let salt: [u8; 16] = rand::random();
        let made = Argon2::default().hash_password_with_salt(words.as_bytes(), &salt);
        made.map(Self).map_err(|_| PasswordError::Form)
    }

    /// Whether these words are the password; takes a while, in which it holds a processor and its memory.
    pub(crate) fn is(&self, words: &str) -> bool {
        let verified = Argon2::default().verify_password(words.as_bytes(), &self.0);
        verified.is_ok()
    }
}

impl TryFrom<String> for Password {
    type Error = PasswordError;

    fn try_from(text: String) -> Result<Self, PasswordError> {
        let kept = PasswordHash::new(&text).map_err(|_| PasswordError::Form)?;
        let params = Params::try_from(&kept).map_err(|_| PasswordError::Form)?;
        let is_whole = kept.salt.is_some() && kept.hash.is_some();
        if !is_whole || kept.algorithm != Algorithm::Argon2id.ident() {
            return Err(PasswordError::Form);
        }
        if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
            return Err(PasswordError::Cost);
        }
        Ok(Self(kept))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// `layoverd password`: reads one from standard input, and prints what the node file has of it.
pub(crate) fn make() -> anyhow::Result<ExitCode> {
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        eprint!(
            "Password (shown as you type; `systemd-ask-password | layoverd password` hides it): "
        );
    }
    let mut line = String::new();
    input
        .read_line(&mut line)
        .context("reading a password from standard input failed")?;
    let words = line.trim_end_matches(['\n', '\r']);
    println!("{}", Password::of(words)?.0);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "correct horse", by Debian's `argon2 saltsaltsaltsalt -id -m 6 -t 1 -p 1 -e`.
    const HORSE: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI";

    fn kept(text: &str) -> Result<Password, PasswordError> {
        Password::try_from(text.to_owned())
    }

    #[test]
    fn a_password_is_known_by_what_is_kept_of_it() {
        let made = Password::of("correct horse").unwrap();
        let read = kept(&made.0.to_string()).unwrap();
        assert!(read.is("correct horse"));
        for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!read.is(wrong), "{wrong:?}");
        }
        assert_ne!(made, Password::of("correct horse").unwrap(), "salted");
        assert!(kept(HORSE).unwrap().is("correct horse"));
    }

    #[test]
    fn nothing_is_shown_of_it() {
        assert_eq!(format!("{:?}", kept(HORSE)), "Ok(Password(..))");
    }

    #[test]
    fn what_is_no_password_or_costs_too_much_is_refused() {
        assert_eq!(Password::of("1234567"), Err(PasswordError::Short));
        for (text, error) in [
            ("", PasswordError::Form),
            ("correct horse", PasswordError::Form),
            (
                "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
                PasswordError::Form,
            ),
            ("$argon2id$v=19$m=64,t=1,p=1", PasswordError::Form),
            (&HORSE.replace("argon2id", "argon2i"), PasswordError::Form),
            (&HORSE.replace("m=64", "m=1048576"), PasswordError::Cost),
            (&HORSE.replace("t=1", "t=100"), PasswordError::Cost),
        ] {
            assert_eq!(kept(text), Err(error), "{text}");
        }
    }
}
