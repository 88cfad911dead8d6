//! Who leads and whether a quorum is there, watched all the time.

use std::{
    sync::Arc,
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
    status::Leadership,
    store::Tables,
    turn::Turns,
};

/// What the watch tells the rest of the node.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) accepting: watch::Sender<bool>,
    /// Whether this node's forwarder may run, and whether it does.
    pub(crate) turns: Turns,
    /// Why this node can not go on.
    pub(crate) failed: watch::Sender<Option<Failure>>,
}

impl Signals {
    /// Nobody leads, nothing is accepted, nothing has failed.
    pub(crate) fn new() -> Self {
        let nobody = Leadership {
            term: 0,
            leader: None,
            leading: false,
        };
        Self {
            leadership: watch::Sender::new(nobody),
            accepting: watch::Sender::new(false),
            turns: Turns::new(),
            failed: watch::Sender::new(None),
        }
    }

    /// Notes why this node can not go on, unless there is a reason already: what fails later fails for
    /// that.
    pub(crate) fn fail(&self, failure: Failure) {
        self.failed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
        self.accepting.send_replace(false);
    }
}

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
    // In this order: what was told is then no older than the sign.
    let silence = silence(sources, state);
    let told = *sources.policy_in_force.borrow();
    let own = sources.tables.figures().policy_version();
    let keeps_up = standing.keeps_up(own, told, silence, Instant::now());
    let accepting = is_in_quorum(silence, state)
        && (is_in_force(own, told, now.leading) || (accepts && keeps_up))
        && signals.failed.borrow().is_none();
    let changed = signals.accepting.send_if_modified(|before| {
        let changed = *before != accepting;
        *before = accepting;
        changed
    });
    if changed && accepting {
        tracing::info!("a quorum is there; taking mail");
    } else if changed && !keeps_up {
        tracing::warn!(
            own,
            told,
            "another policy is in force; taking no mail until it is applied here"
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

/// Whether this node sees a quorum and is part of it. A learner takes no mail: it may lack the
/// policy that the others go by.
fn is_in_quorum(silence: Option<Duration>, state: &RaftMetrics) -> bool {
    silence.is_some_and(|age| age < limits::QUORUM_SILENCE_MAX)
        && state.membership_config.voter_ids().any(|id| id == state.id)
}

/// Whether a node that takes mail keeps up with the policy in force. It applies what the others have
/// applied within a heartbeat or two. One that does not, as its disk stalls, is as good as cut off: a sign
/// of the quorum that tells of a policy which it lacks is none.
#[derive(Debug, Default)]
struct Standing {
    /// The latest version that any leader has told of.
    newest: u64,
    /// When there was a sign of the quorum last while this node had that version.
    last_sign: Option<Instant>,
}

impl Standing {
    fn keeps_up(&mut self, own: u64, told: u64, silence: Option<Duration>, now: Instant) -> bool {
        self.newest = self.newest.max(told);
        if own >= self.newest {
            self.last_sign = silence.and_then(|silence| now.checked_sub(silence));
            return true;
        }
        let silence = self.last_sign.map(|sign| now.duration_since(sign));
        silence.is_some_and(|silence| silence < limits::QUORUM_SILENCE_MAX)
    }
}

/// Whether a node that takes no mail may begin: whether it has the policy that the others go by. One that
/// was down or cut off may have missed a change that was said to be in force everywhere; one that takes mail
/// was asked whether it has it. `own` is this node's version, `told` what the leader told it last.
const fn is_in_force(own: u64, told: u64, leading: bool) -> bool {
    own > 0 && (leading || (told > 0 && own >= told))
}

#[cfg(test)]
mod tests {
    use openraft::errors::Fatal;

    use super::*;

    #[test]
    fn a_policy_is_in_force_when_a_leader_has_it_or_tells_of_it() {
        assert!(is_in_force(1, 0, true));
        assert!(is_in_force(2, 2, false));
        assert!(is_in_force(3, 2, false), "applied since the leader told");
        assert!(!is_in_force(1, 2, false));
        assert!(!is_in_force(1, 0, false), "the leader does not know yet");
        assert!(!is_in_force(0, 0, true), "there is none");
    }

    #[test]
    fn a_node_that_lacks_the_policy_for_as_long_as_one_that_is_cut_off_keeps_up_no_more() {
        let begin = Instant::now();
        let mut standing = Standing::default();
        let mut keeps_up = |own, told, ms| {
            let now = begin + Duration::from_millis(ms);
            standing.keeps_up(own, told, Some(Duration::ZERO), now)
        };
        let most = u64::try_from(limits::QUORUM_SILENCE_MAX.as_millis()).unwrap();
        assert!(keeps_up(1, 1, 0));
        assert!(keeps_up(1, 2, 100), "it is on its way");
        assert!(keeps_up(2, 2, 2 * most), "it has come");
        assert!(keeps_up(2, 3, 2 * most + 1));
        assert!(keeps_up(2, 0, 3 * most - 1), "another leader");
        assert!(
            !keeps_up(2, 0, 3 * most),
            "it does not say, and 3 was told of"
        );
        assert!(!keeps_up(2, 3, 4 * most));
        assert!(keeps_up(3, 3, 5 * most));
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
