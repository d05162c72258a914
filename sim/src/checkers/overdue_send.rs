//! H26, `overdue-send`: a record met its fate after its delivery timeout was over.
//!
//! The producer promises a verdict by then, whatever brokers and networks do. Only its own process may be late: while
//! it was paused it could not tell, and where its timers are late it is as late as they are, each time that it looks. A
//! record without any fate is check L1's.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use seedlog::facts::Fact;

use super::{Case, Check, Feature, Finding};
use crate::history::{Injected, What};

pub const CHECK: Check = Check::new("H26", "overdue-send", Feature::Any, judge);

/// For a busy process to get to it.
const GRACE: Duration = Duration::from_secs(1);

/// Timers that run out one after the other before a verdict: of the expiry, of the request, of a pause between two tries.
const LOOKS: u32 = 3;

/// A send without a fate.
struct Open {
    invoked: usize,
    /// How long its process had been paused by then.
    paused_ns: u64,
    /// The coarsest grid of its process's timers meanwhile.
    grid_ms: u32,
}

/// One incarnation of a process.
#[derive(Default)]
struct Process {
    incarnation: u32,
    /// By number.
    open: BTreeMap<u64, Open>,
    /// In pauses that are over.
    paused_ns: u64,
    paused_since: Option<u64>,
    /// Timers that are late end on a multiple of so much.
    grid_ms: u32,
}

impl Process {
    fn delay_timers(&mut self, grid_ms: u32) {
        self.grid_ms = grid_ms;
        for open in self.open.values_mut() {
            open.grid_ms = open.grid_ms.max(grid_ms);
        }
    }

    fn paused_until(&self, now_ns: u64) -> u64 {
        self.paused_ns + self.paused_since.map_or(0, |since| now_ns - since)
    }

    fn resume(&mut self, now_ns: u64) {
        self.paused_ns = self.paused_until(now_ns);
        self.paused_since = None;
    }
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut processes: HashMap<&str, Process> = HashMap::new();
    let mut findings = Vec::new();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fault(Injected::Pause { target } | Injected::Suspend { target }) => {
                processes.entry(target).or_default().paused_since.get_or_insert(entry.at_ns);
            }
            What::Fault(Injected::Resume { target }) => {
                processes.entry(target).or_default().resume(entry.at_ns)
            }
            What::Fault(Injected::TimersLate { target, grid_ms }) => {
                processes.entry(target).or_default().delay_timers(*grid_ms);
            }
            What::Fault(Injected::TimersRight { target }) => {
                processes.entry(target).or_default().grid_ms = 0;
            }
            What::Fact(fact) => {
                let process = processes.entry(&entry.node).or_default();
                if process.incarnation != entry.incarnation {
                    let grid_ms = process.grid_ms;
                    *process = Process { incarnation: entry.incarnation, grid_ms, ..Process::default() };
                }
                findings.extend(take(case, process, at, fact));
            }
            _ => {}
        }
    }
    findings
}

fn take(case: &Case, process: &mut Process, at: usize, fact: &Fact) -> Option<Finding> {
    let now_ns = case.history[at].at_ns;
    let (producer, seq, partition) = match fact {
        Fact::SendInvoked { seq, .. } => {
            let open =
                Open { invoked: at, paused_ns: process.paused_until(now_ns), grid_ms: process.grid_ms };
            process.open.insert(*seq, open);
            return None;
        }
        Fact::SendOk { producer, seq, partition, .. }
        | Fact::SendFailed { producer, seq, partition, .. }
        | Fact::SendUnknown { producer, seq, partition, .. } => (producer, seq, partition),
        _ => return None,
    };
    let open = process.open.remove(seq)?;
    let terms = case.terms.producers.get(producer).filter(|terms| !terms.is_wire)?;
    case.obligations.meet();
    let paused_ns = process.paused_until(now_ns) - open.paused_ns;
    let took = Duration::from_nanos(now_ns - case.history[open.invoked].at_ns);
    let active = took.saturating_sub(Duration::from_nanos(paused_ns));
    let late = Duration::from_millis(open.grid_ms.into()) * LOOKS;
    (active > terms.delivery_timeout + GRACE + late).then(|| {
        let message = format!(
            "{producer} learned the fate of send {seq} after {:.1} s; its delivery timeout is {:.1} s",
            active.as_secs_f64(),
            terms.delivery_timeout.as_secs_f64()
        );
        Finding::new(Some(partition), message, vec![open.invoked, at])
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::CHECK;
    use crate::checkers::story::Story;
    use crate::history::Injected;

    fn sent_for(time: Duration) -> Story {
        Story::new().send(0, "r-0").after(time)
    }

    #[test]
    fn a_fate_within_the_delivery_timeout_passes() {
        let story = sent_for(Duration::from_secs(29)).unknown(0);
        assert!(story.violations(&CHECK).is_empty());
        assert_eq!(story.met(&CHECK), 1);
    }

    #[test]
    fn a_verdict_that_comes_too_late_is_found() {
        let expected = ["shop learned the fate of send 0 after 40.0 s; its delivery timeout is 30.0 s"];
        assert_eq!(sent_for(Duration::from_secs(40)).acked(0, 0).violations(&CHECK), expected);
        assert_eq!(sent_for(Duration::from_secs(40)).unknown(0).violations(&CHECK).len(), 1);
    }

    #[test]
    fn while_it_was_paused_it_could_not_tell() {
        let pause = || Injected::Pause { target: "shop".into() };
        let resume = || Injected::Resume { target: "shop".into() };
        let story = Story::new().send(0, "r-0").fault(pause()).after(Duration::from_secs(20)).fault(resume());
        let short = story.after(Duration::from_secs(20)).acked(0, 0);
        assert!(short.violations(&CHECK).is_empty());
        let long = Story::new().send(0, "r-0").fault(pause()).after(Duration::from_secs(20)).fault(resume());
        let long = long.after(Duration::from_secs(40)).acked(0, 0);
        assert_eq!(long.violations(&CHECK).len(), 1);
    }

    #[test]
    fn a_process_whose_timers_are_late_is_late_as_well() {
        let sent = |grid_ms| {
            let late = Injected::TimersLate { target: "shop".into(), grid_ms };
            Story::new().send(0, "r-0").fault(late).after(Duration::from_secs(33)).unknown(0)
        };
        assert!(sent(2_000).violations(&CHECK).is_empty());
        assert_eq!(sent(20).violations(&CHECK).len(), 1);
    }

    #[test]
    fn what_an_earlier_process_had_sent_is_nobodys() {
        let story = sent_for(Duration::from_secs(60)).killed("shop").send(0, "r-1").acked(0, 1);
        assert!(story.violations(&CHECK).is_empty());
    }
}
