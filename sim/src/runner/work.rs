//! What a session's runs got done: records, faults, recoveries; how much of each a CPU second buys.

use serde::Serialize;

use crate::report::Verdict;

/// Sums over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Records that clients gave to a producer.
    pub sent: u64,
    /// Of these, acknowledged ones.
    pub acked: u64,
    /// Records handed to consumers, again and again counted each time.
    pub delivered: u64,
    /// Faults injected.
    pub faults: u64,
    /// Logs that a broker had to recover and that hold something: it had not closed them.
    pub recoveries: u64,
}

impl Work {
    pub fn take(&mut self, verdict: &Verdict) {
        self.sent += verdict.sends;
        self.acked += verdict.acked;
        self.delivered += verdict.delivered;
        self.faults += verdict.faults.values().sum::<u64>();
        self.recoveries += verdict.recoveries;
    }

    /// The same, for one CPU second.
    pub fn text(&self, cpu_ms: u64) -> String {
        let rate = |count: u64| count as f64 * 1000.0 / cpu_ms.max(1) as f64;
        format!(
            "{:.0} records sent, {:.0} acknowledged, {:.0} delivered, {:.1} faults and {:.1} recoveries per CPU second",
            rate(self.sent),
            rate(self.acked),
            rate(self.delivered),
            rate(self.faults),
            rate(self.recoveries)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_work_adds_up_and_is_told_for_one_second_of_cpu_time() {
        let run = |seed| Verdict {
            sends: 300,
            acked: 200,
            delivered: 100,
            faults: [("kill".to_owned(), 4), ("cut".to_owned(), 1)].into(),
            recoveries: 3,
            ..Verdict::empty("sweep", seed)
        };
        let mut work = Work::default();
        work.take(&run(1));
        work.take(&run(2));
        assert_eq!(work, Work { sent: 600, acked: 400, delivered: 200, faults: 10, recoveries: 6 });
        assert_eq!(
            work.text(2_000),
            "300 records sent, 200 acknowledged, 100 delivered, 5.0 faults and 3.0 recoveries per CPU second"
        );
    }
}
