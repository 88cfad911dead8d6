//! Commands.

#[cfg(test)]
mod tests;

use api::spool::v1 as pb;
use spool::{
    Attempt, Claims, Command, Reachability, Report, SeenStarttls, Stage, Timestamp, Verdict,
};

use super::{
    CodecError,
    accept::{accept_from, accept_to},
    alarm::{notice_from, notice_to},
    audit::{action_from, action_to, handling_from, handling_to, pausing_to, resuming_to},
    destination::{offers_from, offers_to},
    history::{expire_from, expire_to, lapse_from, lapse_to, replay_from, replay_to},
    notices::{delay_from, delay_to, notify_from, notify_to},
    policy::{adopt_from, adopt_to, found_from, found_to},
    recipients::{lessons_from, lessons_to},
    recovery::{recovery_from, recovery_to},
    required,
    sentry::{visits_from, visits_to},
    values::{id_from, id_to, ids_from, ids_to},
};

pub(crate) fn command_to(command: Command) -> pb::Command {
    use pb::command::Kind;
    let kind = match command {
        Command::Found {
            cluster,
            policy,
            at,
        } => Kind::Found(found_to(cluster, policy, at)),
        Command::Adopt(adopt) => Kind::Adopt(adopt_to(adopt)),
        Command::Stage(stage) => Kind::Stage(pb::Stage {
            id: Some(id_to(stage.id)),
            number: stage.number,
            at_ms: stage.at.0,
            piece: stage.piece,
        }),
        Command::Accept(accept) => Kind::Accept(accept_to(*accept)),
        Command::Discard { id } => Kind::Discard(pb::Discard {
            id: Some(id_to(id)),
        }),
        Command::Report(report) => Kind::Report(pb::Report {
            term: report.term,
            at_ms: report.at.0,
            attempts: report.attempts.into_iter().map(attempt_to).collect(),
        }),
        Command::Observe {
            domain,
            reachability,
            at,
        } => Kind::Observe(observe_to(domain, reachability, at)),
        Command::Recover(recovery) => Kind::Recover(recovery_to(recovery)),
        Command::NotePosted(notice) => Kind::NotePosted(notice_to(notice)),
        Command::Offers {
            domain,
            offers,
            policy_version,
            at,
        } => Kind::Offers(pb::Offers {
            domain,
            offers: Some(offers_to(offers)),
            at_ms: at.0,
            policy_version,
        }),
        Command::Starttls(seen) => Kind::Starttls(seen_starttls_to(seen)),
        Command::Flush { domain, at } => Kind::Flush(pb::Flush {
            domain,
            at_ms: at.0,
        }),
        Command::Confirm { ids } => Kind::Confirm(pb::Confirm { ids: ids_to(ids) }),
        Command::Claim(claims) => Kind::Claim(claims_to(claims)),
        Command::Release(claims) => Kind::Release(claims_to(claims)),
        Command::Visits(visits) => Kind::Visits(visits_to(visits)),
        Command::Learn(lessons) => Kind::Learn(lessons_to(lessons)),
        Command::Handle(handling) => Kind::Handle(handling_to(handling)),
        Command::Pause {
            domain,
            until,
            action,
        } => Kind::Pause(pausing_to(domain, until, action)),
        Command::Resume { domain, action } => Kind::Resume(resuming_to(domain, action)),
        Command::Note(action) => Kind::Note(action_to(action)),
        Command::Expire(expire) => Kind::Expire(expire_to(expire)),
        Command::Lapse(lapse) => Kind::Lapse(lapse_to(lapse)),
        Command::Delay(delay) => Kind::Delay(delay_to(delay)),
        Command::Notify(notify) => Kind::Notify(notify_to(notify)),
        Command::Relinquish { until } => Kind::Relinquish(pb::Relinquish { until_ms: until.0 }),
        Command::Replay(replay) => Kind::Replay(replay_to(replay)),
        Command::Sweep { at } => Kind::Sweep(pb::Sweep { at_ms: at.0 }),
    };
    pb::Command { kind: Some(kind) }
}

pub(crate) fn command_from(command: pb::Command) -> Result<Command, CodecError> {
    use pb::command::Kind;
    Ok(match required(command.kind, "command")? {
        Kind::Found(found) => {
            let cluster = id_from(found.cluster)?.0;
            let (policy, at) = found_from(found);
            Command::Found {
                cluster,
                policy,
                at,
            }
        }
        Kind::Adopt(adopt) => Command::Adopt(adopt_from(adopt)),
        Kind::Stage(stage) => Command::Stage(stage_from(stage)?),
        Kind::Accept(accept) => Command::Accept(Box::new(accept_from(accept)?)),
        Kind::Discard(discard) => Command::Discard {
            id: id_from(discard.id)?,
        },
        Kind::Report(report) => Command::Report(report_from(report)?),
        Kind::Observe(observe) => Command::Observe {
            domain: observe.domain,
            reachability: observe.down.map_or(Reachability::Up, Reachability::Down),
            at: Timestamp(observe.at_ms),
        },
        Kind::Recover(recovery) => Command::Recover(recovery_from(recovery)?),
        Kind::NotePosted(told) => Command::NotePosted(notice_from(told)),
        Kind::Offers(told) => Command::Offers {
            domain: told.domain,
            offers: offers_from(&required(told.offers, "primary's offers")?),
            policy_version: told.policy_version,
            at: Timestamp(told.at_ms),
        },
        Kind::Starttls(seen) => Command::Starttls(seen_starttls_from(seen)),
        Kind::Flush(flush) => Command::Flush {
            domain: flush.domain,
            at: Timestamp(flush.at_ms),
        },
        Kind::Confirm(confirm) => Command::Confirm {
            ids: ids_from(confirm.ids)?,
        },
        Kind::Claim(claims) => Command::Claim(claims_from(claims)),
        Kind::Release(claims) => Command::Release(claims_from(claims)),
        Kind::Visits(visits) => Command::Visits(visits_from(visits)?),
        Kind::Learn(lessons) => Command::Learn(lessons_from(lessons)?),
        Kind::Handle(handling) => Command::Handle(handling_from(handling)?),
        Kind::Pause(pausing) => Command::Pause {
            domain: pausing.domain,
            until: pausing.until_ms.map(Timestamp),
            action: action_from(pausing.action)?,
        },
        Kind::Resume(resuming) => Command::Resume {
            domain: resuming.domain,
            action: action_from(resuming.action)?,
        },
        Kind::Note(action) => Command::Note(action_from(Some(action))?),
        Kind::Expire(expire) => Command::Expire(expire_from(expire)),
        Kind::Lapse(lapse) => Command::Lapse(lapse_from(lapse)),
        Kind::Delay(delay) => Command::Delay(delay_from(delay)),
        Kind::Notify(notify) => Command::Notify(notify_from(notify)?),
        Kind::Relinquish(relinquish) => Command::Relinquish {
            until: Timestamp(relinquish.until_ms),
        },
        Kind::Replay(replay) => Command::Replay(replay_from(replay)?),
        Kind::Sweep(sweep) => Command::Sweep {
            at: Timestamp(sweep.at_ms),
        },
    })
}

fn stage_from(stage: pb::Stage) -> Result<Stage, CodecError> {
    Ok(Stage {
        id: id_from(stage.id)?,
        number: stage.number,
        at: Timestamp(stage.at_ms),
        piece: stage.piece,
    })
}

fn report_from(report: pb::Report) -> Result<Report, CodecError> {
    let attempts = report.attempts.into_iter().map(attempt_from);
    Ok(Report {
        term: report.term,
        at: Timestamp(report.at_ms),
        attempts: attempts.collect::<Result<_, _>>()?,
    })
}

fn seen_starttls_to(seen: SeenStarttls) -> pb::SeenStarttls {
    pb::SeenStarttls {
        domain: seen.domain,
        host: seen.host,
        is_offered: seen.is_offered,
        policy_version: seen.policy_version,
        at_ms: seen.at.0,
    }
}

fn seen_starttls_from(seen: pb::SeenStarttls) -> SeenStarttls {
    SeenStarttls {
        domain: seen.domain,
        host: seen.host,
        is_offered: seen.is_offered,
        policy_version: seen.policy_version,
        at: Timestamp(seen.at_ms),
    }
}

fn observe_to(domain: String, reachability: Reachability, at: Timestamp) -> pb::Observe {
    let down = match reachability {
        Reachability::Up => None,
        Reachability::Down(words) => Some(words),
    };
    pb::Observe {
        domain,
        down,
        at_ms: at.0,
    }
}

fn claims_to(claims: Claims) -> pb::Claims {
    pb::Claims {
        term: claims.term,
        domain: claims.domain,
        sequences: claims.sequences,
    }
}

fn claims_from(claims: pb::Claims) -> Claims {
    Claims {
        term: claims.term,
        domain: claims.domain,
        sequences: claims.sequences,
    }
}

fn attempt_to(attempt: Attempt) -> pb::Attempt {
    use pb::verdict::Kind;
    let verdict = |(recipient, verdict)| {
        let kind = match verdict {
            Verdict::Delivered(reply) => Kind::Delivered(reply),
            Verdict::Relayed(reply) => Kind::Relayed(reply),
            Verdict::Deferred(reason) => Kind::Deferred(reason),
            Verdict::Rejected(reply) => Kind::Rejected(reply),
        };
        pb::Verdict {
            recipient,
            kind: Some(kind),
        }
    };
    pb::Attempt {
        id: Some(id_to(attempt.id)),
        verdicts: attempt.verdicts.into_iter().map(verdict).collect(),
        host: attempt.host,
    }
}

fn attempt_from(attempt: pb::Attempt) -> Result<Attempt, CodecError> {
    use pb::verdict::Kind;
    let verdict = |verdict: pb::Verdict| {
        let kind = match required(verdict.kind, "verdict")? {
            Kind::Delivered(reply) => Verdict::Delivered(reply),
            Kind::Relayed(reply) => Verdict::Relayed(reply),
            Kind::Deferred(reason) => Verdict::Deferred(reason),
            Kind::Rejected(reply) => Verdict::Rejected(reply),
        };
        Ok((verdict.recipient, kind))
    };
    Ok(Attempt {
        id: id_from(attempt.id)?,
        host: attempt.host,
        verdicts: attempt
            .verdicts
            .into_iter()
            .map(verdict)
            .collect::<Result<_, CodecError>>()?,
    })
}
