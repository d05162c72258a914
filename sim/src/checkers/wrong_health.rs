//! H31, `wrong-health`: a broker calls itself well that has given up its log directory, or unwell while nothing ails it.
//!
//! The second is judged in the quiet time at the end of a run: no fault has been active for a while then.

use std::collections::{HashMap, HashSet};

use seedlog::facts::Fact;
use seedlog::types::BrokerId;

use super::{Case, Check, Feature, Finding};
use crate::history::{Entry, Phase, Seen, What, broker_of_node};

pub const CHECK: Check = Check::new("H31", "wrong-health", Feature::Any, judge);

/// Brokers speak of what they were refused for so long, and of a session's silence for no longer.
const REMEMBERED_NS: u64 = 40_000_000_000;

/// The end of the quiet time.
const QUIET_NS: u64 = 5_000_000_000;

#[derive(Default)]
struct Brokers {
    incarnations: HashMap<BrokerId, u32>,
    /// Whose present process has given up.
    failed: HashSet<BrokerId>,
    /// Whose disk did something that lasts, or did anything a short while ago.
    damaged: HashSet<BrokerId>,
    struck_ns: HashMap<BrokerId, u64>,
}

impl Brokers {
    fn take(&mut self, entry: &Entry) {
        match &entry.what {
            What::Seen(Seen::Struck { target, fault }) => {
                let Some(broker) = broker_of_node(target) else { return };
                self.struck_ns.insert(broker, entry.at_ns);
                if !matches!(&**fault, "slow" | "no-space" | "too-many-files" | "connect-hindered") {
                    self.damaged.insert(broker);
                }
            }
            What::Seen(Seen::Damaged { target, .. }) => {
                self.damaged.extend(broker_of_node(target));
            }
            What::Fact(fact) => {
                let Some(broker) = broker_of_node(&entry.node) else { return };
                if self.incarnations.insert(broker, entry.incarnation) != Some(entry.incarnation) {
                    self.failed.remove(&broker);
                }
                if let Fact::LogDirFailed { .. } = fact {
                    self.failed.insert(broker);
                }
            }
            _ => {}
        }
    }

    fn has_a_reason(&self, broker: BrokerId, at_ns: u64) -> bool {
        let lately = |ns: &u64| at_ns - ns < REMEMBERED_NS;
        self.damaged.contains(&broker)
            || self.failed.contains(&broker)
            || self.struck_ns.get(&broker).is_some_and(lately)
    }
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut brokers = Brokers::default();
    let is_drain = |entry: &&Entry| matches!(&entry.what, What::Phase(p) if p.phase == Phase::Drain);
    let drained_ns = case.history.iter().find(is_drain).map(|entry| entry.at_ns);
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        brokers.take(entry);
        let What::Fact(Fact::HealthRead { broker, problems, .. }) = &entry.what else { continue };
        case.obligations.meet();
        let is_quiet = drained_ns.is_some_and(|drained_ns| entry.at_ns + QUIET_NS > drained_ns);
        let message = match problems.first() {
            None if brokers.failed.contains(broker) => {
                format!("broker {broker} calls itself well, and has given up its log directory")
            }
            Some(problem) if is_quiet && !brokers.has_a_reason(*broker, entry.at_ns) => {
                format!("broker {broker} calls itself unwell without a reason: {problem}")
            }
            _ => continue,
        };
        findings.push(Finding::new(None, message, vec![at]));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::facts::Fact;
    use seedlog::types::BrokerId;

    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::history::Phase;

    fn says(story: Story, problems: &[&str]) -> Story {
        let problems = problems.iter().map(|problem| (*problem).to_owned()).collect();
        story.fact("monitor", Fact::HealthRead { client: "monitor".into(), broker: BrokerId(1), problems })
    }

    fn failed() -> Story {
        let reason = "sync failed".into();
        Story::new().struck("sync-error").fact("broker-1", Fact::LogDirFailed { broker: BrokerId(1), reason })
    }

    #[test]
    fn a_broker_that_has_given_up_and_calls_itself_well_is_found() {
        assert_eq!(
            says(failed(), &[]).violations(&CHECK),
            ["broker 1 calls itself well, and has given up its log directory"]
        );
        assert!(says(failed(), &["log directory failed"]).violations(&CHECK).is_empty());
        assert!(
            says(failed().killed("broker-1").registered(), &[]).violations(&CHECK).is_empty(),
            "another process"
        );
    }

    #[test]
    fn a_broker_that_calls_itself_unwell_in_peace_is_found() {
        let quiet =
            |story: Story| story.phase(Phase::Heal).after(Duration::from_secs(60)).phase(Phase::Drain);
        let unwell = |story| says(quiet(story), &["no leader of ZooKeeper was heard"]).violations(&CHECK);
        assert_eq!(unwell(Story::new()).len(), 1);
        assert!(unwell(Story::new().struck("sector-lost")).is_empty());
        assert_eq!(unwell(Story::new().struck("no-space")).len(), 1, "it has passed");
        let at_once = says(Story::new(), &["no leader of ZooKeeper was heard"]);
        assert!(at_once.after(Duration::from_secs(60)).phase(Phase::Drain).violations(&CHECK).is_empty());
    }
}
