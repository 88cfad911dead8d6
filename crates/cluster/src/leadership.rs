//! Who leads and whether a quorum is there, watched all the time.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use openraft::{Instant as _, ServerState, async_runtime::watch::WatchReceiver as _};
use tokio::{sync::watch, time::interval};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::Failure,
    limits,
    metrics::Metrics,
    raft::{LogId, RaftMetrics, RaftMetricsWatch},
    signals::Signals,
    status::Leadership,
    store::Tables,
};

/// What it watches.
pub(crate) struct Sources {
    pub(crate) raft: RaftMetricsWatch,
    /// When a leader was last heard from.
    pub(crate) heard: watch::Receiver<Option<Instant>>,
    /// The version of the policy in force as the leader told it last; 0 when it could not.
    pub(crate) policy_in_force: watch::Receiver<u64>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Watches until stopped, or until Raft itself has stopped.
pub(crate) async fn watch_leadership(
    mut sources: Sources,
    signals: Arc<Signals>,
    stop: CancellationToken,
) {
    let mut tick = interval(Duration::from_millis(limits::HEARTBEAT_MS));
    let mut standing = Standing::default();
    loop {
        let raft_ended = tokio::select! {
            changed = sources.raft.changed() => changed.is_err(),
            _ = tick.tick() => false,
            () = stop.cancelled() => return,
        };
        let state = sources.raft.borrow_watched().clone();
        if let Some(failure) = failure_of(&state, raft_ended) {
            if !stop.is_cancelled() {
                signals.fail(failure);
            }
            return;
        }
        tell(&sources, &signals, &state, &mut standing);
    }
}

/// Why consensus has ended, if it has. One that panicked says nothing more: its last word is that it runs.
fn failure_of(state: &RaftMetrics, ended: bool) -> Option<Failure> {
    match &state.running_state {
        Err(fatal) => Some(Failure::Consensus(fatal.to_string())),
        Ok(()) if ended => Some(Failure::ConsensusGone),
        Ok(()) => None,
    }
}

fn tell(sources: &Sources, signals: &Signals, state: &RaftMetrics, standing: &mut Standing) {
    let now = of(state);
    let changed = signals.leadership.send_if_modified(|before| {
        let changed = *before != now;
        if before.leader != now.leader && now.leader.is_some() {
            sources.metrics.raft_leader_changes.inc();
        }
        *before = now;
        changed
    });
    if changed {
        tracing::info!(
            term = now.term,
            leader = now.leader,
            leading = now.leading,
            "leadership"
        );
    }
    let accepts = *signals.accepting.borrow();
    let moment = Instant::now();
    // In this order: what was told is then no older than the sign.
    standing.note_sign(silence(sources, state), moment);
    let own = sources.tables.figures().policy_version();
    let told = match state.state {
        ServerState::Leader if now.leading => own,
        ServerState::Leader => 0,
        _ => *sources.policy_in_force.borrow(),
    };
    let keeps_up = standing.keeps_up(own, told, moment);
    let in_quorum = standing.is_in_quorum(moment);
    signals.in_quorum.store(in_quorum, Ordering::Relaxed);
    let in_quorum = in_quorum && is_voter(state);
    let accepting = in_quorum
        && (standing.has_policy_in_force(own, told) || (accepts && keeps_up))
        && signals.failed.borrow().is_none();
    let changed = signals.accepting.send_if_modified(|before| {
        let changed = *before != accepting;
        *before = accepting;
        changed
    });
    if changed && accepting {
        tracing::info!("a quorum is there; taking mail");
    } else if changed && in_quorum {
        let newest = standing.newest;
        tracing::warn!(
            own,
            newest,
            "this node may lack the policy in force; taking no mail until it has it"
        );
    } else if changed {
        tracing::warn!("no quorum; taking no mail until it is back");
    }
}

/// What a leader has seen its followers acknowledge, and what is on its own disk.
pub(crate) fn acknowledged(state: &RaftMetrics) -> impl Iterator<Item = (u64, LogId)> + '_ {
    let replication = state.replication.iter().flatten();
    replication.filter_map(|(member, matched)| Some((*member, (*matched)?)))
}

/// Whether this node is a quorum by itself: nobody acknowledges anything to it then.
pub(crate) fn is_sole_voter(state: &RaftMetrics) -> bool {
    state.membership_config.voter_ids().eq([state.id])
}

/// Who leads, by what consensus says of itself.
pub(crate) fn of(state: &RaftMetrics) -> Leadership {
    let leads = state.state == ServerState::Leader;
    // Until an entry of its own term is applied, a leader may not have applied all that earlier
    // ones had committed (Raft paper section 8).
    let caught_up = state
        .last_applied
        .is_some_and(|applied| applied.leader_id.term == state.current_term);
    Leadership {
        term: state.current_term,
        leader: state.current_leader,
        leading: leads && caught_up,
    }
}

/// How long ago there was a sign of the quorum; `None` when there never was. For a leader these are
/// its followers' acknowledgements, for anyone else its leader's appends, as far as the leader had
/// such a sign itself. While a new leader is elected, the signs of the last one count, so that an
/// election or a hand-over closes no port.
pub(crate) fn quorum_silence(heard: Option<Duration>, state: &RaftMetrics) -> Option<Duration> {
    if state.state != ServerState::Leader {
        heard
    } else if is_sole_voter(state) {
        Some(Duration::ZERO)
    } else {
        state
            .last_quorum_acked
            .map(|acked| acked.elapsed())
            .or(heard)
    }
}

/// How long ago there was a sign of the quorum.
fn silence(sources: &Sources, state: &RaftMetrics) -> Option<Duration> {
    let heard = sources.heard.borrow().map(|heard| heard.elapsed());
    quorum_silence(heard, state)
}

/// Whether this node takes part in decisions. A learner takes no mail: it may lack the policy that the
/// others go by.
fn is_voter(state: &RaftMetrics) -> bool {
    state.membership_config.voter_ids().any(|id| id == state.id)
}

/// How this node stands with the others: whether it sees a quorum, and has the policy that is in force
/// there. `own` is the version that it goes by; `told` the one that the leader goes by, 0 while that can not
/// say: a later one may be among the entries that it has yet to apply.
#[derive(Debug, Default)]
struct Standing {
    /// The latest version that any leader has told of. A leader that was deposed unawares may still tell of
    /// an earlier one.
    newest: u64,
    /// When there was a sign of the quorum last. One that a leader had still counts when it leads no more.
    sign: Option<Instant>,
    /// When there was one last that came with the word of a leader that this node had the policy in force.
    kept_up: Option<Instant>,
}

impl Standing {
    fn note_sign(&mut self, silence: Option<Duration>, now: Instant) {
        let sign = silence.and_then(|silence| now.checked_sub(silence));
        self.sign = self.sign.max(sign);
    }

    fn is_in_quorum(&self, now: Instant) -> bool {
        is_recent(self.sign, now)
    }

    /// Whether a node that takes mail may go on. It applies what the others have applied within a heartbeat or
    /// two. One that does not, as its disk stalls, is as good as cut off: a sign of the quorum is none that
    /// tells of a policy which it lacks, or of none at all.
    fn keeps_up(&mut self, own: u64, told: u64, now: Instant) -> bool {
        self.newest = self.newest.max(told);
        if self.has_policy_in_force(own, told) {
            self.kept_up = self.sign;
        }
        is_recent(self.kept_up, now)
    }

    /// Whether a node that takes no mail may begin. One that was down or cut off may have missed a change that
    /// was said to be in force everywhere; one that takes mail was asked whether it has it.
    const fn has_policy_in_force(&self, own: u64, told: u64) -> bool {
        told > 0 && own >= self.newest
    }
}

fn is_recent(sign: Option<Instant>, now: Instant) -> bool {
    let silence = sign.map(|sign| now.saturating_duration_since(sign));
    silence.is_some_and(|silence| silence < limits::QUORUM_SILENCE_MAX)
}

#[cfg(test)]
mod tests {
    use openraft::errors::Fatal;

    use super::*;

    const MOST: u64 = limits::QUORUM_SILENCE_MAX.as_secs() * 1000
        + limits::QUORUM_SILENCE_MAX.subsec_millis() as u64;

    fn at(ms: u64) -> Instant {
        static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *BEGIN + Duration::from_millis(ms)
    }

    /// There is a sign of the quorum, with the word of a leader.
    fn told(standing: &mut Standing, own: u64, told: u64, ms: u64) -> bool {
        standing.note_sign(Some(Duration::ZERO), at(ms));
        standing.keeps_up(own, told, at(ms))
    }

    #[test]
    fn a_policy_is_in_force_when_a_leader_tells_of_it_and_none_told_of_a_later_one() {
        let in_force = |own, last, newest| {
            let standing = Standing {
                newest,
                ..Standing::default()
            };
            standing.has_policy_in_force(own, last)
        };
        assert!(in_force(2, 2, 2));
        assert!(in_force(3, 2, 2), "applied since the leader told");
        assert!(!in_force(1, 2, 2));
        assert!(!in_force(1, 1, 2), "a leader that was deposed unawares");
        assert!(!in_force(1, 0, 0), "the leader does not know yet");
        assert!(!in_force(0, 0, 0), "there is none");
    }

    #[test]
    fn a_node_that_lacks_the_policy_for_as_long_as_one_that_is_cut_off_keeps_up_no_more() {
        let mut standing = Standing::default();
        let mut keeps_up = |own, word, ms| told(&mut standing, own, word, ms);
        assert!(keeps_up(1, 1, 0));
        assert!(keeps_up(1, 2, 100), "it is on its way");
        assert!(keeps_up(2, 2, 2 * MOST), "it has come");
        assert!(keeps_up(2, 3, 2 * MOST + 1));
        assert!(keeps_up(2, 0, 3 * MOST - 1), "another leader");
        assert!(
            !keeps_up(2, 0, 3 * MOST),
            "it does not say, and 3 was told of"
        );
        assert!(!keeps_up(2, 3, 4 * MOST));
        assert!(keeps_up(3, 3, 5 * MOST));
    }

    #[test]
    fn a_leader_that_can_not_say_which_policy_is_in_force_gives_no_time_for_it() {
        let mut standing = Standing::default();
        assert!(told(&mut standing, 1, 1, 0));
        // The next leader: the last one had adopted another policy, and died before this node heard of it.
        assert!(told(&mut standing, 1, 0, MOST - 1));
        assert!(!told(&mut standing, 1, 2, MOST));
        assert!(standing.is_in_quorum(at(MOST)));
        assert!(told(&mut standing, 2, 2, MOST + 1));
    }

    #[test]
    fn the_signs_that_a_leader_had_count_when_it_leads_no_more() {
        let mut standing = Standing::default();
        assert!(told(&mut standing, 1, 1, MOST));
        // It was led itself long before.
        let silence = Some(Duration::from_millis(MOST));
        standing.note_sign(silence, at(MOST + 1));
        assert!(standing.is_in_quorum(at(MOST + 1)));
        assert!(!standing.is_in_quorum(at(2 * MOST)));
    }

    #[test]
    fn consensus_that_is_gone_without_a_word_has_failed() {
        let mut state = RaftMetrics::new_initial(1);
        assert_eq!(failure_of(&state, false), None);
        assert_eq!(failure_of(&state, true), Some(Failure::ConsensusGone));
        state.running_state = Err(Fatal::Panicked);
        for ended in [false, true] {
            let failure = failure_of(&state, ended).unwrap().to_string();
            assert!(
                failure.starts_with("storage or consensus failed: "),
                "{failure}"
            );
        }
    }
}
