//! S18, `needless-failure`: a broker gave up its log directory, or its start, though its disk had done nothing to it.
//!
//! What is only short (room, descriptors) is waited for. Who gives up for it turns a full disk into an outage, which
//! a later restart hides.

use std::collections::HashMap;

use seedlog::facts::Fact;
use seedlog::types::BrokerId;

use super::{Case, Check, Feature, Finding};
use crate::cluster::ZOOKEEPER;
use crate::history::{Injected, Seen, What, broker_of_node};

pub const CHECK: Check = Check::new("S18", "needless-failure", Feature::BrokerFailed, judge);

/// What the disk did to a broker.
#[derive(Default)]
struct Disk {
    /// In which incarnation an operation failed last: who met that may believe nothing any more.
    failed: Option<u32>,
    /// What is stored may be wrong from then on.
    is_damaged: bool,
    /// How often the testbed has started it again.
    incarnation: u32,
}

#[derive(Default)]
struct Disks {
    disks: HashMap<BrokerId, Disk>,
    /// A broker may have to wait for ZooKeeper longer than it is ready to.
    is_zookeeper_injured: bool,
}

impl Disks {
    fn take_fault(&mut self, fault: &Injected) {
        let targets = fault.targets();
        self.is_zookeeper_injured |= targets.iter().any(|target| &***target == ZOOKEEPER);
        let Some(broker) = targets.first().and_then(|target| broker_of_node(target)) else { return };
        if let Injected::Start { .. } = fault {
            self.disks.entry(broker).or_default().incarnation += 1;
        }
    }

    fn take_seen(&mut self, seen: &Seen) {
        let Seen::Struck { target, fault } = seen else { return };
        let Some(broker) = broker_of_node(target) else { return };
        let disk = self.disks.entry(broker).or_default();
        match &**fault {
            "lying-sync" | "misdirected-write" | "sector-lost" | "damage-read" => disk.is_damaged = true,
            // Of a sync of long ago perhaps, in another life even.
            "lost-write-told" | "short-write" => disk.failed = Some(disk.incarnation),
            fault if fault.ends_with("-error") => disk.failed = Some(disk.incarnation),
            _ => {}
        }
    }

    fn is_reason_to_give_up(&self, broker: BrokerId) -> bool {
        self.disks.get(&broker).is_some_and(|disk| disk.is_damaged || disk.failed == Some(disk.incarnation))
    }
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut disks = Disks::default();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fault(fault) => disks.take_fault(fault),
            What::Seen(seen) => disks.take_seen(seen),
            What::Fact(Fact::LogDirFailed { broker, reason }) => {
                case.obligations.meet();
                if !disks.is_reason_to_give_up(*broker) {
                    let message = format!("broker {broker} gave its log directory up without need: {reason}");
                    findings.push(Finding::new(None, message, vec![at]));
                }
            }
            What::Fact(Fact::BrokerStartFailed { broker, reason }) => {
                case.obligations.meet();
                if !disks.is_reason_to_give_up(*broker) && !disks.is_zookeeper_injured {
                    let message = format!("broker {broker} did not start without need: {reason}");
                    findings.push(Finding::new(None, message, vec![at]));
                }
            }
            _ => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use seedlog::facts::Fact;
    use seedlog::types::BrokerId;

    use super::CHECK;
    use crate::checkers::story::{Story, broker_1};
    use crate::history::Injected;

    fn gives_up(story: Story) -> Story {
        story.fact("broker-1", Fact::LogDirFailed { broker: BrokerId(1), reason: "no space".into() })
    }

    fn does_not_start(story: Story) -> Story {
        let reason = "broker 1 is registered by another process".into();
        story.fact("broker-1", Fact::BrokerStartFailed { broker: BrokerId(1), reason })
    }

    #[test]
    fn who_gives_up_after_a_failed_sync_passes() {
        assert!(gives_up(Story::new().struck("lost-write-told")).violations(&CHECK).is_empty());
        let story = gives_up(Story::new().struck("sync-error"));
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn who_gives_up_for_want_of_room_is_found() {
        let violations = gives_up(Story::new().struck("no-space")).violations(&CHECK);
        assert_eq!(violations, ["broker 1 gave its log directory up without need: no space"]);
        assert_eq!(gives_up(Story::new().struck("too-many-files")).violations(&CHECK).len(), 1);
    }

    #[test]
    fn what_struck_an_earlier_process_is_no_reason_unless_it_lasts() {
        let restarted = |struck| Story::new().struck(struck).fault(Injected::Start { target: broker_1() });
        assert_eq!(gives_up(restarted("write-error")).violations(&CHECK).len(), 1);
        assert!(gives_up(restarted("lying-sync")).violations(&CHECK).is_empty());
    }

    #[test]
    fn who_does_not_start_while_zookeeper_is_well_is_found() {
        assert_eq!(does_not_start(Story::new()).violations(&CHECK).len(), 1);
        let injured = Story::new().fault(Injected::Kill { target: "zookeeper".into() });
        assert!(does_not_start(injured).violations(&CHECK).is_empty());
    }
}
