//! What operators do.

use api::spool::v1 as pb;
use spool::{Action, Audited, Handling, MessageId, Tally, Timestamp, Verb};

use super::{CodecError, id_from, id_to, required};

pub(super) fn action_to(action: Action) -> pb::Action {
    pb::Action {
        id: Some(id_to(MessageId(action.id))),
        at_ms: action.at.0,
        by: action.by,
        what: action.what,
        reason: action.reason,
    }
}

pub(super) fn action_from(action: Option<pb::Action>) -> Result<Action, CodecError> {
    let action = required(action, "operator's action")?;
    Ok(Action {
        id: id_from(action.id)?.0,
        at: Timestamp(action.at_ms),
        by: action.by,
        what: action.what,
        reason: action.reason,
    })
}

pub(super) fn handling_to(handling: Handling) -> pb::Handling {
    use pb::handling::Verb as Kind;
    let verb = match handling.verb {
        Verb::Hold => Kind::Hold,
        Verb::Release => Kind::Release,
        Verb::Delete => Kind::Delete,
        Verb::Retry => Kind::Retry,
        Verb::Bounce => Kind::Bounce,
    };
    pb::Handling {
        verb: verb.into(),
        action: Some(action_to(handling.action)),
        batch: handling.batch,
        ids: handling.ids.into_iter().map(id_to).collect(),
    }
}

pub(super) fn handling_from(handling: pb::Handling) -> Result<Handling, CodecError> {
    use pb::handling::Verb as Kind;
    let verb = match handling.verb() {
        Kind::Hold => Some(Verb::Hold),
        Kind::Release => Some(Verb::Release),
        Kind::Delete => Some(Verb::Delete),
        Kind::Retry => Some(Verb::Retry),
        Kind::Bounce => Some(Verb::Bounce),
        Kind::Unspecified => None,
    };
    let ids = handling.ids.into_iter().map(|id| id_from(Some(id)));
    Ok(Handling {
        verb: required(verb, "operator's verb")?,
        action: action_from(handling.action)?,
        batch: handling.batch,
        ids: ids.collect::<Result<_, _>>()?,
    })
}

pub(super) fn pausing_to(domain: String, until: Option<Timestamp>, action: Action) -> pb::Pausing {
    pb::Pausing {
        domain,
        until_ms: until.map(|until| until.0),
        action: Some(action_to(action)),
    }
}

pub(super) fn resuming_to(domain: String, action: Action) -> pb::Resuming {
    pb::Resuming {
        domain,
        action: Some(action_to(action)),
    }
}

pub(super) const fn tally_to(tally: Tally) -> pb::Tally {
    pb::Tally {
        changed: tally.changed,
        unaffected: tally.unaffected,
        held: tally.held,
        absent: tally.absent,
    }
}

pub(super) fn tally_from(tally: Option<pb::Tally>) -> Tally {
    let tally = tally.unwrap_or_default();
    Tally {
        changed: tally.changed,
        unaffected: tally.unaffected,
        held: tally.held,
        absent: tally.absent,
    }
}

pub(crate) fn audited_to(audited: Audited) -> pb::Audited {
    pb::Audited {
        action: Some(action_to(audited.action)),
        changed: audited.changed,
        batch: audited.batch,
        tally: Some(tally_to(audited.tally)),
    }
}

pub(crate) fn audited_from(stored: pb::Audited) -> Result<Audited, CodecError> {
    Ok(Audited {
        action: action_from(stored.action)?,
        changed: stored.changed,
        batch: stored.batch,
        tally: tally_from(stored.tally),
    })
}
