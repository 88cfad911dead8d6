//! Whether SPF or DKIM speak for the domain that people see, that of From (RFC 9989, which succeeds
//! RFC 7489). To which domain a name belongs is found out by a walk up the DNS, without a list of
//! public suffixes.

use mail_auth::{
    AuthenticatedMessage, DkimOutput, DmarcResult, MessageAuthenticator,
    dmarc::{Policy, verify::DmarcParameters},
};
use spool::Finding;
use tokio::time::{Instant, timeout_at};

use super::{
    findings::{Dmarc, plain_domain},
    spf::{Claim, Spf},
};

/// Asks the DNS. A message whose From names several domains, or none, is none of DMARC's business
/// (section 4.3.2 there).
pub(super) async fn check(
    authenticator: &MessageAuthenticator,
    message: &AuthenticatedMessage<'_>,
    dkim: &[DkimOutput<'_>],
    (claim, spf): (&Claim, &Spf),
    deadline: Instant,
) -> Dmarc {
    let parameters = DmarcParameters::new(message, dkim, claim.domain(), &spf.sender);
    let Ok(output) = timeout_at(deadline, authenticator.verify_dmarc(parameters)).await else {
        return Dmarc {
            finding: Finding::TempError,
            domain: domain_of(message),
            policy: None,
        };
    };
    let finding = match output.result() {
        DmarcResult::Pass => Finding::Pass,
        DmarcResult::Fail(_) => Finding::Fail,
        DmarcResult::TempError(_) => Finding::TempError,
        DmarcResult::PermError(_) => Finding::PermError,
        DmarcResult::None => Finding::None,
    };
    let policy = output.dmarc_record().map(|_| match output.policy() {
        Policy::Reject => "reject",
        Policy::Quarantine => "quarantine",
        Policy::None | Policy::Unspecified => "none",
    });
    Dmarc {
        finding,
        domain: plain_domain(output.domain()).unwrap_or_default(),
        policy,
    }
}

/// The domain of From; empty unless there is exactly one.
fn domain_of(message: &AuthenticatedMessage<'_>) -> String {
    let domains = message.from.iter();
    let mut domains = domains.filter_map(|address| plain_domain(address.rsplit_once('@')?.1));
    let first = domains.next().unwrap_or_default();
    if domains.all(|domain| domain == first) {
        first
    } else {
        String::new()
    }
}
