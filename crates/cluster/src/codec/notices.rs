//! What senders are owed, and that they are told.

use api::spool::v1 as pb;
use spool::{Delay, Notify, Timestamp, notice::Kind};

use super::{
    CodecError,
    accept::{accept_from, accept_to},
    required,
    values::{id_from, id_to},
};

pub(super) const fn kind_to(kind: Option<Kind>) -> pb::NoticeKind {
    match kind {
        None => pb::NoticeKind::Unspecified,
        Some(Kind::Failed) => pb::NoticeKind::Failed,
        Some(Kind::Delayed) => pb::NoticeKind::Delayed,
        Some(Kind::Relayed) => pb::NoticeKind::Relayed,
    }
}

pub(super) const fn kind_from(kind: pb::NoticeKind) -> Option<Kind> {
    match kind {
        pb::NoticeKind::Unspecified => None,
        pb::NoticeKind::Failed => Some(Kind::Failed),
        pb::NoticeKind::Delayed => Some(Kind::Delayed),
        pb::NoticeKind::Relayed => Some(Kind::Relayed),
    }
}

pub(super) fn notify_to(notify: Notify) -> pb::Notify {
    pb::Notify {
        id: Some(id_to(notify.id)),
        kind: kind_to(Some(notify.kind)).into(),
        recipients: notify.recipients,
        at_ms: notify.at.0,
        report: Some(accept_to(*notify.report)),
    }
}

pub(super) fn notify_from(notify: pb::Notify) -> Result<Notify, CodecError> {
    let kind = kind_from(notify.kind());
    Ok(Notify {
        id: id_from(notify.id)?,
        kind: required(kind, "kind of a notice")?,
        recipients: notify.recipients,
        at: Timestamp(notify.at_ms),
        report: Box::new(accept_from(required(notify.report, "report")?)?),
    })
}

pub(super) fn delay_to(delay: Delay) -> pb::Delay {
    pb::Delay {
        at_ms: delay.at.0,
        sequences: delay.sequences,
    }
}

pub(super) fn delay_from(delay: pb::Delay) -> Delay {
    Delay {
        at: Timestamp(delay.at_ms),
        sequences: delay.sequences,
    }
}
