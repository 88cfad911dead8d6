//! What was found out about a message's origin.

use api::spool::v1::{self as pb, authentication as kind};
use spool::{Authentication, Finding, authentication::Signature};

use super::{CodecError, required};

pub(super) fn authentication_to(authentication: Authentication) -> pb::Authentication {
    let signature = |signature: Signature| kind::Signature {
        domain: signature.domain,
        finding: finding_to(signature.finding),
    };
    pb::Authentication {
        spf: finding_to(authentication.spf),
        spf_helo: finding_to(authentication.spf_helo),
        dkim: authentication.dkim.into_iter().map(signature).collect(),
        dmarc: finding_to(authentication.dmarc),
        from_domain: authentication.from_domain,
    }
}

pub(super) fn authentication_from(
    authentication: pb::Authentication,
) -> Result<Authentication, CodecError> {
    let signature = |signature: kind::Signature| {
        Ok(Signature {
            finding: finding_from(signature.finding)?,
            domain: signature.domain,
        })
    };
    let dkim = authentication.dkim.into_iter().map(signature);
    Ok(Authentication {
        spf: finding_from(authentication.spf)?,
        spf_helo: finding_from(authentication.spf_helo)?,
        dkim: dkim.collect::<Result<_, CodecError>>()?,
        dmarc: finding_from(authentication.dmarc)?,
        from_domain: authentication.from_domain,
    })
}

fn finding_to(finding: Finding) -> i32 {
    let finding = match finding {
        Finding::None => kind::Finding::None,
        Finding::Pass => kind::Finding::Pass,
        Finding::Fail => kind::Finding::Fail,
        Finding::SoftFail => kind::Finding::Softfail,
        Finding::Neutral => kind::Finding::Neutral,
        Finding::Policy => kind::Finding::Policy,
        Finding::TempError => kind::Finding::Temperror,
        Finding::PermError => kind::Finding::Permerror,
    };
    finding.into()
}

fn finding_from(finding: i32) -> Result<Finding, CodecError> {
    let finding = kind::Finding::try_from(finding).ok();
    Ok(match required(finding, "result of an authentication")? {
        kind::Finding::None => Finding::None,
        kind::Finding::Pass => Finding::Pass,
        kind::Finding::Fail => Finding::Fail,
        kind::Finding::Softfail => Finding::SoftFail,
        kind::Finding::Neutral => Finding::Neutral,
        kind::Finding::Policy => Finding::Policy,
        kind::Finding::Temperror => Finding::TempError,
        kind::Finding::Permerror => Finding::PermError,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_comes_back() {
        for finding in Finding::ALL {
            let authentication = Authentication {
                spf: finding,
                spf_helo: Finding::None,
                dkim: vec![Signature {
                    domain: "sender.example".into(),
                    finding,
                }],
                dmarc: finding,
                from_domain: "sender.example".into(),
            };
            let stored = authentication_to(authentication.clone());
            assert_eq!(authentication_from(stored).unwrap(), authentication);
        }
    }

    #[test]
    fn a_finding_of_a_newer_version_is_not_taken_for_another() {
        let stored = pb::Authentication {
            dmarc: 99,
            ..pb::Authentication::default()
        };
        assert!(authentication_from(stored).is_err());
    }
}
