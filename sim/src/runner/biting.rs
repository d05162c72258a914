//! How many of the faults that seeds drew changed anything, by kind, over a session of many runs.
//!
//! A sweep whose faults do nothing proves nothing, however many it drew.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::faults::Bites;
use crate::report::Verdict;
use crate::scenario::Class;

/// Below this many runs a share says nothing.
const RUNS_MIN: u64 = 200;
/// Of the drawn faults of all kinds together.
const BITING_PERCENT_MIN: u64 = 90;
/// So many kinds are named, of those that did nothing most often.
const NAMED_MAX: usize = 5;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OfKind {
    /// That drew such a fault, whether or not it bit.
    pub seeds: u64,
    #[serde(flatten)]
    pub bites: Bites,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Biting {
    kinds: BTreeMap<String, OfKind>,
}

impl Biting {
    /// Adds one run.
    pub fn take(&mut self, verdict: &Verdict) {
        for (kind, bites) in &verdict.bites {
            let of_kind = self.kinds.entry(kind.clone()).or_default();
            of_kind.seeds += 1;
            of_kind.bites.add(*bites);
        }
    }

    fn all(&self) -> Bites {
        let mut all = Bites::default();
        self.kinds.values().for_each(|of_kind| all.add(of_kind.bites));
        all
    }

    /// In all, and by kind.
    pub fn text(&self) -> String {
        let kinds = self.kinds.iter().map(|(kind, of_kind)| share(kind, of_kind.bites));
        super::tally::listed([share("all", self.all())].into_iter().chain(kinds))
    }

    /// The share of clocks and timers among the faults that bit.
    pub fn clocks(&self) -> String {
        let mut clocks = Bites::default();
        let kinds = Class::Clock.kinds().iter().filter_map(|(kind, _)| self.kinds.get(*kind));
        kinds.for_each(|of_kind| clocks.add(of_kind.bites));
        let all = self.all().bit;
        format!("{:.1} % of {all}", clocks.bit as f64 * 100.0 / all.max(1) as f64)
    }

    /// Why `runs` runs prove too little, if they do.
    pub fn objection(&self, runs: u64) -> Option<String> {
        let all = self.all();
        let suffices = all.bit * 100 >= all.all() * BITING_PERCENT_MIN;
        (runs >= RUNS_MIN && !suffices).then(|| {
            let mut worst: Vec<(&String, &OfKind)> = self.kinds.iter().collect();
            worst.sort_by_key(|(_, of_kind)| std::cmp::Reverse(of_kind.bites.nothing));
            let named = worst.iter().filter(|(_, of_kind)| of_kind.bites.nothing > 0).take(NAMED_MAX);
            let named = named.map(|(kind, of_kind)| share(kind, of_kind.bites));
            format!(
                "{:.1} % of the {} drawn faults bit, not {BITING_PERCENT_MIN} %; most did nothing of: {}",
                percent(all),
                all.all(),
                super::tally::listed(named)
            )
        })
    }
}

fn percent(bites: Bites) -> f64 {
    bites.bit as f64 * 100.0 / bites.all().max(1) as f64
}

fn share(kind: &str, bites: Bites) -> String {
    format!("{kind} {:.1} % of {}", percent(bites), bites.all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(all: &[(&str, u64, u64)]) -> Biting {
        let mut biting = Biting::default();
        for (kind, bit, nothing) in all {
            let bites = [((*kind).to_owned(), Bites { bit: *bit, nothing: *nothing })].into();
            biting.take(&Verdict { bites, ..Verdict::empty("sweep", 1) });
        }
        biting
    }

    #[test]
    fn the_share_is_told_in_all_and_by_kind() {
        let biting = taken(&[("cut", 1, 0), ("cut", 0, 3), ("idle", 2, 0)]);
        assert_eq!(biting.text(), "all 50.0 % of 6, cut 25.0 % of 4, idle 100.0 % of 2");
        let json = serde_json::to_value(&biting).unwrap();
        assert_eq!(json["cut"], serde_json::json!({"seeds": 2, "bit": 1, "nothing": 3}));
    }

    #[test]
    fn the_share_of_clocks_is_that_of_the_faults_that_bit() {
        let biting = taken(&[("kill", 6, 1), ("clock-bump", 1, 9), ("timers-late", 1, 0)]);
        assert_eq!(biting.clocks(), "25.0 % of 8");
        assert_eq!(Biting::default().clocks(), "0.0 % of 0");
    }

    #[test]
    fn a_sweep_of_which_too_few_faults_bit_is_objected_to_and_the_worst_kinds_are_named() {
        let biting = taken(&[("kill", 50, 0), ("cut", 30, 9), ("idle", 9, 2)]);
        assert_eq!(biting.objection(199), None, "too few runs to tell");
        let objection = biting.objection(200).expect("89 of 100 bit");
        let says = "89.0 % of the 100 drawn faults bit, not 90 %; most did nothing of: cut 76.9 % of 39, idle 81.8 % of 11";
        assert_eq!(objection, says);
        assert_eq!(taken(&[("kill", 50, 0), ("cut", 40, 10)]).objection(200), None);
    }
}
