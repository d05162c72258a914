//! C6, `needless-expiry`: a member of a group lost its session although nothing stood between it and ZooKeeper: whatever
//! server it had been attached to, another one with a leader would have taken it in in time.
//!
//! Judged where neither the member nor ZooKeeper as a whole was touched by a fault for two session timeouts and a little
//! more. One server that loses its leader is no reason. What lasts counts as lasting until the heal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::types::SessionId;

use super::{Case, Check, Feature, Finding};
use crate::cluster::ZOOKEEPER;
use crate::history::{Injected, Phase, What};

pub const CHECK: Check = Check::new("C6", "needless-expiry", Feature::Group, judge);

/// So many session timeouts after a fault, and this much more, nothing of it is left.
const CALM_SESSIONS: u32 = 2;
const CALM_MORE: Duration = Duration::from_secs(2);

/// Whom faults touched.
#[derive(Default)]
struct Touched<'a> {
    /// The last time.
    at_ns: BTreeMap<&'a str, u64>,
    /// By what lasts.
    lastingly: BTreeSet<&'a str>,
}

impl<'a> Touched<'a> {
    fn observe(&mut self, at_ns: u64, fault: &'a Injected) {
        if matches!(fault, Injected::Detach { reaches_others: true, .. } | Injected::Rejoin { .. }) {
            return;
        }
        for target in fault.targets() {
            self.at_ns.insert(target, at_ns);
            if lasts(fault) {
                self.lastingly.insert(target);
            }
        }
    }

    fn heal(&mut self, at_ns: u64) {
        for target in std::mem::take(&mut self.lastingly) {
            self.at_ns.insert(target, at_ns);
        }
    }

    fn is_calm(&self, node: &str, now_ns: u64, session: Duration) -> bool {
        let calm = session * CALM_SESSIONS + CALM_MORE;
        [node, ZOOKEEPER].iter().all(|node| {
            let since = self.at_ns.get(node).copied().unwrap_or_default();
            !self.lastingly.contains(node) && u128::from(now_ns - since) >= calm.as_nanos()
        })
    }
}

/// Whether it touches anybody for longer than a moment.
fn lasts(fault: &Injected) -> bool {
    let ends_with_a_start =
        matches!(fault, Injected::Kill { .. } | Injected::PowerFailure { .. } | Injected::Stop { .. });
    fault.kind().is_some()
        && !fault.is_a_moments()
        && !ends_with_a_start
        // Of the application alone.
        && !matches!(fault, Injected::Slow { .. })
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut touched = Touched::default();
    // The member's node, and what its session was granted.
    let mut holders: BTreeMap<SessionId, (Arc<str>, Duration)> = BTreeMap::new();
    let mut expired: BTreeMap<SessionId, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fault(fault) => touched.observe(entry.at_ns, fault),
            What::Phase(entered) if entered.phase == Phase::Converge => touched.heal(entry.at_ns),
            What::Fact(Fact::GroupJoined { group, session, .. }) => {
                let timeout = case.terms.group(group).session_timeout;
                holders.insert(*session, (Arc::clone(&entry.node), timeout));
            }
            What::Fact(Fact::SessionExpired { session }) => {
                let calm =
                    |(node, timeout): &(Arc<str>, Duration)| touched.is_calm(node, entry.at_ns, *timeout);
                if holders.get(session).is_some_and(calm) {
                    expired.insert(*session, at);
                }
            }
            // Its process lives: a dead one's session ends as it should.
            What::Fact(Fact::GroupSessionLost { consumer, session, .. }) => {
                holders.remove(session);
                if let Some(expired_at) = expired.remove(session) {
                    let message =
                        format!("{consumer} lost session {session:#x} and nothing stood in its way");
                    findings.push(Finding::new(None, message, vec![expired_at, at]));
                }
            }
            _ => {}
        }
    }
    let Some(end) = case.history.last() else { return findings };
    let calm = holders.values().filter(|(node, timeout)| touched.is_calm(node, end.at_ns, *timeout));
    case.obligations.meet_many(calm.count() as u64);
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seedlog::types::SessionId;

    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::history::Injected;

    fn detached(reaches_others: bool) -> Injected {
        Injected::Detach { target: "m-1".into(), session: SessionId(1), reaches_others }
    }

    fn lost(story: Story) -> Story {
        story.after(Duration::from_secs(5)).session_expired(1).session_lost("m-1", 1)
    }

    fn at_work() -> Story {
        Story::new().member("m-1", 1, 0).after(Duration::from_secs(20))
    }

    #[test]
    fn a_member_that_stays_with_a_server_without_a_leader_is_found() {
        let story = lost(at_work().fault(detached(true)));
        assert_eq!(story.violations(&CHECK), ["m-1 lost session 0x1 and nothing stood in its way"]);
    }

    #[test]
    fn one_that_could_reach_nobody_or_was_dead_passes() {
        assert!(lost(at_work().fault(detached(false))).violations(&CHECK).is_empty());
        let expired = Injected::ExpireSession { target: "m-1".into(), session: SessionId(1) };
        assert!(lost(at_work().fault(expired)).violations(&CHECK).is_empty());
        let dead = at_work().after(Duration::from_secs(5)).session_expired(1);
        assert!(dead.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_fault_that_lasts_excuses_for_as_long() {
        let cut = Injected::Cut { from: "m-1".into(), to: "zookeeper".into() };
        let story = lost(at_work().fault(cut).after(Duration::from_secs(60)));
        assert!(story.violations(&CHECK).is_empty());
    }

    #[test]
    fn a_member_in_peace_was_looked_at() {
        assert_eq!(at_work().after(Duration::from_secs(20)).kill().met(&CHECK), 1);
    }
}
