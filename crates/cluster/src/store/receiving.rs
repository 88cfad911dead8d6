//! Whose snapshot is received: there is one place on the disk for it.
//!
//! A leader sends one at a time to a node, so whoever begins has given up what it was sending before;
//! and once there is a newer leader, nobody waits for what an earlier one was sending.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::raft::Vote;

/// Hands out the place for a snapshot that is received.
#[derive(Debug, Default)]
pub(crate) struct Receiving {
    place: Arc<tokio::sync::Mutex<()>>,
    latest: Mutex<Option<Latest>>,
}

/// Who asked for the place last.
#[derive(Debug)]
struct Latest {
    vote: Vote,
    superseded: CancellationToken,
}

/// The right to receive a snapshot, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _held: OwnedMutexGuard<()>,
    superseded: CancellationToken,
}

impl Place {
    /// Is cancelled when another transfer wants the place: this one is to end.
    pub(crate) fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }
}

impl Receiving {
    /// The place, for the leader with this vote, once whoever has it has let go of it. They are told
    /// to.
    ///
    /// # Errors
    /// A later leader has asked for it, before or meanwhile.
    pub(crate) async fn take_over(&self, vote: Vote) -> io::Result<Place> {
        let superseded = self.supersede(vote).ok_or_else(refused)?;
        let held = Arc::clone(&self.place).lock_owned();
        let held = superseded.run_until_cancelled(held).await;
        Ok(Place {
            _held: held.ok_or_else(refused)?,
            superseded,
        })
    }

    fn supersede(&self, vote: Vote) -> Option<CancellationToken> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(latest) = latest.as_ref() {
            if vote < latest.vote {
                return None;
            }
            latest.superseded.cancel();
        }
        let superseded = CancellationToken::new();
        *latest = Some(Latest {
            vote,
            superseded: superseded.clone(),
        });
        Some(superseded)
    }

    /// The place, if nobody has it, for somebody who gives way to no one.
    pub(super) fn if_free(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.place).try_lock_owned().ok()
    }
}

fn refused() -> io::Error {
    io::Error::new(
        io::ErrorKind::WouldBlock,
        "a snapshot of a later leader is being received",
    )
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};
    use tokio::pin;

    use super::*;

    fn vote(term: u64) -> Vote {
        Vote::new_committed(term, term % 3)
    }

    #[tokio::test]
    async fn a_later_leader_and_the_same_one_again_take_the_place_over() {
        let receiving = Receiving::default();
        let mut held = receiving.take_over(vote(4)).await.unwrap();
        for term in [4, 5] {
            let next = receiving.take_over(vote(term));
            pin!(next);
            assert!(poll!(&mut next).is_pending(), "there is one place");
            assert!(held.superseded().is_cancelled());
            drop(held);
            held = next.await.unwrap();
            assert!(!held.superseded().is_cancelled());
        }
    }

    #[tokio::test]
    async fn an_earlier_leader_is_refused_and_disturbs_nobody() {
        let receiving = Receiving::default();
        let held = receiving.take_over(vote(5)).await.unwrap();
        assert!(receiving.take_over(vote(4)).await.is_err());
        assert!(!held.superseded().is_cancelled());
        drop(held);
        assert!(receiving.take_over(vote(4)).await.is_err());
    }

    #[tokio::test]
    async fn who_waits_gives_way_too() {
        let receiving = Receiving::default();
        let held = receiving.take_over(vote(4)).await.unwrap();
        let waits = receiving.take_over(vote(5));
        pin!(waits);
        assert!(poll!(&mut waits).is_pending());
        let later = receiving.take_over(vote(6));
        pin!(later);
        assert!(poll!(&mut later).is_pending());
        assert!(waits.await.is_err());
        drop(held);
        assert!(later.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn somebody_who_gives_way_to_no_one_waits_for_no_one() {
        let receiving = Receiving::default();
        let held = receiving.take_over(vote(4)).await.unwrap();
        assert!(receiving.if_free().is_none());
        drop(held);
        assert!(receiving.if_free().is_some());
    }
}
