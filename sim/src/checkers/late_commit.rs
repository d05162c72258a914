//! H27, `late-commit`: a member that commits by itself has not committed what was finished long ago. Or a commit failed,
//! whoever asked for it, in a cluster that has been at peace for long: nothing is in its way.
//!
//! Judged at the end of a run, where nothing has disturbed anybody for a while: whoever dies then reads again what an
//! auto-commit promised to spare him.

use std::collections::HashMap;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::Offset;

use super::groups::{GroupPartition, Incarnation, Turn};
use super::{Case, Check, Feature, Finding};
use crate::history::{Phase, What};

pub const CHECK: Check = Check::new("H27", "late-commit", Feature::AutoCommit, judge);

/// For a round trip to ZooKeeper, and for what the member does beside it.
const GRACE: Duration = Duration::from_secs(3);

/// What the present owner of a partition did with it.
struct Ownership<'a> {
    owner: Incarnation<'a>,
    /// Where whoever comes next begins.
    committed: Option<Offset>,
    /// Where it began itself.
    began: Option<Offset>,
    finished: HashMap<Offset, usize>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let is_drain = |what: &What| matches!(what, What::Phase(entered) if entered.phase == Phase::Drain);
    let Some(end) = case.history.iter().position(|entry| is_drain(&entry.what)) else { return Vec::new() };
    let mut findings = failed_in_peace(case, end);
    for ((group, partition), ownership) in ownerships(case, end) {
        let Some(interval) = case.terms.group(group).auto_commit else { continue };
        case.obligations.meet_many(u64::from(!ownership.finished.is_empty()));
        let next = ownership
            .committed
            .or(ownership.began)
            .and_then(|next| Some((next, *ownership.finished.get(&next)?)));
        let Some((next, at)) = next else { continue };
        let waited = Duration::from_nanos(case.history[end].at_ns - case.history[at].at_ns);
        if waited > interval + GRACE {
            let message = format!(
                "{} finished {partition}@{next} {:.1} s ago and has not committed it; it does every {:.1} s",
                ownership.owner.consumer,
                waited.as_secs_f64(),
                interval.as_secs_f64()
            );
            findings.push(Finding::new(Some(partition), message, vec![at]));
        }
    }
    findings.sort_by(|one, other| one.evidence.cmp(&other.evidence));
    findings
}

/// Commits that failed between the time by which everybody is served and the entry `end`.
fn failed_in_peace(case: &Case, end: usize) -> Vec<Finding> {
    let is_heal = |what: &What| matches!(what, What::Phase(entered) if entered.phase == Phase::Converge);
    let healed = case.history.iter().position(|entry| is_heal(&entry.what));
    let mut at_peace_since = healed.map(|at| case.history[at].at_ns);
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate().take(end).skip(healed.unwrap_or(end)) {
        match &entry.what {
            What::Fault(_) => at_peace_since = Some(entry.at_ns),
            What::Fact(Fact::CommitOk { .. }) => case.obligations.meet(),
            What::Fact(Fact::CommitFailed { consumer, partition, offset, .. }) => {
                case.obligations.meet();
                let since = Duration::from_nanos(entry.at_ns - at_peace_since.unwrap_or(entry.at_ns));
                if since > case.terms.patience.until_answered() {
                    let message = format!(
                        "{consumer} could not commit {partition}@{offset} in a cluster at peace for {:.1} s",
                        since.as_secs_f64()
                    );
                    findings.push(Finding::new(Some(partition), message, vec![at]));
                }
            }
            _ => {}
        }
    }
    findings
}

/// Who owns what at the entry `end`.
fn ownerships<'a>(case: &Case<'a>, end: usize) -> HashMap<GroupPartition<'a>, Ownership<'a>> {
    let mut owned: HashMap<GroupPartition, Ownership> = HashMap::new();
    for (at, turn) in case.groups.turns(case.history).take_while(|(at, _)| *at < end) {
        let (owner, group, fact) = match turn {
            Turn::Stated { incarnation, group, fact } => (incarnation, group, fact),
            Turn::Ended { node } => {
                owned.retain(|_, ownership| ownership.owner.consumer != node);
                continue;
            }
            _ => continue,
        };
        if let Fact::GroupSessionLost { .. } | Fact::GroupLeft { .. } = fact {
            owned.retain(|_, ownership| ownership.owner != owner);
        }
        let Some(partition) = fact.partition() else { continue };
        let place = (group, partition);
        if let Fact::PartitionOwned { .. } = fact {
            owned.insert(place, Ownership { owner, committed: None, began: None, finished: HashMap::new() });
        }
        let of_owner = owned.get_mut(&place).filter(|ownership| ownership.owner == owner);
        let Some(ownership) = of_owner else { continue };
        match fact {
            Fact::PartitionReleased { .. } => drop(owned.remove(&place)),
            Fact::OffsetFetched { offset, .. } => ownership.committed = *offset,
            Fact::CommitOk { offset, .. } => ownership.committed = Some(*offset),
            Fact::Assigned { position, .. } => ownership.began = Some(*position),
            // What is finished counts from there.
            Fact::Seeked { position, .. } | Fact::PositionReset { to: position, .. } => {
                ownership.began = Some(*position);
                ownership.finished.clear();
            }
            Fact::Finished { offset, .. } => drop(ownership.finished.insert(*offset, at)),
            _ => {}
        }
    }
    owned
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::history::Phase;

    fn finished() -> Story {
        let story = Story::new().committing_every(Duration::from_secs(1)).member("m-1", 1, 0);
        story.worked_on("m-1", 0, "a")
    }

    fn quiet(story: Story) -> Story {
        story.phase(Phase::Converge).after(Duration::from_secs(10)).phase(Phase::Drain)
    }

    #[test]
    fn what_was_finished_and_committed_passes() {
        let story = quiet(finished().commits("m-1", 1));
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn a_member_that_commits_no_more_is_found() {
        let expected = ["m-1 finished orders-0@0 10.0 s ago and has not committed it; it does every 1.0 s"];
        assert_eq!(quiet(finished()).violations(&CHECK), expected);
        assert_eq!(quiet(finished().commit_failed("m-1", 1, true)).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_member_whose_commits_are_all_refused_is_found_though_nothing_was_ever_committed() {
        let story = Story::new().committing_every(Duration::from_secs(1)).joined("m-1", 1).owned("m-1", 1);
        let story = story.fetched("m-1", None).assigned("m-1", 0).worked_on("m-1", 0, "a");
        assert_eq!(quiet(story.commit_failed("m-1", 1, false)).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_commit_that_fails_in_a_cluster_at_peace_is_found_whoever_asked_for_it() {
        let failing = |after| {
            let story = Story::new().member("m-1", 1, 0).worked_on("m-1", 0, "a").phase(Phase::Converge);
            let story = story.after(Duration::from_secs(after)).commit_failed("m-1", 1, true);
            story.phase(Phase::Drain)
        };
        assert_eq!(failing(10).violations(&CHECK), [""; 0]);
        let expected = ["m-1 could not commit orders-0@1 in a cluster at peace for 20.0 s"];
        assert_eq!(failing(20).violations(&CHECK), expected);
    }

    #[test]
    fn who_lost_the_partition_has_nothing_to_commit() {
        assert!(quiet(finished().released("m-1")).violations(&CHECK).is_empty());
        assert!(quiet(finished().session_lost("m-1", 1)).violations(&CHECK).is_empty());
        assert!(quiet(finished().killed("m-1")).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_of_the_last_moment_has_time() {
        let story = finished().commits("m-1", 1).phase(Phase::Converge).after(Duration::from_secs(10));
        let story = story.worked_on("m-1", 1, "b").phase(Phase::Drain);
        assert!(story.violations(&CHECK).is_empty());
    }
}
