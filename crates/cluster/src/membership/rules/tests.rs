use super::*;

const GONE: Duration = Duration::from_secs(60);

fn member(id: u64, voter: bool) -> (u64, Seen) {
    let seen = Seen {
        address: format!("mx{id}:7400"),
        voter,
        silent: Duration::ZERO,
        withholds_vote: false,
        lag: Some(0),
    };
    (id, seen)
}

/// Voters 1 to `count`, led by node 1, all of which answer.
fn voters(count: u64) -> Picture {
    Picture {
        leader: 1,
        settled: true,
        members: (1..=count).map(|id| member(id, true)).collect(),
        retired: BTreeSet::from([99]),
    }
}

fn with_learner(count: u64, lag: Option<u64>) -> Picture {
    let mut picture = voters(count);
    let (id, mut learner) = member(count + 1, false);
    learner.lag = lag;
    picture.members.insert(id, learner);
    picture
}

fn silence(picture: &mut Picture, id: u64) {
    picture.members.get_mut(&id).unwrap().silent = GONE;
}

fn adding(id: u64, address: &str) -> Change {
    Change::Add {
        id,
        address: address.to_owned(),
        blank: false,
    }
}

fn joining(id: u64, address: &str) -> Change {
    Change::Add {
        id,
        address: address.to_owned(),
        blank: true,
    }
}

#[track_caller]
fn refusal(picture: &Picture, change: &Change) -> Refused {
    step(picture, change).expect_err("it is refused")
}

/// The refusal holds the phrase, and is for good or not.
#[track_caller]
fn assert_refused(picture: &Picture, change: &Change, phrase: &str, for_good: bool) {
    let refused = refusal(picture, change);
    assert!(refused.why.contains(phrase), "{}", refused.why);
    assert_eq!(refused.for_good, for_good, "{}", refused.why);
}

#[test]
fn a_new_node_is_added_as_a_learner_by_either_way() {
    let picture = voters(3);
    for change in [adding(4, "mx4:7400"), joining(4, "mx4:7400")] {
        assert_eq!(step(&picture, &change), Ok(Step::AddLearner));
    }
}

#[test]
fn adding_a_member_again_changes_nothing() {
    assert_eq!(step(&voters(3), &adding(3, "mx3:7400")), Ok(Step::Nothing));
    let catching_up = with_learner(3, Some(5000));
    assert_eq!(
        step(&catching_up, &adding(4, "mx4:7400")),
        Ok(Step::Nothing)
    );
    // Its log is still empty, so it may well ask again.
    let just_added = with_learner(3, None);
    assert_eq!(
        step(&just_added, &joining(4, "mx4:7400")),
        Ok(Step::Nothing)
    );
}

#[test]
fn an_id_or_an_address_in_use_is_refused() {
    let picture = voters(3);
    assert_refused(
        &picture,
        &adding(3, "elsewhere:7400"),
        "already, at mx3:7400",
        true,
    );
    assert_refused(&picture, &adding(4, "mx3:7400"), "address of node 3", true);
}

#[test]
fn a_removed_id_is_never_used_again() {
    for change in [adding(99, "mx99:7400"), joining(99, "mx99:7400")] {
        assert_refused(&voters(3), &change, "never used again", true);
    }
}

#[test]
fn a_member_that_lost_its_disk_does_not_come_back_under_its_id() {
    assert_refused(&voters(3), &joining(3, "mx3:7400"), "a new id", true);
    let learner = with_learner(3, Some(10));
    assert_refused(&learner, &joining(4, "mx4:7400"), "a new id", true);
}

#[test]
fn one_change_at_a_time() {
    let learner = with_learner(3, Some(12_345));
    for change in [adding(5, "mx5:7400"), Change::Remove { id: 2 }] {
        assert_refused(&learner, &change, "lacks 12345 log entries", false);
    }
    let mut joint = voters(3);
    joint.settled = false;
    for change in [
        adding(4, "mx4:7400"),
        Change::Remove { id: 2 },
        Change::Transfer { to: 2 },
        Change::Move {
            id: 2,
            address: "new:7400".to_owned(),
        },
    ] {
        assert_refused(&joint, &change, "under way", false);
    }
}

#[test]
fn a_learner_can_be_given_up() {
    let mut learner = with_learner(3, None);
    silence(&mut learner, 4);
    assert_eq!(
        step(&learner, &Change::Remove { id: 4 }),
        Ok(Step::RemoveLearner)
    );
}

#[test]
fn a_dead_node_can_be_removed_and_a_live_one_that_is_needed_can_not() {
    let mut picture = voters(3);
    silence(&mut picture, 3);
    assert_eq!(
        step(&picture, &Change::Remove { id: 3 }),
        Ok(Step::RemoveVoter)
    );
    assert_refused(
        &picture,
        &Change::Remove { id: 2 },
        "of the 2 voters left, node 3 does not answer; start it first",
        false,
    );
    let mut five = voters(5);
    silence(&mut five, 4);
    silence(&mut five, 5);
    assert_eq!(
        step(&five, &Change::Remove { id: 4 }),
        Ok(Step::RemoveVoter)
    );
    assert_refused(
        &five,
        &Change::Remove { id: 2 },
        "nodes 4 and 5 do not answer",
        false,
    );
}

#[test]
fn the_last_voter_and_a_stranger_can_not_be_removed() {
    assert_refused(&voters(1), &Change::Remove { id: 1 }, "last voter", false);
    let learner = with_learner(1, Some(0));
    assert_refused(&learner, &Change::Remove { id: 1 }, "last voter", false);
    assert_refused(&voters(3), &Change::Remove { id: 7 }, "no member", false);
    assert_eq!(
        step(&voters(3), &Change::Remove { id: 99 }),
        Ok(Step::Nothing)
    );
}

#[test]
fn a_leader_is_removed_after_the_voter_that_is_nearest_to_it_leads() {
    let mut picture = voters(3);
    picture.members.get_mut(&2).unwrap().lag = Some(20);
    assert_eq!(
        step(&picture, &Change::Remove { id: 1 }),
        Ok(Step::HandOver(3))
    );
    picture.members.get_mut(&3).unwrap().withholds_vote = true;
    assert_eq!(
        step(&picture, &Change::Remove { id: 1 }),
        Ok(Step::HandOver(2))
    );
    for id in [2, 3] {
        picture.members.get_mut(&id).unwrap().lag = Some(1_000_000);
    }
    assert_refused(&picture, &Change::Remove { id: 1 }, "caught up", false);
}

#[test]
fn only_a_voter_that_answers_and_keeps_up_is_made_leader() {
    let mut picture = with_learner(3, Some(0));
    let to = |to| Change::Transfer { to };
    assert_eq!(step(&picture, &to(1)), Ok(Step::Nothing));
    assert_eq!(step(&picture, &to(2)), Ok(Step::HandOver(2)));
    picture.members.get_mut(&2).unwrap().withholds_vote = true;
    assert_refused(&picture, &to(2), "does not vote yet", false);
    assert_refused(&picture, &to(4), "learner", false);
    assert_refused(&picture, &to(7), "no member", false);
    silence(&mut picture, 2);
    assert_refused(&picture, &to(2), "does not answer", false);
    picture.members.get_mut(&3).unwrap().lag = Some(1_000_000);
    assert_refused(&picture, &to(3), "lacks 1000000 log entries", false);
}

#[test]
fn a_member_may_move_to_an_address_that_is_free() {
    let move_to = |address: &str| Change::Move {
        id: 2,
        address: address.to_owned(),
    };
    let picture = voters(3);
    assert_eq!(step(&picture, &move_to("mx2:7400")), Ok(Step::Nothing));
    assert_eq!(step(&picture, &move_to("new:7400")), Ok(Step::SetAddress));
    assert_refused(&picture, &move_to("mx3:7400"), "address of node 3", true);
}

#[test]
fn a_learner_grows_up_once_it_has_caught_up_and_answers() {
    assert_eq!(grown_up(&voters(3)), None);
    assert_eq!(grown_up(&with_learner(3, None)), None);
    assert_eq!(grown_up(&with_learner(3, Some(1_000_000))), None);
    let mut ready = with_learner(3, Some(3));
    assert_eq!(grown_up(&ready), Some(4));
    ready.settled = false;
    assert_eq!(grown_up(&ready), None);
    ready.settled = true;
    silence(&mut ready, 4);
    assert_eq!(grown_up(&ready), None);
}

#[test]
fn those_that_would_be_left_and_who_is_to_lead_are_asked() {
    let picture = with_learner(3, Some(0));
    let asked = |change| -> Vec<u64> {
        let asked = hangs_on(&picture, &change);
        asked.into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(asked(Change::Remove { id: 3 }), [2]);
    assert_eq!(asked(Change::Remove { id: 1 }), [2, 3]);
    assert_eq!(asked(Change::Transfer { to: 2 }), [2]);
    assert_eq!(asked(adding(5, "mx5:7400")), [0; 0]);
}
