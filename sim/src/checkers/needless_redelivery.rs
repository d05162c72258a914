//! H20, `needless-redelivery`: a group got a record again although nothing had happened to the partition since,
//! or below the committed offset that its reader began with (G4).
//!
//! What may happen: the owner crashes, loses its session or is unheard for too long, the partition changes
//! hands or is taken again, a member seeks, or the position is reset. A record that stands where another was
//! read before is not that record again. A member whose session was ended by force may deliver on until it
//! hears of it, for as long as [`Rule::PauseWhenUnheard`](seedlog::rules::Rule) lets it.

use std::collections::HashMap;

use seedlog::facts::{Fact, RecordTag};
use seedlog::types::{Offset, TopicPartition};

use super::groups::{GroupPartition, Incarnation, Turn, sessions_expired_by_force};
use super::{Case, Check, Feature, Finding};

pub const CHECK: Check = Check::new("H20", "needless-redelivery", Feature::Group, judge);

#[derive(Clone, Copy)]
struct Read<'a> {
    at: usize,
    record: &'a RecordTag,
}

#[derive(Default)]
struct Reading<'a> {
    /// The latest delivery at each offset.
    read: HashMap<Offset, Read<'a>>,
    /// When something last happened that explains a delivery of what was delivered before.
    disturbed: Option<usize>,
    owner: Option<Incarnation<'a>>,
    /// The group's latest acknowledged commit.
    committed: Option<usize>,
}

#[derive(Default)]
struct State<'a> {
    readings: HashMap<GroupPartition<'a>, Reading<'a>>,
    /// Sessions that ended while ZooKeeper still heard their members, and when.
    cut_short: HashMap<Incarnation<'a>, u64>,
    /// The committed offset at which an incarnation began with a partition, and the entry that tells.
    begun: HashMap<(Incarnation<'a>, &'a TopicPartition), (usize, Offset)>,
    /// Deliveries of what was delivered before, or under a committed offset.
    compared: u64,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut state = State::default();
    let forced = sessions_expired_by_force(case.history);
    for (at, turn) in case.groups.turns(case.history) {
        match turn {
            Turn::Deleted { .. } => {}
            Turn::Ended { node } => state.disturb(at, |owner| owner.consumer == node),
            Turn::Expired { session } => {
                let member = case.groups.member(session);
                if let Some(member) = member.filter(|_| forced.contains(&session)) {
                    state.cut_short.insert(member, case.history[at].at_ns);
                }
                state.disturb(at, |owner| Some(owner) == member);
            }
            Turn::Stated { incarnation, fact: Fact::Delivered { partition, .. }, group }
                if state.is_yet_to_notice(case, at, incarnation, (group, partition)) => {}
            Turn::Stated { incarnation, group, fact } => state.stated(at, incarnation, group, fact),
        }
    }
    case.obligations.meet_many(state.compared);
    state.findings
}

impl<'a> State<'a> {
    /// Whether the member has lost the partition with a session that ended by force, and may not have heard of
    /// it: it was heard itself until then, so it delivers for up to two thirds of a session (P24).
    fn is_yet_to_notice(
        &self,
        case: &Case,
        at: usize,
        incarnation: Incarnation<'a>,
        place: GroupPartition<'a>,
    ) -> bool {
        let has_another_owner = self
            .readings
            .get(&place)
            .and_then(|reading| reading.owner)
            .is_some_and(|owner| owner != incarnation);
        let Some(session) = case.terms.groups.get(place.0).map(|group| group.session_timeout) else {
            return false;
        };
        let since = self.cut_short.get(&incarnation).map(|ended_ns| case.history[at].at_ns - ended_ns);
        has_another_owner && since.is_some_and(|since| u128::from(since) * 3 <= session.as_nanos() * 2)
    }

    fn stated(&mut self, at: usize, incarnation: Incarnation<'a>, group: &'a str, fact: &'a Fact) {
        match fact {
            Fact::GroupSessionLost { .. } | Fact::GroupLeft { .. } | Fact::DeliveryPaused { .. } => {
                self.disturb(at, |owner| owner == incarnation);
            }
            Fact::PartitionOwned { partition, .. } => {
                let reading = self.readings.entry((group, partition)).or_default();
                reading.owner = Some(incarnation);
                reading.disturbed = Some(at);
            }
            Fact::PartitionReleased { partition, .. } => {
                self.readings.entry((group, partition)).or_default().disturbed = Some(at);
            }
            Fact::Seeked { partition, .. } | Fact::PositionReset { partition, .. } => {
                self.readings.entry((group, partition)).or_default().disturbed = Some(at);
                self.begun.remove(&(incarnation, partition));
            }
            Fact::OffsetFetched { partition, offset, .. } => {
                match offset {
                    Some(offset) => self.begun.insert((incarnation, partition), (at, *offset)),
                    None => self.begun.remove(&(incarnation, partition)),
                };
            }
            Fact::CommitOk { partition, .. } => {
                self.readings.entry((group, partition)).or_default().committed = Some(at);
            }
            Fact::Delivered { partition, offset, record, .. } => {
                self.delivered(incarnation, (group, partition), *offset, Read { at, record });
            }
            _ => {}
        }
    }

    /// Something happened to whatever the owners that `is_hit` says yes to own.
    fn disturb(&mut self, at: usize, is_hit: impl Fn(Incarnation<'a>) -> bool) {
        for reading in self.readings.values_mut().filter(|reading| reading.owner.is_some_and(&is_hit)) {
            reading.disturbed = Some(at);
        }
    }

    fn delivered(
        &mut self,
        incarnation: Incarnation<'a>,
        place: GroupPartition<'a>,
        offset: Offset,
        read: Read<'a>,
    ) {
        let (group, partition) = place;
        let reading = self.readings.entry(place).or_default();
        // What a former owner delivers before it notices, the new one delivers as well: C3 bounds for how long.
        let earlier = match reading.owner.is_none_or(|owner| owner == incarnation) {
            true => reading.read.insert(offset, read),
            false => reading.read.get(&offset).copied(),
        };
        let earlier = earlier.filter(|earlier| earlier.record == read.record);
        let begun = self.begun.get(&(incarnation, partition)).copied();
        self.compared += u64::from(begun.is_some() || earlier.is_some());
        if let Some((fetched_at, committed)) = begun
            && offset < committed
        {
            let message = format!(
                "{} delivered {partition}@{offset} again to {group}, which had committed {committed}",
                incarnation.consumer
            );
            let evidence = earlier.map(|earlier| earlier.at).into_iter().chain([fetched_at, read.at]);
            self.findings.push(Finding::new(Some(partition), message, evidence.collect()));
        } else if let Some(earlier) = earlier
            && reading.disturbed.is_none_or(|disturbed| disturbed < earlier.at)
        {
            let although = match reading.owner.filter(|owner| *owner != incarnation) {
                Some(owner) => format!("though {} owned it by then", owner.consumer),
                None => "although nothing had happened".to_owned(),
            };
            let label = &read.record.label;
            let message = format!(
                "{} delivered {partition}@{offset} {label:?} again to {group} {although}",
                incarnation.consumer
            );
            let evidence = [earlier.at].into_iter().chain(reading.committed).chain([read.at]);
            self.findings.push(Finding::new(Some(partition), message, evidence.collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::types::SessionId;

    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::history::Injected;

    fn reading() -> Story {
        Story::new().member("a", 1, 0).worked_on("a", 0, "r-0").read("a", 1, "r-1")
    }

    #[test]
    fn records_delivered_once_pass() {
        assert!(reading().read("a", 2, "r-2").violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_delivered_again_for_no_reason_is_found() {
        assert_eq!(
            reading().read("a", 1, "r-1").violations(&CHECK),
            [r#"a delivered orders-0@1 "r-1" again to billing although nothing had happened"#]
        );
    }

    #[test]
    fn the_evidence_is_both_deliveries_and_what_the_group_had_committed() {
        let story = reading().commits("a", 1).commits("a", 2).read("a", 1, "r-1");
        let evidence = story.evidence(&CHECK);
        assert_eq!(evidence.len(), 3, "{evidence:?}");
        assert!(evidence[1].ends_with("committed orders-0@2"), "{evidence:?}");
    }

    #[test]
    fn a_rebalance_a_crash_and_an_expiry_explain_it() {
        for story in [
            reading().released("a").member("b", 2, 1),
            reading().killed("a").session_expired(1).member("a", 2, 1),
            reading().session_expired(1).member("b", 2, 1),
            reading().delivery_paused("a"),
        ] {
            assert!(story.read("b", 1, "r-1").violations(&CHECK).is_empty());
        }
    }

    #[test]
    fn what_a_former_owner_delivered_before_it_noticed_is_delivered_again() {
        let story = reading().session_expired(1).member("b", 2, 1).read("a", 2, "r-2");
        let story = story.session_lost("a", 1).read("b", 1, "r-1").read("b", 2, "r-2");
        assert!(story.violations(&CHECK).is_empty());
    }

    fn delivered_by_a_former_owner(how_it_ended: impl Fn(Story) -> Story, later: Duration) -> Story {
        let story = reading().group_terms(Duration::from_secs(6), Duration::ZERO);
        let story = how_it_ended(story).session_expired(1).member("b", 2, 1);
        story.read("b", 1, "r-1").read("b", 2, "r-2").after(later).read("a", 2, "r-2")
    }

    fn forced(story: Story) -> Story {
        story.fault(Injected::ExpireSession { target: "a".into(), session: SessionId(1) })
    }

    #[test]
    fn a_member_whose_session_was_ended_by_force_may_deliver_until_it_hears_of_it() {
        let soon = delivered_by_a_former_owner(forced, Duration::from_millis(500));
        assert!(soon.violations(&CHECK).is_empty());
        let late = delivered_by_a_former_owner(forced, Duration::from_secs(60));
        assert_eq!(late.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_member_whose_session_ran_out_should_have_paused_long_before() {
        let unheard = delivered_by_a_former_owner(|story| story, Duration::from_millis(500));
        let found = unheard.violations(&CHECK);
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with("again to billing though b owned it by then"), "{found:?}");
    }

    #[test]
    fn a_crash_of_a_member_that_does_not_own_the_partition_explains_nothing() {
        let story = reading().joined("b", 2).killed("b").read("a", 1, "r-1");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn an_explanation_explains_one_redelivery() {
        let story = reading().delivery_paused("a").read("a", 1, "r-1").read("a", 1, "r-1");
        assert_eq!(story.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_rewind_explains_it() {
        assert!(reading().sought("a", 0).read("a", 0, "r-0").violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_below_the_committed_offset_is_found_even_after_a_rebalance() {
        let story = reading().commits("a", 1).released("a").member("b", 2, 1).read("b", 0, "r-0");
        assert_eq!(
            story.violations(&CHECK),
            ["b delivered orders-0@0 again to billing, which had committed 1"]
        );
    }

    #[test]
    fn a_seek_below_the_committed_offset_explains_it() {
        let story = reading().released("a").member("b", 2, 1).sought("b", 0).read("b", 0, "r-0");
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn another_record_in_its_place_is_not_the_record_again() {
        assert!(reading().read("a", 1, "other").violations(&CHECK).is_empty());
    }

    #[test]
    fn another_group_may_read_it_too() {
        assert!(reading().assigned("z", 0).read("z", 1, "r-1").violations(&CHECK).is_empty());
    }
}
