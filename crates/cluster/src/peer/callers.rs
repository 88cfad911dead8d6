//! Whether a caller is the node that it says it is.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use openraft::async_runtime::watch::WatchReceiver as _;
use tls::{CertificateDer, Unnamed};
use tonic::Status;

use crate::{
    config::{Config, Founding},
    limits,
    raft::RaftMetricsWatch,
};

/// Holds callers to their certificates. Any node of the authority may connect; it may speak for
/// itself only.
pub(crate) struct Callers {
    members: RaftMetricsWatch,
    founding: Founding,
    /// Who was refused, with the names it showed: said once.
    refused: Mutex<HashSet<(u64, String)>>,
}

impl Callers {
    /// For a node that has certificates.
    pub(crate) fn of(config: &Config, members: RaftMetricsWatch) -> Option<Self> {
        let has_certificates = config.tls.is_some();
        has_certificates.then(|| Self::new(members, config.founding.clone()))
    }

    fn new(members: RaftMetricsWatch, founding: Founding) -> Self {
        Self {
            members,
            founding,
            refused: Mutex::default(),
        }
    }

    /// Refuses a call in the name of node `from` when the certificate does not name that node's
    /// host. `says` is the address that the caller gives for itself: it counts only for a node that
    /// this one has not heard of, which may be about to join, or may lead already while this node is
    /// behind. Cheap enough for every call: a certificate is parsed in microseconds, and append
    /// streams are checked once.
    pub(super) fn check(
        &self,
        from: u64,
        says: Option<&str>,
        certificates: &[CertificateDer<'_>],
    ) -> Result<(), Status> {
        let Some(certificate) = certificates.first() else {
            return Err(Status::unauthenticated("a node must show a certificate"));
        };
        let known = self.address_of(from);
        let Some(address) = known.as_deref().or(says) else {
            return Err(Status::permission_denied(format!(
                "node {from} is no member of this cluster, and does not say its address"
            )));
        };
        tls::verify_name(certificate, tls::host_of(address))
            .map_err(|unnamed| self.refuse(from, unnamed))
    }

    /// By the members as this node knows them; before there are any, by the founders.
    fn address_of(&self, id: u64) -> Option<String> {
        let metrics = self.members.borrow_watched();
        let members = &metrics.membership_config;
        if let Some(member) = members.get_node(&id) {
            return Some(member.address.clone());
        }
        if members.nodes().next().is_some() {
            return None;
        }
        self.founding.address_of(id).map(str::to_owned)
    }

    fn refuse(&self, from: u64, unnamed: Unnamed) -> Status {
        let Unnamed { names, host } = unnamed;
        let status = Status::permission_denied(format!(
            "the certificate names {names}, but node {from} is {host}; \
             give that node a certificate that names {host}"
        ));
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < limits::REFUSED_CALLERS_MAX && refused.insert((from, names.clone())) {
            tracing::warn!(
                from,
                names,
                expected = host,
                "refused a peer: its certificate names another node; \
                 give the node one that names it ([cluster] tls_cert)"
            );
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use openraft::type_config::TypeConfigExt as _;
    use tonic::Code;

    use super::*;
    use crate::raft::{Member, Membership, RaftMetrics, StoredMembership, Types};

    /// Founded by nodes 1 and 2; the members, if there are any, are 1 and 3.
    fn callers(founded: bool) -> Callers {
        let mut metrics = RaftMetrics::new_initial(1);
        if founded {
            let member = |host: &str| Member {
                address: format!("{host}:7400"),
            };
            let nodes: BTreeMap<u64, Member> =
                [(1, member("new1.internal")), (3, member("[2001:db8::3]"))].into();
            let voters = vec![nodes.keys().copied().collect()];
            let membership = Membership::new(voters, nodes).unwrap();
            metrics.membership_config = Arc::new(StoredMembership::new(None, membership));
        }
        let (_, members) = Types::watch_channel(metrics);
        let founders = vec![
            (1, "mx1.internal:7400".to_owned()),
            (2, "10.0.0.2:7400".to_owned()),
        ];
        Callers::new(members, Founding::Members(founders))
    }

    fn certificate(name: &str) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        made.cert.der().clone()
    }

    fn passes(callers: &Callers, from: u64, says: Option<&str>, name: &str) -> bool {
        let said = callers.check(from, says, &[certificate(name)]);
        if let Err(status) = &said {
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        }
        said.is_ok()
    }

    #[test]
    fn before_there_are_members_the_founders_count() {
        let callers = callers(false);
        assert!(passes(&callers, 1, None, "mx1.internal"));
        assert!(passes(&callers, 2, None, "10.0.0.2"));
        assert!(!passes(&callers, 2, None, "mx1.internal"));
        assert!(!passes(&callers, 1, None, "new1.internal"));
    }

    #[test]
    fn members_count_and_no_longer_the_founders() {
        let callers = callers(true);
        assert!(passes(&callers, 1, None, "new1.internal"));
        assert!(passes(&callers, 3, None, "2001:db8::3"));
        assert!(!passes(&callers, 1, None, "mx1.internal"));
        assert!(!passes(&callers, 2, None, "10.0.0.2"));
    }

    #[test]
    fn an_unknown_node_is_held_to_the_address_that_it_gives() {
        let callers = callers(true);
        let says = Some("mx4.internal:7400");
        assert!(passes(&callers, 4, says, "mx4.internal"));
        assert!(!passes(&callers, 4, says, "new1.internal"));
        assert!(!passes(&callers, 4, None, "mx4.internal"));
        // Of a member it does not count.
        assert!(!passes(&callers, 1, says, "mx4.internal"));
    }

    #[test]
    fn a_refusal_says_what_the_certificate_names_and_what_it_should() {
        let callers = callers(true);
        let said = callers
            .check(1, None, &[certificate("mx9.internal")])
            .unwrap_err();
        assert_eq!(
            said.message(),
            "the certificate names mx9.internal, but node 1 is new1.internal; \
             give that node a certificate that names new1.internal"
        );
        let said = callers.check(1, None, &[]).unwrap_err();
        assert_eq!(said.code(), Code::Unauthenticated);
    }
}
