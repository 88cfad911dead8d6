//! Which changes may be made, judged from what the leader knows. No socket, no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Change, Refused};
use crate::limits;

/// The cluster, as its leader knows it.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Who leads.
    pub(super) leader: u64,
    /// Whether no change of members is under way: the last one is committed, and is no joint one.
    pub(super) settled: bool,
    pub(super) members: BTreeMap<u64, Seen>,
    /// Who was a member once.
    pub(super) retired: BTreeSet<u64>,
}

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) address: String,
    pub(super) voter: bool,
    /// Since it last answered the leader.
    pub(super) silent: Duration,
    /// Whether it said, when it was asked, that it does not vote yet.
    pub(super) withholds_vote: bool,
    /// How many entries it lacks; `None` while it is not known to have any.
    pub(super) lag: Option<u64>,
}

impl Seen {
    fn answers(&self) -> bool {
        self.silent < limits::QUORUM_SILENCE_MAX
    }

    /// `lacks 12 log entries`.
    fn how_far(&self) -> String {
        match self.lag {
            _ if !self.answers() => "does not answer".to_owned(),
            Some(lag) => format!("lacks {lag} log entries"),
            None => "has not told yet how far its log is".to_owned(),
        }
    }

    /// Whether it could vote or lead without holding anyone up.
    fn keeps_up(&self) -> bool {
        self.answers() && self.lag.is_some_and(|lag| lag <= limits::KEEPS_UP_LAG_MAX)
    }
}

/// What the leader does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: it is so already.
    Nothing,
    /// Greet the node at its address, then add it as a learner.
    AddLearner,
    /// Greet the node at its new address, then note the address.
    SetAddress,
    RemoveLearner,
    RemoveVoter,
    /// Hand leadership over to this voter.
    HandOver(u64),
}

pub(super) fn step(picture: &Picture, change: &Change) -> Result<Step, Refused> {
    match change {
        Change::Add { id, address, blank } => add(picture, *id, address, *blank),
        Change::Remove { id } => remove(picture, *id),
        Change::Transfer { to } => transfer(picture, *to),
        Change::Move { id, address } => set_address(picture, *id, address),
    }
}

/// The members that a change hangs on, and their addresses: the voters that would be left, or the one that is to lead.
pub(super) fn hangs_on(picture: &Picture, change: &Change) -> Vec<(u64, String)> {
    let voters = picture.members.iter().filter(|(id, seen)| {
        let counts = match change {
            Change::Remove { id: removed } => *id != removed,
            Change::Transfer { to } => *id == to,
            Change::Add { .. } | Change::Move { .. } => false,
        };
        counts && seen.voter && **id != picture.leader
    });
    voters
        .map(|(id, seen)| (*id, seen.address.clone()))
        .collect()
}

/// The learner that may become a voter now, as far as its log goes. It must also say that it would
/// vote: one that is rebuilt waits for a leader, and as a voter may be who the leader waits for.
pub(super) fn grown_up(picture: &Picture) -> Option<u64> {
    let mut members = picture.members.iter();
    let (id, _) = members.find(|(_, seen)| !seen.voter && seen.keeps_up())?;
    picture.settled.then_some(*id)
}

fn for_good<T>(why: String) -> Result<T, Refused> {
    Err(Refused {
        why,
        for_good: true,
    })
}

fn refused<T>(why: String) -> Result<T, Refused> {
    Err(Refused {
        why,
        for_good: false,
    })
}

fn add(picture: &Picture, id: u64, address: &str, blank: bool) -> Result<Step, Refused> {
    if picture.retired.contains(&id) {
        return for_good(format!(
            "node {id} was removed from this cluster, and an id is never used again; \
             give the new node another id"
        ));
    }
    if let Some(seen) = picture.members.get(&id) {
        if seen.address != address {
            return for_good(format!(
                "node {id} is a member already, at {}; another node needs another id",
                seen.address
            ));
        }
        if blank && (seen.voter || seen.lag.is_some()) {
            return for_good(format!(
                "node {id} is a member already, but the one that asks has an empty data directory: \
                 what it knew is lost; give it a new id, and then remove node {id}"
            ));
        }
        return Ok(Step::Nothing);
    }
    address_is_free(picture, id, address)?;
    nothing_under_way(picture)?;
    Ok(Step::AddLearner)
}

fn remove(picture: &Picture, id: u64) -> Result<Step, Refused> {
    let Some(seen) = picture.members.get(&id) else {
        if picture.retired.contains(&id) {
            return Ok(Step::Nothing);
        }
        return refused(format!(
            "node {id} is no member; `layover cluster status` shows who is"
        ));
    };
    if !seen.voter {
        is_settled(picture)?;
        return Ok(Step::RemoveLearner);
    }
    let rest: Vec<(&u64, &Seen)> = picture
        .members
        .iter()
        .filter(|(other, seen)| **other != id && seen.voter)
        .collect();
    if rest.is_empty() {
        return refused(format!(
            "node {id} is the last voter, and without it there is no cluster; \
             to give the cluster up, stop the node"
        ));
    }
    nothing_under_way(picture)?;
    let (there, away): (Vec<_>, Vec<_>) = rest.iter().partition(|(_, seen)| seen.answers());
    if there.len() * 2 <= rest.len() {
        return refused(format!(
            "without node {id} there would be no quorum: of the {} voters left, {} not answer; \
             start {} first, or remove a node that is down instead",
            rest.len(),
            named(&away, "does", "do"),
            if away.len() == 1 { "it" } else { "them" }
        ));
    }
    if id != picture.leader {
        return Ok(Step::RemoveVoter);
    }
    let heir = rest
        .iter()
        .filter(|(_, seen)| seen.keeps_up() && !seen.withholds_vote)
        .min_by_key(|(_, seen)| seen.lag);
    match heir {
        Some((heir, _)) => Ok(Step::HandOver(**heir)),
        None => refused(format!(
            "node {id} leads, and no other voter could instead: none of them has caught up and votes; \
             try again when one does"
        )),
    }
}

/// `nodes 2 and 3 do`.
fn named(nodes: &[(&u64, &Seen)], one: &str, many: &str) -> String {
    let ids: Vec<String> = nodes.iter().map(|(id, _)| id.to_string()).collect();
    match ids.as_slice() {
        [id] => format!("node {id} {one}"),
        ids => format!("nodes {} {many}", ids.join(" and ")),
    }
}

fn transfer(picture: &Picture, to: u64) -> Result<Step, Refused> {
    if to == picture.leader {
        return Ok(Step::Nothing);
    }
    let Some(seen) = picture.members.get(&to) else {
        return refused(format!(
            "node {to} is no member; `layover cluster status` shows who is"
        ));
    };
    if !seen.voter {
        return refused(format!(
            "node {to} is a learner and can not lead; wait until it is a voter"
        ));
    }
    if !seen.answers() {
        return refused(format!(
            "node {to} does not answer and can not lead; start it first, or choose another"
        ));
    }
    if seen.withholds_vote {
        return refused(format!(
            "node {to} was started a moment ago, or is being rebuilt, and does not vote yet; \
             try again in a moment, or choose another"
        ));
    }
    if !seen.keeps_up() {
        return refused(format!(
            "node {to} {}; wait until it has caught up, or choose another",
            seen.how_far()
        ));
    }
    is_settled(picture)?;
    Ok(Step::HandOver(to))
}

fn set_address(picture: &Picture, id: u64, address: &str) -> Result<Step, Refused> {
    match picture.members.get(&id) {
        None => refused(format!("node {id} is no member")),
        Some(seen) if seen.address == address => Ok(Step::Nothing),
        Some(_) => {
            address_is_free(picture, id, address)?;
            is_settled(picture)?;
            Ok(Step::SetAddress)
        }
    }
}

fn address_is_free(picture: &Picture, id: u64, address: &str) -> Result<(), Refused> {
    let mut others = picture.members.iter().filter(|(other, _)| **other != id);
    match others.find(|(_, seen)| seen.address == address) {
        Some((other, _)) => for_good(format!(
            "{address} is the address of node {other}; every node has its own"
        )),
        None => Ok(()),
    }
}

fn is_settled(picture: &Picture) -> Result<(), Refused> {
    if picture.settled {
        return Ok(());
    }
    refused("another change of members is under way; try again in a moment".to_owned())
}

/// One change at a time, and a node that is being added is one until it votes.
fn nothing_under_way(picture: &Picture) -> Result<(), Refused> {
    is_settled(picture)?;
    let Some((id, seen)) = picture.members.iter().find(|(_, seen)| !seen.voter) else {
        return Ok(());
    };
    refused(format!(
        "node {id} is being added and {}; \
         wait until it is a voter, or give it up with `layover cluster remove {id}`",
        seen.how_far()
    ))
}

#[cfg(test)]
mod tests;
