//! Who has logged in, and is still here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::{config::Role, page::rights::Person};

/// A working day, after which one logs in again.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// When there are as many, the oldest makes room.
const SESSIONS_MAX: usize = 1000;

/// All sessions, by the digest of what the browser's cookie says. A digest tells nobody who measures how long it is
/// looked for how much of a guess was right.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Debug)]
struct Session {
    person: Person,
    begun: Instant,
}

impl Sessions {
    /// Begins one; returns what its cookie says.
    pub(super) fn begin(&self, name: Arc<str>, roles: Arc<[Role]>, now: Instant) -> String {
        let (cookie, token) = (secret(), Arc::from(secret()));
        let session = Session {
            person: Person::named(name, roles, token),
            begun: now,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.lasts(now));
        if all.len() >= SESSIONS_MAX {
            let oldest = all.iter().min_by_key(|(_, session)| session.begun);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                all.remove(&oldest);
            }
        }
        all.insert(digest(&cookie), session);
        cookie
    }

    /// Whose this cookie is; `None` where his session is over, or there was none.
    pub(super) fn person(&self, cookie: &str, now: Instant) -> Option<Person> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = all.get(&digest(cookie));
        let lasting = session.filter(|session| session.lasts(now));
        lasting.map(|session| session.person.clone())
    }

    /// Ends one.
    pub(super) fn end(&self, cookie: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&digest(cookie));
    }
}

impl Session {
    fn lasts(&self, now: Instant) -> bool {
        now.duration_since(self.begun) < LIFETIME
    }
}

/// What nobody guesses: 256 bits.
pub(super) fn secret() -> String {
    let [high, low]: [u128; 2] = rand::random();
    format!("{high:032x}{low:032x}")
}

fn digest(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(sessions: &Sessions, name: &str, now: Instant) -> String {
        sessions.begin(name.into(), Arc::from([Role::Viewer]), now)
    }

    fn name(sessions: &Sessions, cookie: &str, now: Instant) -> Option<String> {
        let person = sessions.person(cookie, now);
        person.and_then(|person| Some(person.name?.to_string()))
    }

    #[test]
    fn a_session_lasts_until_it_is_ended_or_the_day_is_over() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (ann, bob) = (begin(&sessions, "ann", now), begin(&sessions, "bob", now));
        assert_eq!(name(&sessions, &ann, now).as_deref(), Some("ann"));
        assert_eq!(name(&sessions, &bob, now).as_deref(), Some("bob"));
        assert_eq!(name(&sessions, "", now), None);
        assert_eq!(name(&sessions, &ann[1..], now), None);
        sessions.end(&ann);
        assert_eq!(name(&sessions, &ann, now), None);
        let evening = now + LIFETIME;
        assert_eq!(name(&sessions, &bob, evening), None);
    }

    #[test]
    fn each_has_a_token_of_his_own() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let token = |cookie: &str| sessions.person(cookie, now).unwrap().token;
        let (ann, bob) = (begin(&sessions, "ann", now), begin(&sessions, "bob", now));
        assert_ne!(token(&ann), token(&bob));
        assert_ne!(*token(&ann), *ann);
    }

    #[test]
    fn there_are_not_more_than_so_many() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let later = |count: usize| now + Duration::from_secs(u64::try_from(count).unwrap());
        let all: Vec<String> = (0..=SESSIONS_MAX)
            .map(|count| begin(&sessions, "ann", later(count)))
            .collect();
        let end = later(SESSIONS_MAX);
        assert_eq!(name(&sessions, &all[0], end), None, "the oldest");
        assert!(name(&sessions, &all[1], end).is_some());
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS_MAX);
    }
}
