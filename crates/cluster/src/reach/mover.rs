//! Decides, on the leader, whether another node should lead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use api::peer::v1::ReachRequest;
use futures::future::join_all;
use spool::{Clock, Destination, Policy, Timestamp};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Findings;
use crate::{
    limits,
    membership::{Change, Changer, Tried},
    peer::Peers,
    raft::{self, Raft},
    status::Leadership,
    store::{GROUP, Tables},
};

/// What decides.
pub(crate) struct Mover {
    pub(crate) node_id: u64,
    pub(crate) findings: Arc<Findings>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) raft: Raft,
    pub(crate) peers: Peers,
    pub(crate) changer: Changer,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) clock: Clock,
}

/// What depends on who leads.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stake {
    /// Domains that have mail and whose primaries this node does not reach.
    lost: BTreeSet<String>,
    /// How many others have mail that is on its way from here.
    kept: usize,
}

impl Mover {
    /// Looks every now and then, until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = interval(limits::REACH_LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if self.leadership.borrow().leading {
                stop.run_until_cancelled(self.look()).await;
            }
        }
    }

    async fn look(&self) {
        let now = Instant::now();
        let unreached = self.findings.steady(false, now);
        if unreached.is_empty() || !self.findings.may_move(now) {
            return;
        }
        let stake = {
            let figures = self.tables.figures();
            let Some(policy) = &figures.policy else {
                return;
            };
            let at = self.clock.now();
            stake(&policy.policy, &figures.destinations, &unreached, at)
        };
        if stake.lost.is_empty() {
            return;
        }
        let reached = self.ask_all(false).await;
        if let Some(to) = placed_better(&stake, &reached) {
            self.hand_over(to, &stake).await;
        }
    }

    async fn hand_over(&self, to: u64, stake: &Stake) {
        tracing::warn!(
            to, unreached = ?stake.lost,
            "another node reaches primaries that this one does not: it is to lead"
        );
        // All are to know before it happens, so that whoever leads then does not move it back at once.
        self.ask_all(true).await;
        let tried = self.changer.change_here(&Change::Transfer { to }).await;
        let rest = if matches!(tried, Tried::Done(_)) {
            limits::MOVE_REST
        } else {
            tracing::warn!(to, ?tried, "it does not lead yet");
            limits::MOVE_RETRY
        };
        self.findings.rest(Instant::now(), rest);
    }

    /// Which primaries each of the other voters reaches, as far as they answer. `moves`: they are told that
    /// leadership is about to be moved.
    async fn ask_all(&self, moves: bool) -> BTreeMap<u64, BTreeSet<String>> {
        let membership = raft::metrics(&self.raft).membership_config;
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let others = membership
            .nodes()
            .filter(|(id, _)| **id != self.node_id && voters.contains(id));
        let asked = others.map(|(id, member)| self.ask(*id, &member.address, moves));
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn ask(&self, id: u64, address: &str, moves: bool) -> Option<(u64, BTreeSet<String>)> {
        let mut client = self.peers.client(address, Some(id)).ok()?;
        let group = GROUP;
        let asked = client.reach(ReachRequest { group, moves });
        let answer = timeout(limits::PEER_REPLY_TIMEOUT, asked)
            .await
            .ok()?
            .ok()?;
        Some((id, answer.into_inner().reached.into_iter().collect()))
    }
}

/// What depends on who leads: only domains that are delivered without anybody's doing. One that is up and has mail
/// waiting is being drained, and it is not known who else reaches its primary.
fn stake(
    policy: &Policy,
    destinations: &BTreeMap<String, Destination>,
    unreached: &[String],
    at: Timestamp,
) -> Stake {
    let mut stake = Stake::default();
    for (name, destination) in destinations {
        if policy.domain(name).is_none() || !is_delivered(destination, at) {
            continue;
        }
        if !destination.is_down() {
            stake.kept += usize::from(destination.totals.waiting > 0);
        } else if destination.totals.undelivered() > 0 && unreached.contains(name) {
            stake.lost.insert(name.clone());
        }
    }
    stake
}

/// Whether nobody keeps a domain's mail back.
pub(crate) fn is_delivered(destination: &Destination, at: Timestamp) -> bool {
    destination.pause_at(at).is_none() && destination.held_back().is_none()
}

/// The node that reaches most of what is lost here, if that is more than would be given up.
fn placed_better(stake: &Stake, reached: &BTreeMap<u64, BTreeSet<String>>) -> Option<u64> {
    let gains = reached
        .iter()
        .map(|(id, reached)| (reached.intersection(&stake.lost).count(), *id));
    // Of several the first, so that all leaders would choose the same.
    let best = gains.min_by_key(|(gain, id)| (usize::MAX - gain, *id))?;
    (best.0 > stake.kept).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use spool::{Pause, Reachability, Totals};

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn with_mail(reachability: Reachability) -> Destination {
        Destination {
            reachability,
            totals: Totals {
                waiting: 1,
                ..Totals::default()
            },
            ..Destination::default()
        }
    }

    fn down() -> Destination {
        with_mail(Reachability::Down("no route to host".to_owned()))
    }

    #[test]
    fn at_stake_is_what_has_mail_and_is_not_kept_back() {
        let text = |name| format!("[[domain]]\nname = \"{name}\"\nprimary = [\"x\"]\n");
        let policy = ["down", "empty", "far", "idle", "paused", "up"].map(text);
        let policy = Policy::parse(&policy.concat()).unwrap();
        let empty = Destination {
            totals: Totals::default(),
            ..down()
        };
        let paused = Destination {
            paused: Some(Box::new(Pause {
                since: Timestamp(1),
                until: None,
                by: String::new(),
                reason: String::new(),
            })),
            ..down()
        };
        let destinations = [
            ("down", down()),
            ("empty", empty),
            // This node has not found out for long enough.
            ("far", down()),
            ("idle", Destination::default()),
            ("left the policy", down()),
            ("paused", paused),
            ("up", with_mail(Reachability::Up)),
        ];
        let destinations = destinations.map(|(name, known)| (name.to_owned(), known));
        let unreached = ["down", "empty", "left the policy", "paused"].map(str::to_owned);
        let found = stake(&policy, &destinations.into(), &unreached, Timestamp(5));
        let expected = Stake {
            lost: names(&["down"]),
            kept: 1,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn whoever_reaches_most_leads_if_that_is_more_than_is_given_up() {
        let mut stake = Stake {
            lost: names(&["a", "b", "c"]),
            kept: 0,
        };
        let reached = |each: &[(u64, &[&str])]| -> BTreeMap<u64, BTreeSet<String>> {
            each.iter().map(|(id, list)| (*id, names(list))).collect()
        };
        assert_eq!(placed_better(&stake, &reached(&[])), None);
        assert_eq!(
            placed_better(&stake, &reached(&[(2, &[]), (3, &["x"])])),
            None
        );
        let both = reached(&[(2, &["a"]), (3, &["b", "c", "x"])]);
        assert_eq!(placed_better(&stake, &both), Some(3));
        let same = reached(&[(2, &["a"]), (3, &["b"])]);
        assert_eq!(placed_better(&stake, &same), Some(2));
        stake.kept = 1;
        assert_eq!(placed_better(&stake, &same), None);
        assert_eq!(placed_better(&stake, &both), Some(3));
        stake.kept = 2;
        assert_eq!(placed_better(&stake, &both), None);
    }
}
