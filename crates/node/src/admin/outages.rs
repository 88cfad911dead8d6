//! The outages of domains: those that last, and those that are over.

use api::admin::v1::{Outage, OutageListRequest, OutageListResponse};
use spool::Timestamp;
use tonic::Status;

use super::{AdminService, recipients, refused};
use crate::lookback::{Drain, Ending};

/// Outages that are told when nobody says how many.
const LISTED_DEFAULT: usize = 100;

/// Outages that are told at most.
const LISTED_MAX: usize = 10_000;

/// A time in which none of a domain's mail could leave: outages that overlap are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    since: Timestamp,
    /// `None` while it lasts.
    until: Option<Timestamp>,
    /// When the one of its outages began that ended last.
    last_since: Timestamp,
}

impl AdminService {
    /// The latest ones, by their beginnings.
    pub(super) async fn outages(
        &self,
        request: OutageListRequest,
    ) -> Result<OutageListResponse, Status> {
        let wanted = request.domain.map(|name| name.to_ascii_lowercase());
        if let Some(name) = &wanted {
            recipients::policy_beside(&self.cluster, name)?;
        }
        let now = self.clock.now();
        let mut outages = Vec::new();
        for (domain, destination) in self.cluster.destinations() {
            if wanted.as_ref().is_some_and(|wanted| *wanted != domain) {
                continue;
            }
            let ended = self.cluster.outages(&domain).await.map_err(refused)?;
            let ended = ended.into_iter().map(|one| (one.since, Some(one.until)));
            let lasting = destination.outages_at(now).map(|one| (one.since, None));
            let waiting = destination.totals.waiting + destination.totals.deferred;
            for stretch in stretches(ended.chain(lasting).collect()) {
                let ending = self.lookback.ending(&domain, stretch.last_since);
                outages.push(outage(&domain, stretch, waiting, ending));
            }
        }
        outages.sort_by(|a, b| (b.since_ms, &a.domain).cmp(&(a.since_ms, &b.domain)));
        let limit = usize::try_from(request.limit).unwrap_or(LISTED_MAX);
        outages.truncate(match limit {
            0 => LISTED_DEFAULT,
            limit => limit.min(LISTED_MAX),
        });
        Ok(OutageListResponse {
            now_ms: now.0,
            seen_since_ms: self.lookback.begun_at().0,
            outages,
        })
    }
}

/// Outages, by beginning and end, as times apart from each other.
fn stretches(mut outages: Vec<(Timestamp, Option<Timestamp>)>) -> Vec<Stretch> {
    outages.sort_unstable();
    let mut apart: Vec<Stretch> = Vec::with_capacity(outages.len());
    for (since, until) in outages {
        match apart.last_mut() {
            Some(last) if last.until.is_none_or(|end| since <= end) => {
                let is_longer = |end: Timestamp| until.is_none_or(|until| until > end);
                if last.until.is_some_and(is_longer) {
                    last.until = until;
                    last.last_since = since;
                }
            }
            _ => apart.push(Stretch {
                since,
                until,
                last_since: since,
            }),
        }
    }
    apart
}

fn outage(domain: &str, stretch: Stretch, waiting: u64, ending: Option<Ending>) -> Outage {
    let ending = ending.filter(|_| stretch.until.is_some());
    let drain = ending.map(|ending| ending.drain);
    Outage {
        domain: domain.to_owned(),
        since_ms: stretch.since.0,
        until_ms: stretch.until.map(|until| until.0),
        messages: match stretch.until {
            None => Some(waiting),
            Some(_) => ending.map(|ending| ending.waited),
        },
        drain_ms: match drain {
            Some(Drain::Took(ms)) => Some(ms),
            _ => None,
        },
        is_draining: drain == Some(Drain::Lasts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_that_overlap_are_one() {
        let at = |(since, until): (u64, Option<u64>)| (Timestamp(since), until.map(Timestamp));
        let outages = [
            (10, Some(50)),
            (20, Some(60)),
            (30, Some(40)),
            (70, Some(80)),
            (80, None),
            (90, Some(95)),
        ];
        let told = stretches(outages.map(at).to_vec()).into_iter();
        let told: Vec<(u64, Option<u64>, u64)> = told
            .map(|one| {
                (
                    one.since.0,
                    one.until.map(|until| until.0),
                    one.last_since.0,
                )
            })
            .collect();
        assert_eq!(told, [(10, Some(60), 20), (70, None, 80)]);
    }
}
