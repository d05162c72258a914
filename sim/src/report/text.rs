//! Verdicts as text for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Verdict;
use super::folder::seed_folder;
use crate::runner::picture::TIMELINE_FILE;
use crate::runner::token;
use crate::workspace::shown;

/// Violations shown of one run; the rest is in the run folder.
const VIOLATIONS_SHOWN_MAX: usize = 3;

/// A failed run, with what proves it and the line that reproduces it. `group` says how many runs failed alike.
pub fn failure(verdict: &Verdict, group: &str) -> String {
    let mut text = String::new();
    let mut say = |line: std::fmt::Arguments| text.write_fmt(line).expect("a String takes all");
    for (nth, violation) in verdict.violations.iter().take(VIOLATIONS_SHOWN_MAX).enumerate() {
        let tail = if nth == 0 { group } else { "" };
        say(format_args!(
            "FAIL {}  seed {}  {} ({})   {tail}\n",
            verdict.scenario, verdict.seed, violation.slug, violation.check
        ));
        say(format_args!("  {}\n", violation.message));
        for line in &violation.evidence {
            say(format_args!("  {line}\n"));
        }
    }
    let more = verdict.violations.len().saturating_sub(VIOLATIONS_SHOWN_MAX);
    if more > 0 {
        say(format_args!("  and {more} violations more\n"));
    }
    if let Some(diverged) = &verdict.diverged {
        say(format_args!("NONDETERMINISTIC {}  seed {}   {group}\n", verdict.scenario, verdict.seed));
        say(format_args!("  {diverged}\n"));
    }
    for reason in &verdict.vacuous {
        say(format_args!("VACUOUS {}  seed {}   {group}\n  {reason}\n", verdict.scenario, verdict.seed));
    }
    match (&verdict.necessary, verdict.violations.first()) {
        (Some(necessary), _) => say(format_args!("  necessary: {necessary}\n")),
        (None, Some(first)) if !super::is_breakdown(&first.slug) => {
            let explain = format!("{} explain {}", token::command(), token::arguments(verdict));
            say(format_args!("  necessary: not looked for; {explain}\n"));
        }
        (None, _) => {}
    }
    say(format_args!("  budget: {}\n", budget(verdict)));
    if let Some(picture) = picture(verdict) {
        say(format_args!("  picture: {picture}\n"));
    }
    say(format_args!("  replay: {}\n", token::replay_line(verdict)));
    text
}

/// Where the run's picture lies. A run that took its worker along left none, whatever lies in its folder.
fn picture(verdict: &Verdict) -> Option<String> {
    let path = seed_folder(&verdict.scenario, verdict.seed).0.join(TIMELINE_FILE);
    let is_drawn = !verdict.trace_hash.is_empty() && path.is_file();
    is_drawn.then(|| shown(&path))
}

/// What the run promised, how hard it was hit, and why it may have lost something.
pub fn budget(verdict: &Verdict) -> String {
    let budget = &verdict.budget;
    let acks: Vec<String> = budget.acks.iter().map(|(name, acks)| format!("{name} acks {acks:?}")).collect();
    let durability: Vec<String> =
        budget.durability.iter().map(|(topic, durability)| format!("{topic} {durability:?}")).collect();
    let lossy = format!("{} lossy crashes", budget.lossy_crashes);
    let mut text = [acks.join(", "), durability.join(", "), lossy].join("; ").to_lowercase();
    text.push_str("; unclean election n/a; ");
    let mut over: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (partition, reason) in &budget.over {
        over.entry(reason).or_default().push(partition);
    }
    let reasons: Vec<String> =
        over.iter().map(|(reason, of)| format!("over budget: {reason} ({})", of.join(", "))).collect();
    text.push_str(if reasons.is_empty() { "in budget" } else { "" });
    text.push_str(&reasons.join("; "));
    text
}

/// One line about the runs of one scenario.
pub fn sum_line(scenario: &str, verdicts: &[&Verdict]) -> String {
    let sum = |of: fn(&Verdict) -> u64| verdicts.iter().map(|verdict| of(verdict)).sum::<u64>();
    let faults: u64 = verdicts.iter().flat_map(|verdict| verdict.faults.values()).sum();
    let of_one = match verdicts {
        [one] => format!("\n  budget: {}", budget(one)),
        _ => String::new(),
    };
    format!(
        "{scenario:<40} {:>3} seeds  {:>5} s simulated  {:>6} sent  {:>6} acked  {:>4} faults{of_one}",
        verdicts.len(),
        sum(|v| v.sim_ms) / 1000,
        sum(|v| v.sends),
        sum(|v| v.acked),
        faults
    )
}
