//! How many of the faults that seeds drew changed anything, by kind, over a session of many runs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::faults::Bites;
use crate::report::Verdict;

#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Biting {
    kinds: BTreeMap<String, Bites>,
}

impl Biting {
    /// Adds one run.
    pub fn take(&mut self, verdict: &Verdict) {
        for (kind, bites) in &verdict.bites {
            self.kinds.entry(kind.clone()).or_default().add(*bites);
        }
    }

    /// Those that are measured, in all and by kind, and those that are not.
    pub fn text(&self) -> String {
        let mut all = Bites::default();
        self.kinds.values().for_each(|bites| all.add(*bites));
        let measured = self.kinds.iter().filter(|(_, bites)| bites.bit + bites.nothing > 0);
        let kinds = measured.map(|(kind, bites)| share(kind, *bites));
        let unmeasured = self.kinds.iter().filter(|(_, bites)| bites.not_measured > 0);
        let unmeasured = unmeasured.map(|(kind, bites)| format!("{kind} {}", bites.not_measured));
        format!(
            "{}; {}; not measured: {}",
            share("all", all),
            super::tally::listed(kinds),
            super::tally::listed(unmeasured)
        )
    }
}

fn share(kind: &str, bites: Bites) -> String {
    let measured = bites.bit + bites.nothing;
    format!("{kind} {:.1} % of {measured}", bites.bit as f64 * 100.0 / measured.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_what_is_measured_and_the_rest_is_named() {
        let bites = |kind: &str, bit, nothing, not_measured| {
            let bites = [(kind.to_owned(), Bites { bit, nothing, not_measured })].into();
            Verdict { bites, ..Verdict::empty("sweep", 1) }
        };
        let mut biting = Biting::default();
        [bites("cut", 1, 0, 0), bites("cut", 0, 3, 0), bites("idle", 0, 0, 2)]
            .iter()
            .for_each(|v| biting.take(v));
        assert_eq!(biting.text(), "all 25.0 % of 4; cut 25.0 % of 4; not measured: idle 2");
    }
}
