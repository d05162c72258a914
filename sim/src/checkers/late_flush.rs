//! S17, `late-flush`: what was appended is not flushed though its flush interval has long been over.
//!
//! A topic with `flush.ms` promises it without anybody who waits for it. Judged where nothing disturbs a broker: what
//! the quiet time at the end of a run finds unflushed that is old enough.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::{Case, Check, Feature, Finding};
use crate::history::{Entry, Phase, What};

pub const CHECK: Check = Check::new("S17", "late-flush", Feature::FlushInterval, judge);

/// For the disk, and for what is queued before it.
const GRACE: Duration = Duration::from_secs(2);

/// An append that no flush has covered.
struct Dirty {
    last: Offset,
    since_ns: u64,
    at: usize,
}

/// What the present incarnations of brokers have not flushed.
#[derive(Default)]
struct Unflushed<'a> {
    logs: HashMap<(BrokerId, &'a TopicPartition), Vec<Dirty>>,
    incarnations: HashMap<BrokerId, u32>,
    /// Brokers that have a log directory less.
    failed: HashSet<BrokerId>,
}

impl<'a> Unflushed<'a> {
    /// A new incarnation has recovered what the one before left.
    fn lives(&mut self, broker: BrokerId, incarnation: u32) {
        if self.incarnations.insert(broker, incarnation) != Some(incarnation) {
            self.logs.retain(|(owner, _), _| *owner != broker);
            self.failed.remove(&broker);
        }
    }

    fn take(&mut self, at: usize, entry: &'a Entry, fact: &'a Fact) {
        match fact {
            Fact::BrokerRegistered { broker, .. } | Fact::LogRecovered { broker, .. } => {
                self.lives(*broker, entry.incarnation);
            }
            Fact::LogDirFailed { broker, .. } => drop(self.failed.insert(*broker)),
            Fact::Appended { broker, partition, last, .. } => {
                let dirty = Dirty { last: *last, since_ns: entry.at_ns, at };
                self.logs.entry((*broker, partition)).or_default().push(dirty);
            }
            Fact::Flushed { broker, partition, end } => {
                let log = self.logs.entry((*broker, partition)).or_default();
                log.retain(|dirty| dirty.last >= *end);
            }
            Fact::Truncated { broker, partition, end } => {
                let log = self.logs.entry((*broker, partition)).or_default();
                log.retain(|dirty| dirty.last < *end);
            }
            _ => {}
        }
    }
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut unflushed = Unflushed::default();
    let (mut healed_ns, mut quiet_until_ns) = (None, None);
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Phase(entered) if entered.phase == Phase::Heal => healed_ns = Some(entry.at_ns),
            What::Phase(entered) if entered.phase == Phase::Drain => {
                quiet_until_ns = Some(entry.at_ns);
                break;
            }
            What::Fact(fact) => unflushed.take(at, entry, fact),
            _ => {}
        }
    }
    let (Some(healed_ns), Some(until_ns)) = (healed_ns, quiet_until_ns) else { return Vec::new() };
    let mut findings = Vec::new();
    for ((broker, partition), log) in unflushed.logs {
        let terms = case.terms.topics.get(&partition.topic);
        let Some(interval) = terms.and_then(|topic| topic.flush_interval) else { continue };
        case.obligations.meet();
        let Some(first) = log.first().filter(|_| !unflushed.failed.contains(&broker)) else { continue };
        let waited = Duration::from_nanos(until_ns.saturating_sub(first.since_ns.max(healed_ns)));
        if waited > interval + GRACE {
            let message = format!(
                "{partition}@{} is not flushed by broker {broker} after {:.1} s; flush.ms is {}",
                first.last,
                waited.as_secs_f64(),
                interval.as_millis()
            );
            let absence = case.budget.excuses_absence(broker);
            findings.push(Finding::new(Some(partition), message, vec![first.at]).excused_by(absence));
        }
    }
    findings.sort_by(|one, other| one.evidence.cmp(&other.evidence));
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::CHECK;
    use crate::checkers::story::{Story, broker_1};
    use crate::history::{Injected, Phase};

    fn appended() -> Story {
        Story::new().flushing_every(Duration::from_millis(200)).appended(0, 3, 1)
    }

    fn quiet(story: Story) -> Story {
        story.phase(Phase::Heal).after(Duration::from_secs(10)).phase(Phase::Drain)
    }

    #[test]
    fn what_is_flushed_in_time_passes() {
        let story = quiet(appended().flushed(4));
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn what_nobody_flushes_is_found() {
        let violations = quiet(appended()).violations(&CHECK);
        assert_eq!(violations, ["orders-0@3 is not flushed by broker 1 after 10.0 s; flush.ms is 200"]);
        assert_eq!(quiet(appended().flushed(2)).violations(&CHECK).len(), 1, "a part is not all");
    }

    #[test]
    fn a_disk_that_was_left_hanging_flushes_nothing_and_one_that_nobody_met_is_no_excuse() {
        let hangs = Injected::DiskHangs { target: broker_1(), operation: None, file: None };
        let story = || appended().phase(Phase::Heal).fault(hangs.clone());
        let ends = |story: Story| story.after(Duration::from_secs(10)).phase(Phase::Drain);
        assert!(ends(story().struck("hanging-sync")).violations(&CHECK).is_empty());
        assert_eq!(ends(story()).violations(&CHECK).len(), 1);
        let cured = story().struck("hanging-sync").fault(Injected::DiskHealthy { target: broker_1() });
        assert_eq!(ends(cured).violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_topic_without_an_interval_is_flushed_when_somebody_waits() {
        let story = quiet(Story::new().appended(0, 3, 1));
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 0);
    }

    #[test]
    fn what_an_earlier_process_appended_is_not_this_ones_to_flush() {
        let story = quiet(appended().killed("broker-1").recovered(4, false));
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_record_of_the_last_moment_has_time() {
        let story = appended().flushed(4).phase(Phase::Heal).after(Duration::from_secs(10));
        assert!(story.appended(4, 4, 1).phase(Phase::Drain).violations(&CHECK).is_empty());
    }
}
