//! The fault atlas of a session: which kinds of faults fired, in how many seeds, how often, and which never did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::Injected;
use crate::report::Verdict;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fired {
    pub seeds: u64,
    pub times: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Atlas {
    fired: BTreeMap<String, Fired>,
}

impl Atlas {
    /// Adds one run.
    pub fn take(&mut self, verdict: &Verdict) {
        for (kind, times) in &verdict.faults {
            let fired = self.fired.entry(kind.clone()).or_default();
            fired.seeds += 1;
            fired.times += times;
        }
    }

    /// The kinds that fired nowhere.
    pub fn never(&self) -> Vec<&'static str> {
        Injected::KINDS.iter().copied().filter(|kind| !self.fired.contains_key(*kind)).collect()
    }

    /// A table for people, in the order of the catalogue.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{:<26} {:>7} {:>8}", "fault atlas", "seeds", "times")];
        for kind in Injected::KINDS {
            if let Some(fired) = self.fired.get(*kind) {
                lines.push(format!("  {kind:<24} {:>7} {:>8}", fired.seeds, fired.times));
            }
        }
        let never = self.never();
        if !never.is_empty() {
            lines.push(format!("  never fired: {}", never.join(", ")));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_atlas_counts_seeds_and_times_and_names_what_never_fired() {
        let mut verdict = Verdict::empty("sweep", 1);
        verdict.faults.insert("kill".into(), 3);
        let mut atlas = Atlas::default();
        atlas.take(&verdict);
        atlas.take(&verdict);
        assert_eq!(atlas.fired["kill"], Fired { seeds: 2, times: 6 });
        assert!(atlas.never().contains(&"wipe"));
        assert!(!atlas.never().contains(&"kill"));
        assert!(atlas.text().contains("never fired: zookeeper-kill"), "{}", atlas.text());
    }
}
