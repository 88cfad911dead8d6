//! How each domain stands, and what does not go on by itself.

use std::collections::BTreeMap;

use api::admin::v1::DomainStatus;
use spool::{Course, alarm, notice};
use tonic::Status;

use super::{AdminService, answer, delivery, recipients, refused};

impl AdminService {
    /// What does not go on without a person, by the state that all nodes share.
    pub(super) fn alarms(&self) -> Vec<spool::Alarm> {
        let policy = self.cluster.policy();
        let is_known = |name: &str| {
            policy
                .as_ref()
                .is_some_and(|now| now.domain(name).is_some())
        };
        let destinations = self.cluster.destinations();
        let alarms = destinations
            .iter()
            .filter(|(name, _)| is_known(name))
            .flat_map(|(name, destination)| alarm::of_destination(name, destination));
        alarms.collect()
    }

    /// Every domain of the policy, and what is left of others.
    pub(super) async fn domains(
        &self,
        courses: &BTreeMap<String, Course>,
    ) -> Result<Vec<DomainStatus>, Status> {
        let policy = self.cluster.policy();
        let mut destinations = self.cluster.destinations();
        let mut domains = Vec::with_capacity(destinations.len());
        for domain in policy.iter().flat_map(|policy| policy.queues()) {
            let course = courses.get(&domain.name);
            let now = self.clock.now();
            let place = destinations
                .iter()
                .position(|(name, _)| *name == domain.name);
            let destination = place
                .map(|at| destinations.remove(at).1)
                .unwrap_or_default();
            domains.push(DomainStatus {
                in_policy: true,
                recipients: recipients::roster(domain, &destination, now),
                condition: delivery::condition(&destination, course, now).to_owned(),
                delivery: course.map(|course| delivery::delivery(&destination, course, now)),
                quota: answer::quota(domain.quota, &destination),
                ..answer::domain(
                    domain.name.clone(),
                    domain.primary.clone(),
                    &destination,
                    now,
                )
            });
        }
        // What left the policy may still have messages. Reports wait without a smarthost, too.
        let left = destinations.into_iter();
        let left = left.filter(|(_, destination)| !destination.totals.is_empty());
        domains.extend(left.map(|(name, destination)| DomainStatus {
            in_policy: name == notice::QUEUE,
            ..answer::domain(name, Vec::new(), &destination, self.clock.now())
        }));
        for domain in &mut domains {
            let oldest = self.cluster.oldest(&domain.name).await.map_err(refused)?;
            domain.oldest_ms = oldest.map(|at| at.0);
            domain.expiring = self.cluster.expiring(&domain.name).map(answer::expiring);
        }
        Ok(domains)
    }
}
