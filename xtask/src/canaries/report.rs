//! What was found, and how soon.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::plant::Canary;

/// One line of `score --json`.
#[derive(Deserialize)]
pub struct Score {
    rule: String,
    found: bool,
    reproduced: bool,
    check: String,
    seeds: u64,
    asked: u64,
    cpu_ms: u64,
}

impl Score {
    /// `None` for the line that sums up.
    pub fn from_line(line: &str) -> Result<Option<Score>> {
        let value: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        match value.get("summary") {
            Some(_) => Ok(None),
            None => Ok(Some(serde_json::from_value(value)?)),
        }
    }

    fn name(&self) -> &str {
        self.rule.strip_prefix("canary-").unwrap_or(&self.rule)
    }

    fn counts(&self) -> bool {
        self.found && self.reproduced
    }
}

#[derive(Default)]
pub struct Tally {
    scores: Vec<Score>,
}

impl Tally {
    pub fn add(&mut self, score: Score) {
        self.scores.push(score);
    }

    pub fn count(&self) -> usize {
        self.scores.len()
    }

    /// About the last that was added.
    pub fn last_line(&self, of: usize) -> String {
        let Some(score) = self.scores.last() else { return String::new() };
        let (number, name, seeds) = (self.count(), score.name(), score.seeds);
        match (score.found, score.reproduced) {
            (true, true) => {
                format!(
                    "{number}/{of} found  {name}: {} after {seeds} seeds, {} ms CPU",
                    score.check, score.cpu_ms
                )
            }
            (true, false) => format!("{number}/{of} NOT REPRODUCED  {name}: {}", score.check),
            (false, _) => format!(
                "{number}/{of} MISSED  {name}: {seeds} seeds, met in {}, {} ms CPU",
                score.asked, score.cpu_ms
            ),
        }
    }

    /// The share found, by area and in all.
    pub fn text(&self, canaries: &[Canary]) -> String {
        let area_of: BTreeMap<&str, &str> =
            canaries.iter().map(|canary| (canary.name.as_str(), canary.area.as_str())).collect();
        let mut areas: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for score in &self.scores {
            let (found, all) = areas.entry(area_of.get(score.name()).unwrap_or(&"?")).or_default();
            *found += usize::from(score.counts());
            *all += 1;
        }
        let mut text = String::new();
        for (area, (found, all)) in areas {
            writeln!(text, "{area:<18} {found} of {all}").expect("a string takes all");
        }
        let found: Vec<_> = self.scores.iter().filter(|score| score.counts()).collect();
        let (count, all) = (found.len(), self.scores.len());
        let share = 100.0 * count as f64 / all.max(1) as f64;
        let seeds = median(found.iter().map(|score| score.seeds));
        let cpu_ms = median(found.iter().map(|score| score.cpu_ms));
        let total = "all";
        writeln!(text, "{total:<18} {count} of {all} ({share:.0} %), after {seeds} seeds and {cpu_ms} ms CPU in the median")
            .expect("a string takes all");
        for line in self.scores.iter().filter_map(|score| about(score, canaries)) {
            writeln!(text, "{line}").expect("a string takes all");
        }
        text
    }
}

/// Of a miss, what it imitates and why it was missed. Of what is found, that somebody had a reason why it would not be.
fn about(score: &Score, canaries: &[Canary]) -> Option<String> {
    let name = score.name();
    let canary = canaries.iter().find(|canary| canary.name == name);
    let reason = canary.and_then(|canary| canary.missed.as_deref());
    if score.counts() {
        return reason.map(|reason| format!("found, and was to be missed: {name}: {reason}"));
    }
    let imitates = canary.map_or("", |canary| canary.imitates.as_str());
    let reason = reason.unwrap_or("no reason given");
    Some(format!("missed: {name}: {imitates}\n    because: {reason}"))
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rule: &str, found: bool, seeds: u64) -> String {
        format!(
            r#"{{"rule":"{rule}","found":{found},"check":"lost-write (H1)","seeds":{seeds},"asked":2,"cpu_ms":9,"replay":"","reproduced":{found}}}"#
        )
    }

    #[test]
    fn what_is_missed_is_named_and_lowers_the_share() {
        let mut tally = Tally::default();
        for (rule, found, seeds) in [("canary-a", true, 3), ("canary-b", false, 50), ("canary-c", true, 7)] {
            tally.add(Score::from_line(&line(rule, found, seeds)).unwrap().unwrap());
        }

        assert!(tally.last_line(3).starts_with("3/3 found  c: lost-write"), "{}", tally.last_line(3));
        let text = tally.text(&[]);
        assert!(text.contains("2 of 3 (67 %), after 7 seeds"), "{text}");
        assert!(text.contains("missed: b"), "{text}");
    }

    fn canary(name: &str, missed: Option<&str>) -> Canary {
        let mut canary = Canary::mutant(name.into(), format!("{name} for d"), "log".into());
        canary.missed = missed.map(str::to_owned);
        canary
    }

    fn text_of(found: bool, missed: Option<&str>) -> String {
        let mut tally = Tally::default();
        tally.add(Score::from_line(&line("canary-a", found, 3)).unwrap().unwrap());
        tally.text(&[canary("a", missed)])
    }

    #[test]
    fn a_miss_is_told_with_its_reason_or_that_none_is_given() {
        let text = text_of(false, Some("nothing of it lasts"));
        assert!(text.contains("missed: a: a for d\n    because: nothing of it lasts\n"), "{text}");
        let text = text_of(false, None);
        assert!(text.contains("missed: a: a for d\n    because: no reason given\n"), "{text}");
    }

    #[test]
    fn a_reason_that_is_outdated_is_told() {
        let text = text_of(true, Some("nothing of it lasts"));
        assert!(text.contains("found, and was to be missed: a: nothing of it lasts\n"), "{text}");
        assert!(!text_of(true, None).contains("missed"));
    }

    #[test]
    fn the_line_that_sums_up_is_no_score() {
        assert!(Score::from_line(r#"{"summary":true,"found":1,"rules":2}"#).unwrap().is_none());
        assert!(Score::from_line("nonsense").is_err());
    }
}
