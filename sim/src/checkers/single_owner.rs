//! C1, `single-owner`: within a group a partition has one owner at a time, and only its owner delivers it
//! (P22, P24).
//!
//! Ownership lasts from `PartitionOwned` to `PartitionReleased`, at most as long as the ensemble keeps the
//! session: it outlives a crash of the member, and a member that does not know yet that its session expired
//! owns nothing. It delivers nothing either, for it counts the time that the session has left. Only after a session that
//! was ended by force it may go on, and for how long is check C3's business. Nobody deletes the node of another session.

use std::collections::{BTreeMap, HashMap, HashSet};

use seedlog::facts::{Fact, LeaderAnswer, ZnodeWritten};
use seedlog::types::{Offset, SessionId, TopicPartition, Zxid};

use super::groups::{GroupPartition, Incarnation, Turn, sessions_expired_by_force};
use super::{Case, Check, Feature, Finding};
use crate::history::{Entry, What};

pub const CHECK: Check = Check::new("C1", "single-owner", Feature::Group, judge);

#[derive(Clone, Copy)]
struct Owner<'a> {
    incarnation: Incarnation<'a>,
    session: SessionId,
    since: usize,
}

#[derive(Default)]
struct Ownership<'a> {
    /// As the ensemble would have it: at most one each, if all is well.
    owners: HashMap<GroupPartition<'a>, Vec<Owner<'a>>>,
    of_session: HashMap<SessionId, Vec<GroupPartition<'a>>>,
    expired: HashSet<SessionId>,
    /// Sessions whose time ran out, and where.
    ran_out: HashMap<SessionId, usize>,
    /// Under which session each member took the partition last.
    taken_under: HashMap<(Incarnation<'a>, &'a TopicPartition), SessionId>,
    /// What an owner node stands for, by its path.
    places: HashMap<String, GroupPartition<'a>>,
    /// Who took each partition last.
    latest: HashMap<GroupPartition<'a>, Incarnation<'a>>,
    /// When each node was made, and by which session, as its maker was told.
    made: BTreeMap<(&'a str, Zxid), SessionId>,
    /// What each member believes to own.
    held: BTreeMap<Incarnation<'a>, HashSet<&'a TopicPartition>>,
    /// Where a member last gave up the partition, or all that it owned.
    gave_up: HashMap<(Incarnation<'a>, Option<&'a TopicPartition>), usize>,
    /// Deliveries told already.
    told: HashSet<(Incarnation<'a>, &'a TopicPartition)>,
    /// Takings of what another incarnation had owned before.
    successions: u64,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut ownership = Ownership { made: made(case.history), ..Ownership::default() };
    let forced = sessions_expired_by_force(case.history);
    for (at, turn) in case.groups.turns(case.history) {
        match turn {
            Turn::Expired { session } => {
                if !forced.contains(&session) {
                    ownership.ran_out.insert(session, at);
                }
                ownership.expire(session);
            }
            Turn::Deleted { session, path, zxid } => ownership.deleted(at, session, path, zxid),
            Turn::Stated { incarnation, group, fact } => ownership.stated(at, incarnation, group, fact),
            Turn::Ended { .. } => {}
        }
    }
    case.obligations.meet_many(ownership.successions);
    ownership.findings
}

fn made(history: &[Entry]) -> BTreeMap<(&str, Zxid), SessionId> {
    let mut made = BTreeMap::new();
    for entry in history {
        let What::Fact(Fact::LeaderAnswered { zxid, answer: LeaderAnswer::Done(written), .. }) = &entry.what
        else {
            continue;
        };
        for ZnodeWritten { path, node } in written {
            if let Some(node) = node {
                made.insert((&**path, *zxid), node.owner);
            }
        }
    }
    made
}

impl<'a> Ownership<'a> {
    fn stated(&mut self, at: usize, incarnation: Incarnation<'a>, group: &'a str, fact: &'a Fact) {
        let gives_up = matches!(
            fact,
            Fact::PartitionReleased { .. } | Fact::GroupSessionLost { .. } | Fact::GroupLeft { .. }
        );
        if gives_up {
            self.gave_up.insert((incarnation, fact.partition()), at);
        }
        match fact {
            Fact::PartitionOwned { partition, session, .. } => {
                self.held.entry(incarnation).or_default().insert(partition);
                self.taken_under.insert((incarnation, partition), *session);
                self.own((group, partition), Owner { incarnation, session: *session, since: at });
            }
            Fact::PartitionReleased { partition, .. } => {
                self.held.entry(incarnation).or_default().remove(partition);
                if let Some(owners) = self.owners.get_mut(&(group, partition)) {
                    owners.retain(|owner| owner.incarnation != incarnation);
                }
            }
            Fact::GroupSessionLost { session, .. } => {
                self.held.remove(&incarnation);
                self.expire(*session);
            }
            Fact::GroupLeft { .. } => {
                for partition in self.held.remove(&incarnation).unwrap_or_default() {
                    let owners = self.owners.entry((group, partition)).or_default();
                    owners.retain(|owner| owner.incarnation != incarnation);
                }
            }
            Fact::Delivered { partition, offset, .. } => {
                self.delivered(at, incarnation, group, partition, *offset);
            }
            _ => {}
        }
    }

    fn delivered(
        &mut self,
        at: usize,
        incarnation: Incarnation<'a>,
        group: &str,
        partition: &'a TopicPartition,
        offset: Offset,
    ) {
        let holds = self.held.get(&incarnation).is_some_and(|held| held.contains(partition));
        let session = self.taken_under.get(&(incarnation, partition));
        let ran_out = session.and_then(|session| self.ran_out.get(session)).copied();
        if (holds && ran_out.is_none()) || !self.told.insert((incarnation, partition)) {
            return;
        }
        let consumer = incarnation.consumer;
        let (how, evidence) = match ran_out.filter(|_| holds) {
            Some(ran_out) => ("after its session had run out", Some(ran_out)),
            None => {
                let gave_up = [Some(partition), None].map(|what| self.gave_up.get(&(incarnation, what)));
                ("without owning it", gave_up.into_iter().flatten().max().copied())
            }
        };
        let message = format!("{consumer} of {group} delivered {partition}@{offset} {how}");
        let evidence = evidence.into_iter().chain([at]).collect();
        self.findings.push(Finding::new(Some(partition), message, evidence));
    }

    /// An owner node goes by its owner's hand, or with its owner's session.
    fn deleted(&mut self, at: usize, session: SessionId, path: &str, zxid: Zxid) {
        let Some((group, partition)) = self.places.get(path).copied() else { return };
        let before = self.made.range((path, Zxid(i64::MIN))..(path, zxid)).next_back();
        if before.is_some_and(|(_, maker)| *maker == session) {
            // Its own; another may have made a node there since, before this one was told.
            return;
        }
        let owner = self.owners.get(&(group, partition)).and_then(|owners| owners.last());
        if let Some(owner) = owner.filter(|owner| owner.session != session) {
            let message = format!(
                "session {session:#x} deleted the node by which {} owns {partition} of {group}",
                owner.incarnation.consumer
            );
            self.findings.push(Finding::new(Some(partition), message, vec![owner.since, at]));
        }
    }

    fn own(&mut self, place: GroupPartition<'a>, new: Owner<'a>) {
        if self.expired.contains(&new.session) {
            // The node was there when the member was told so, and went before it could say so.
            return;
        }
        let (group, partition) = place;
        let (topic, number) = (&partition.topic, partition.partition);
        self.places.insert(format!("/consumers/{group}/owners/{topic}/{number}"), place);
        let latest = self.latest.insert(place, new.incarnation);
        self.successions += u64::from(latest.is_some_and(|latest| latest != new.incarnation));
        let owners = self.owners.entry(place).or_default();
        owners.retain(|owner| (owner.incarnation, owner.session) != (new.incarnation, new.session));
        if let Some(other) = owners.last() {
            let (group, partition) = place;
            let message = format!(
                "{partition} of {group} was taken by {} while {} owned it",
                named(&new, other),
                named(other, &new)
            );
            self.findings.push(Finding::new(Some(partition), message, vec![other.since, new.since]));
        }
        owners.push(new);
        self.of_session.entry(new.session).or_default().push(place);
    }

    fn expire(&mut self, session: SessionId) {
        self.expired.insert(session);
        for place in self.of_session.remove(&session).unwrap_or_default() {
            if let Some(owners) = self.owners.get_mut(&place) {
                owners.retain(|owner| owner.session != session);
            }
        }
    }
}

/// The owner's name; with its incarnation where both are incarnations of one consumer.
fn named(owner: &Owner, other: &Owner) -> String {
    if owner.incarnation.consumer != other.incarnation.consumer {
        return owner.incarnation.consumer.to_owned();
    }
    format!(
        "{} (incarnation {}, session {:#x})",
        owner.incarnation.consumer, owner.incarnation.number, owner.session
    )
}

#[cfg(test)]
mod tests {
    use seedlog::facts::{Fact, LeaderAnswer, Znode, ZnodeWritten};
    use seedlog::types::{SessionId, Zxid};

    use super::CHECK;
    use crate::checkers::story::Story;

    #[test]
    fn a_partition_that_is_released_before_it_is_taken_passes() {
        let story = Story::new()
            .member("a", 1, 0)
            .read("a", 0, "r-0")
            .released("a")
            .member("b", 2, 1)
            .read("b", 1, "r-1");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_partition_taken_while_another_member_owns_it_is_found() {
        let story = Story::new().member("a", 1, 0).member("b", 2, 0);
        assert_eq!(story.violations(&CHECK), ["orders-0 of billing was taken by b while a owned it"]);
    }

    #[test]
    fn an_expired_session_owns_nothing_though_its_member_does_not_know() {
        let story =
            Story::new().member("a", 1, 0).expired_by_force("a", 1).member("b", 2, 0).read("a", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_taking_over_that_is_stated_after_the_session_expired_is_none() {
        let story = Story::new().session_expired(1).member("a", 1, 0).member("b", 2, 0);
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_dead_member_owns_until_its_session_expires() {
        let early = Story::new().member("a", 1, 0).killed("a").member("b", 2, 0);
        assert_eq!(early.violations(&CHECK).len(), 1);
        let late = Story::new().member("a", 1, 0).killed("a").session_expired(1).member("b", 2, 0);
        assert!(late.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_restarted_member_that_takes_its_old_sessions_node_for_its_own_is_found() {
        let story = Story::new().member("a", 1, 0).killed("a").member("a", 2, 0);
        assert_eq!(
            story.violations(&CHECK),
            [
                "orders-0 of billing was taken by a (incarnation 2, session 0x2) while a (incarnation 1, session 0x1) owned it"
            ]
        );
    }

    #[test]
    fn a_member_that_delivers_what_it_does_not_own_is_found_once() {
        let story = Story::new().joined("a", 1).assigned("a", 0).read("a", 0, "r-0").read("a", 1, "r-1");
        assert_eq!(story.violations(&CHECK), ["a of billing delivered orders-0@0 without owning it"]);
    }

    #[test]
    fn a_member_that_delivers_after_it_released_left_or_lost_its_session_is_found() {
        for story in [
            Story::new().member("a", 1, 0).released("a"),
            Story::new().member("a", 1, 0).left("a"),
            Story::new().member("a", 1, 0).session_expired(1).session_lost("a", 1),
        ] {
            assert_eq!(story.read("a", 0, "r-0").violations(&CHECK).len(), 1);
        }
    }

    #[test]
    fn a_member_that_delivers_after_its_session_ran_out_is_found() {
        let story = Story::new().member("a", 1, 0).read("a", 0, "r-0").session_expired(1);
        let story = story.read("a", 1, "r-1").read("a", 2, "r-2");
        assert_eq!(
            story.violations(&CHECK),
            ["a of billing delivered orders-0@1 after its session had run out"]
        );
        let again = Story::new().member("a", 1, 0).session_expired(1).session_lost("a", 1);
        assert!(again.member("a", 2, 0).read("a", 0, "r-0").violations(&CHECK).is_empty());
    }

    #[test]
    fn an_owner_node_that_another_session_deletes_is_found() {
        let deleted = |session: i64, path: &str| Fact::LeaderAnswered {
            session: SessionId(session),
            request: 1,
            zxid: Zxid(9),
            answer: LeaderAnswer::Done(vec![ZnodeWritten { path: path.into(), node: None }]),
        };
        let story = |session| {
            let path = "/consumers/billing/owners/orders/0";
            Story::new().member("a", 1, 0).fact("b", deleted(session, path))
        };
        assert_eq!(
            story(2).violations(&CHECK),
            ["session 0x2 deleted the node by which a owns orders-0 of billing"]
        );
        assert!(story(1).violations(&CHECK).is_empty());
        let expired = Story::new().member("a", 1, 0).session_expired(1);
        let expired = expired.fact("b", deleted(2, "/consumers/billing/owners/orders/0"));
        assert!(expired.violations(&CHECK).is_empty());
    }

    #[test]
    fn who_is_told_late_that_its_own_node_went_deleted_nobody_elses() {
        let answered = |session, zxid, node| Fact::LeaderAnswered {
            session: SessionId(session),
            request: 1,
            zxid: Zxid(zxid),
            answer: LeaderAnswer::Done(vec![ZnodeWritten {
                path: "/consumers/billing/owners/orders/0".into(),
                node,
            }]),
        };
        let made = |session, zxid| {
            let node = Znode { mzxid: Zxid(zxid), version: 0, owner: SessionId(session), data: None };
            answered(session, zxid, Some(node))
        };
        let story = |deleted_at| {
            let story = Story::new().fact("b", made(2, 5)).fact("a", made(1, 9)).member("a", 1, 0);
            story.fact("b", answered(2, deleted_at, None)).violations(&CHECK).len()
        };
        assert_eq!([story(7), story(11)], [0, 1]);
    }

    #[test]
    fn a_consumer_without_a_group_needs_no_ownership() {
        let story = Story::new().assigned("a", 0).read("a", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }
}
