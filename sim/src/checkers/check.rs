//! A demand by name, the runs that it applies to, and how much of it a run has exercised.
//!
//! A check that compared nothing says nothing: what it met of what it is there to judge are its *obligations*. A sweep
//! counts, of the seeds that have a check's [`Feature`], those in which there was one at least.

use std::cell::Cell;

use seedlog::facts::Fact;
use seedlog::types::Acks;

use super::{Case, Finding};
use crate::history::What;

/// Of the seeds that have the feature, so many percent must have exercised a check, unless it says otherwise.
const EXERCISED_PERCENT_MIN: u64 = 20;

/// One demand.
pub struct Check {
    /// Its row in the table of checks.
    pub id: &'static str,
    /// Its name for people.
    pub slug: &'static str,
    /// What a run must have for it to be applicable.
    pub feature: Feature,
    /// Percent of the seeds with the feature.
    pub exercised_min: u64,
    /// Of all seeds, fewer than so many percent may be excused from it without damage beyond the budget.
    pub excused_in_budget_below: Option<u64>,
    pub(super) judge: fn(&Case) -> Vec<Finding>,
}

/// What not every seed has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// What every run has: a broker, ZooKeeper, records that are sent and read.
    Any,
    /// A producer that asks for acknowledgements which promise something.
    Promises,
    /// A producer that gives records keys.
    Keys,
    /// A client that looks at every field of every reply.
    RawClient,
    /// A consumer that seeks to and fro.
    Wanderer,
    /// A consumer group.
    Group,
    /// A group whose members commit by themselves.
    AutoCommit,
    /// A topic that is flushed every so often.
    FlushInterval,
    /// A topic of which readers are told nothing that is not flushed.
    ExposesFlushed,
    /// Nothing but the run decides: a send certainly failed in it.
    FailedSend,
    /// Likewise: a position was reset, or its application asked where to go.
    Reset,
    /// Likewise: a broker gave up its log directory or its start.
    BrokerFailed,
}

/// What one check has met of what it is there to judge.
#[derive(Debug, Default)]
pub struct Obligations {
    met: Cell<u64>,
}

impl Check {
    pub(super) const fn new(
        id: &'static str,
        slug: &'static str,
        feature: Feature,
        judge: fn(&Case) -> Vec<Finding>,
    ) -> Check {
        let exercised_min = EXERCISED_PERCENT_MIN;
        Check { id, slug, feature, exercised_min, excused_in_budget_below: None, judge }
    }

    /// Its excuses in budget are to be a trifle.
    pub(super) const fn excused_in_budget_below(mut self, percent: u64) -> Check {
        self.excused_in_budget_below = Some(percent);
        self
    }

    /// Another share than the usual one; the reason stands beside the check.
    pub(super) const fn exercised_in(mut self, percent: u64) -> Check {
        self.exercised_min = percent;
        self
    }
}

impl Feature {
    pub(super) fn is_in(self, case: &Case) -> bool {
        let terms = case.terms;
        let some_fact = |is_it: fn(&Fact) -> bool| {
            case.history.iter().any(|entry| matches!(&entry.what, What::Fact(fact) if is_it(fact)))
        };
        match self {
            Feature::Any => true,
            Feature::Promises => terms.producers.values().any(|producer| producer.acks != Acks::None),
            Feature::Keys => terms.producers.values().any(|producer| producer.keyed && producer.follows_keys),
            Feature::RawClient => terms.producers.values().any(|producer| producer.is_wire),
            Feature::Wanderer => terms.consumers.values().any(|consumer| consumer.wanders),
            Feature::Group => !terms.groups.is_empty(),
            Feature::AutoCommit => terms.groups.values().any(|group| group.auto_commit.is_some()),
            Feature::ExposesFlushed => terms.topics.values().any(|topic| topic.exposes_flushed),
            Feature::FlushInterval => terms.topics.values().any(|topic| topic.flush_interval.is_some()),
            Feature::FailedSend => some_fact(|fact| matches!(fact, Fact::SendFailed { .. })),
            Feature::Reset => {
                some_fact(|fact| matches!(fact, Fact::PositionReset { .. } | Fact::PositionRefused { .. }))
            }
            Feature::BrokerFailed => {
                some_fact(|fact| matches!(fact, Fact::LogDirFailed { .. } | Fact::BrokerStartFailed { .. }))
            }
        }
    }
}

impl Obligations {
    /// Something was compared with what it has to be.
    pub fn meet(&self) {
        self.meet_many(1);
    }

    pub fn meet_many(&self, compared: u64) {
        self.met.set(self.met.get() + compared);
    }

    /// What was met since the last time.
    pub fn take(&self) -> u64 {
        self.met.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::types::Offset;

    use crate::checkers::story::{Story, orders};
    use crate::checkers::{CHECKS, OVER_BUDGET, named};
    use crate::history::Phase;

    /// A run in which everything is as it should be, and that has something for most checks.
    fn good() -> Story {
        let story = Story::new().group_terms(Duration::from_secs(2), Duration::ZERO);
        let story = story.phase(Phase::Start).appended_in(1, 0, 1).flushed(2).phase(Phase::Storm);
        let story = story.send(0, "a").acked(0, 0).send(1, "b").acked(1, 1).flush_returned();
        let story = story.member("m-1", 1, 0).worked_on("m-1", 0, "a").processed("m-1", 0);
        let story = story.commits("m-1", 1).killed("m-1").session_expired(1).member("m-1", 2, 1);
        let story = story.worked_on("m-1", 1, "b").processed("m-1", 1).commits("m-1", 2);
        let story = story.kill().recovered(2, false).registered();
        let story = story.rebalanced("m-1", 1).assigned("c", 0).phase(Phase::Heal).phase(Phase::Converge);
        let story = story.read("c", 0, "a").read("c", 1, "b").at_once();
        let story = story.after(Duration::from_secs(10)).phase(Phase::Drain);
        let story = story.assigned("auditor", 0).read("auditor", 0, "a").read("auditor", 1, "b");
        story.phase(Phase::Judge)
    }

    /// Stories of their own show that these have met something.
    const MET_ELSEWHERE: [&str; 17] = [
        "misstated-delivery",
        "stale-leader",
        "fair-turns",
        "wrong-metric",
        "wrong-health",
        "needless-failure",
        "late-commit",
        "late-flush",
        "aborted-read",
        "unexplained-reset",
        "wrong-position",
        "wrong-time",
        "wrong-reply",
        "moved-key",
        "leader-epochs",
        "zookeeper-model",
        "unfinished-flush",
    ];

    #[test]
    fn a_good_run_meets_an_obligation_of_every_check_and_no_violation() {
        let story = good();
        for check in &CHECKS {
            assert_eq!(story.violations(check), Vec::<String>::new(), "{}", check.slug);
            if !MET_ELSEWHERE.contains(&check.slug) {
                assert!(story.met(check) > 0, "{}", check.slug);
            }
        }
    }

    #[test]
    fn excuses_of_damage_beyond_the_budget_say_so() {
        let budget = Story::new().appended(0, 0, 1).damaged("flip-bit", 0, Some(1)).budget();
        let excuse = budget.excuses_loss(&orders(), Offset(0)).expect("it is lost");
        assert!(excuse.starts_with(OVER_BUDGET), "{excuse}");
    }

    #[test]
    fn a_run_in_which_nothing_happened_meets_no_obligation() {
        for check in &CHECKS {
            assert_eq!(Story::new().met(check), 0, "{}", check.slug);
        }
    }

    #[test]
    fn checks_that_wait_for_something_special_meet_it_in_their_own_good_stories() {
        let met = |slug: &str, story: Story| {
            let check = named(slug).unwrap();
            assert_eq!(story.violations(check), Vec::<String>::new(), "{slug}");
            assert!(story.met(check) > 0, "{slug}");
        };
        met("aborted-read", Story::new().send(0, "a").failed(0).read("c", 0, "b"));
        met("leader-epochs", Story::new().appended_in(1, 0, 1).killed("broker-1").appended_in(2, 2, 3));
        met("unfinished-flush", Story::new().send(0, "a").acked(0, 0).flush_returned());
        let reset = Story::new().appended(0, 9, 1).assigned("c", 40).reset("c", Some(40), 10, (0, 10));
        met("unexplained-reset", reset);
    }
}
