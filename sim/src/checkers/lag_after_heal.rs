//! H13, `lag-after-heal`: a consumer or a group takes too long, once the cluster has healed, to read up to where
//! the log ended at the heal.
//!
//! Whether it gets there at all by the deadline is check L1's business; this one has the tighter bound, which
//! comes from what is known to take time: timeouts, sessions, the application's work on the backlog.

use std::collections::BTreeMap;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::{Offset, TopicPartition};

use super::groups::Incarnation;
use super::{Case, Check, Feature, Finding, Terms};
use crate::history::{Entry, Injected, Phase, What};

pub const CHECK: Check = Check::new("H13", "lag-after-heal", Feature::Any, judge);

/// Of a record that is fetched alone, there and back: consumers may be told to fetch one byte at a time.
pub const FETCH_MAX: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reader<'a> {
    Consumer(&'a str),
    Group(&'a str),
}

/// What a reader has still to read, since the heal.
struct Behind {
    /// Where it stood at the heal.
    from: Offset,
    /// Where it stands, and when it came there.
    position: Offset,
    reached_at: usize,
}

#[derive(Default)]
struct State<'a> {
    ends: BTreeMap<&'a TopicPartition, Offset>,
    positions: BTreeMap<(Reader<'a>, &'a TopicPartition), Offset>,
    healed_at: Option<usize>,
    behind: BTreeMap<(Reader<'a>, &'a TopicPartition), Behind>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut state = State::default();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Phase(entered) if entered.phase == Phase::Converge => {
                state.heal(at, case.terms);
            }
            What::Fact(fact) => state.observe(case, at, entry, fact),
            What::Fault(Injected::Start { target }) => state.begin(case.terms, target),
            _ => {}
        }
    }
    let (Some(healed_at), Some(last)) = (state.healed_at, case.history.len().checked_sub(1)) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (&(reader, partition), behind) in &state.behind {
        let end = state.ends[partition];
        case.obligations.meet_many(u64::from(behind.from < end));
        let arrived = behind.position >= end;
        let until = if arrived { behind.reached_at } else { last };
        let taken = Duration::from_nanos(case.history[until].at_ns - case.history[healed_at].at_ns);
        if taken > bound(case, reader, end, behind.from) {
            let how = if arrived { "took" } else { "is not there after" };
            let message = format!(
                "{} stood at {partition}@{} at the heal and {how} {:.1} s to read to {end}",
                reader.name(),
                behind.from,
                taken.as_secs_f64()
            );
            let finding = Finding::new(Some(partition), message, vec![healed_at, until]);
            findings.push(finding.excused_by(case.budget.excuses_outage(partition)));
        }
    }
    findings
}

fn bound(case: &Case, reader: Reader, end: Offset, from: Offset) -> Duration {
    let backlog = u32::try_from(end.0.saturating_sub(from.0)).unwrap_or(u32::MAX);
    let processing = match reader {
        Reader::Consumer(_) => Duration::ZERO,
        Reader::Group(group) => case.terms.group(group).processing,
    };
    case.terms.patience.until_served() + (processing + FETCH_MAX).saturating_mul(backlog)
}

impl Reader<'_> {
    /// A client that does not come back, or a group that has no other member.
    fn is_gone(self, terms: &Terms) -> bool {
        match self {
            Reader::Consumer(name) => terms.left_dead.as_deref() == Some(name),
            Reader::Group(name) => terms.memberships.get(name).is_some_and(|group| group.members.is_empty()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Reader::Consumer(name) | Reader::Group(name) => name,
        }
    }
}

impl<'a> State<'a> {
    /// Whoever reads by now is held to reading what is there by now.
    fn heal(&mut self, at: usize, terms: &Terms) {
        self.healed_at = Some(at);
        for (&(reader, partition), &position) in &self.positions {
            if self.ends.contains_key(partition) && !reader.is_gone(terms) {
                let behind = Behind { from: position, position, reached_at: at };
                self.behind.insert((reader, partition), behind);
            }
        }
    }

    /// A consumer's process stands nowhere until it says so.
    fn begin(&mut self, terms: &'a Terms, consumer: &str) {
        let Some((name, partitions)) = terms.assigned.get_key_value(consumer) else { return };
        for partition in partitions {
            self.positions.insert((Reader::Consumer(name), partition), Offset::ZERO);
        }
    }

    fn observe(&mut self, case: &Case<'a>, at: usize, entry: &'a Entry, fact: &'a Fact) {
        let (position, partition) = match fact {
            Fact::Appended { partition, last, .. } => {
                if self.healed_at.is_none() {
                    self.ends.insert(partition, last.next());
                }
                return;
            }
            Fact::LogRecovered { partition, log_end: end, .. } | Fact::Truncated { partition, end, .. } => {
                let known = self.ends.entry(partition).or_insert(*end);
                // After the heal, what was cut need not be read any more.
                *known = if self.healed_at.is_none() { *end } else { (*known).min(*end) };
                return;
            }
            Fact::Assigned { partition, position, .. }
            | Fact::Seeked { partition, position, .. }
            | Fact::PositionReset { partition, to: position, .. } => (*position, partition),
            Fact::Delivered { partition, offset, .. } => (offset.next(), partition),
            _ => return,
        };
        let Some(incarnation) = Incarnation::of(entry, fact) else { return };
        let reader =
            case.groups.of(incarnation).map_or(Reader::Consumer(incarnation.consumer), Reader::Group);
        self.positions.insert((reader, partition), position);
        if let Some(behind) = self.behind.get_mut(&(reader, partition))
            && behind.position < self.ends[partition]
            && behind.position < position
        {
            behind.position = position;
            behind.reached_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::CHECK;
    use crate::checkers::Patience;
    use crate::checkers::story::Story;
    use crate::history::{Injected, Phase};

    fn lagging() -> Story {
        Story::new().appended(0, 1, 1).assigned("a", 0).read("a", 0, "r-0").phase(Phase::Converge)
    }

    #[test]
    fn a_consumer_that_reads_to_the_end_in_time_passes() {
        let story = lagging().after(Duration::from_secs(20)).read("a", 1, "r-1");
        assert!(story.after(Duration::from_secs(90)).phase(Phase::Judge).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_consumer_that_takes_too_long_is_found() {
        let story = lagging().after(Duration::from_secs(30)).read("a", 1, "r-1");
        assert_eq!(
            story.violations(&CHECK),
            ["a stood at orders-0@1 at the heal and took 30.0 s to read to 2"]
        );
    }

    #[test]
    fn a_consumer_that_never_gets_there_is_found_if_there_was_time_enough() {
        let judged = |wait| lagging().after(Duration::from_secs(wait)).phase(Phase::Judge);
        assert!(judged(20).violations(&CHECK).is_empty());
        assert_eq!(
            judged(30).violations(&CHECK),
            ["a stood at orders-0@1 at the heal and is not there after 30.0 s to read to 2"]
        );
    }

    #[test]
    fn what_was_appended_or_cut_after_the_heal_need_not_be_read() {
        let later = lagging().read("a", 1, "r-1").after(Duration::from_secs(30)).appended(2, 5, 2);
        assert!(later.phase(Phase::Judge).violations(&CHECK).is_empty());
        let cut = lagging().recovered(1, false).after(Duration::from_secs(30)).phase(Phase::Judge);
        assert!(cut.violations(&CHECK).is_empty());
    }

    #[test]
    fn any_member_reads_for_its_group_and_slow_work_takes_its_time() {
        let group = |terms: Duration| {
            Story::new()
                .group_terms(Duration::from_secs(6), terms)
                .appended(0, 1, 1)
                .member("a", 1, 0)
                .killed("a")
                .phase(Phase::Converge)
                .after(Duration::from_secs(40))
                .member("b", 2, 0)
                .read("b", 1, "r-1")
        };
        assert_eq!(group(Duration::ZERO).violations(&CHECK).len(), 1);
        assert!(group(Duration::from_secs(10)).violations(&CHECK).is_empty());
    }

    #[test]
    fn a_group_is_held_to_nothing_when_its_only_member_does_not_come_back() {
        let left = |others: &[&str]| {
            let story = Story::new().members_that_stay(others).appended(0, 1, 1).member("a", 1, 0);
            story.phase(Phase::Converge).after(Duration::from_secs(40)).phase(Phase::Judge)
        };
        assert!(left(&[]).violations(&CHECK).is_empty());
        assert_eq!(left(&["b"]).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_reader_that_never_says_where_it_stands_is_found() {
        let begun = Story::new().reading_alone("a").appended(0, 1, 1);
        let story = begun.fault(Injected::Start { target: "a".into() }).phase(Phase::Converge);
        let story = story.after(Duration::from_secs(30)).phase(Phase::Judge);
        let expected = ["a stood at orders-0@0 at the heal and is not there after 30.0 s to read to 2"];
        assert_eq!(story.violations(&CHECK), expected);
    }

    #[test]
    fn a_disk_left_broken_excuses_it() {
        let story = Story::new().appended(0, 1, 1).assigned("a", 0);
        let story = story.struck("no-space").phase(Phase::Converge);
        let story = story.after(Duration::from_secs(30)).phase(Phase::Judge);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.excused(&CHECK).len(), 1);
    }

    #[test]
    fn the_runs_own_timeouts_set_the_bound() {
        let slow = Patience { request: Duration::from_secs(10), ..Patience::default() };
        let story = lagging().after(Duration::from_secs(30)).read("a", 1, "r-1");
        assert!(story.patient(slow).violations(&CHECK).is_empty());
        let quick = Patience { session: Duration::from_secs(2), ..Patience::default() };
        let story = lagging().after(Duration::from_secs(20)).read("a", 1, "r-1");
        assert_eq!(story.patient(quick).violations(&CHECK).len(), 1);
    }
}
