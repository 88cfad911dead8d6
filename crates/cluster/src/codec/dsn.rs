//! What a sender said about reports.

use api::spool::v1 as pb;
use smtp::dsn::{Notify, PerMessage, PerRecipient, Ret};

use super::{CodecError, required};

pub(super) fn per_message_to(dsn: PerMessage) -> Option<pb::DsnPerMessage> {
    use pb::dsn_per_message::Ret as Kind;
    if dsn == PerMessage::default() {
        return None;
    }
    let ret = match dsn.ret {
        None => Kind::Unsaid,
        Some(Ret::Full) => Kind::Full,
        Some(Ret::Headers) => Kind::Headers,
    };
    Some(pb::DsnPerMessage {
        ret: ret as i32,
        envid: dsn.envid.map(|envid| envid.as_str().to_owned()),
    })
}

pub(super) fn per_message_from(dsn: Option<pb::DsnPerMessage>) -> Result<PerMessage, CodecError> {
    use pb::dsn_per_message::Ret as Kind;
    let Some(dsn) = dsn else {
        return Ok(PerMessage::default());
    };
    let ret = match dsn.ret() {
        Kind::Unsaid => None,
        Kind::Full => Some(Ret::Full),
        Kind::Headers => Some(Ret::Headers),
    };
    let envid = dsn.envid.map(|envid| required(envid.parse().ok(), "ENVID"));
    Ok(PerMessage {
        ret,
        envid: envid.transpose()?,
    })
}

pub(super) fn per_recipient_to(dsn: PerRecipient) -> Option<pb::DsnPerRecipient> {
    if dsn == PerRecipient::default() {
        return None;
    }
    let notify = |notify: Notify| pb::dsn_per_recipient::Notify {
        success: notify.success,
        failure: notify.failure,
        delay: notify.delay,
    };
    Some(pb::DsnPerRecipient {
        notify: dsn.notify.map(notify),
        orcpt: dsn.orcpt.map(|orcpt| orcpt.as_str().to_owned()),
    })
}

pub(super) fn per_recipient_from(
    dsn: Option<pb::DsnPerRecipient>,
) -> Result<PerRecipient, CodecError> {
    let Some(dsn) = dsn else {
        return Ok(PerRecipient::default());
    };
    let notify = |notify: pb::dsn_per_recipient::Notify| Notify {
        success: notify.success,
        failure: notify.failure,
        delay: notify.delay,
    };
    let orcpt = dsn.orcpt.map(|orcpt| required(orcpt.parse().ok(), "ORCPT"));
    Ok(PerRecipient {
        notify: dsn.notify.map(notify),
        orcpt: orcpt.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back_and_what_was_not_takes_no_room() {
        let envid = Some("QQ+3D1".parse().unwrap());
        for ret in [None, Some(Ret::Full), Some(Ret::Headers)] {
            for envid in [None, envid.clone()] {
                let said = PerMessage { ret, envid };
                let stored = per_message_to(said.clone());
                assert_eq!(stored.is_none(), said == PerMessage::default());
                assert_eq!(per_message_from(stored).unwrap(), said);
            }
        }
        let orcpt = Some("rfc822;b+2Bc@example.com".parse().unwrap());
        let delay = Notify {
            delay: true,
            ..Notify::NEVER
        };
        for notify in [None, Some(Notify::NEVER), Some(delay)] {
            for orcpt in [None, orcpt.clone()] {
                let said = PerRecipient { notify, orcpt };
                let stored = per_recipient_to(said.clone());
                assert_eq!(stored.is_none(), said == PerRecipient::default());
                assert_eq!(per_recipient_from(stored).unwrap(), said);
            }
        }
    }

    #[test]
    fn what_nobody_can_have_said_is_damage() {
        let envid = Some("a b".to_owned());
        assert!(per_message_from(Some(pb::DsnPerMessage { ret: 0, envid })).is_err());
        let orcpt = Some("no type".to_owned());
        let notify = None;
        assert!(per_recipient_from(Some(pb::DsnPerRecipient { notify, orcpt })).is_err());
    }
}
