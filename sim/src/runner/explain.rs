//! `explain`: which faults a failure needs, and how one thing led to another, in sentences.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::Settings;
use super::console::tell;
use super::crew::Crew;
use super::named::Named;
use super::token::{self, Token};
use super::{Exit, necessity, shrink};
use crate::checkers::{self, Case, Check, Finding};
use crate::history::Entry;
use crate::report::cause::Necessary;
use crate::report::{self, slice};
use crate::scenario::Plan;

/// An explained failure; the one line of `--json`.
#[derive(Debug, Serialize)]
struct Explained {
    scenario: String,
    seed: u64,
    check: String,
    message: String,
    necessary: Necessary,
    /// How it came about, a sentence a step.
    story: Vec<String>,
    replay: String,
}

/// Explains the first failure of what is named.
pub fn explain(
    named: &Named,
    check: Option<&str>,
    time: Duration,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let mut crew = Crew::new(settings.jobs, settings.wall_limit, Instant::now() + time)?;
    let found = shrink::find_failure(named, check, &mut crew)?;
    let mut hunt = shrink::hunt_of(&found, crew)?;
    if settings.json {
        hunt = hunt.quietly();
    }
    let necessary = necessity::necessary(&found, &mut hunt)?;
    // The smallest run tells its story with the fewest distractions.
    let (history, messages) = hunt.records()?;
    let plan = Plan::new(&hunt.scenario(), hunt.best().seed);
    hunt.clear();
    let violation = hunt.reply().verdict.violations.iter().find(|v| v.slug == found.check);
    let violation = violation.context("the smallest run violates the check")?.clone();
    let story = match finding(&history, &plan, &found.check) {
        Some((check, finding)) => {
            let proof = report::proof(&history, check, &finding);
            slice::sentences(&history, &messages, &finding, &proof)
        }
        None => violation.evidence.clone(),
    };
    let explained = Explained {
        scenario: found.scenario.name.clone(),
        seed: found.seed,
        check: format!("{} ({})", violation.slug, violation.check),
        message: violation.message,
        necessary,
        story,
        replay: Token::of(&found.scenario, found.seed).arguments(&found.without),
    };
    if settings.json {
        tell(&serde_json::to_string(&explained)?);
    } else {
        tell(&text(&explained));
    }
    Ok(Exit::Pass)
}

/// The finding that the verdict names first.
fn finding(history: &[Entry], plan: &Plan, check: &str) -> Option<(&'static Check, Finding)> {
    let terms = plan.terms();
    let case = Case::new(history, &terms);
    let judged = checkers::judge(&case).into_iter().find(|judged| judged.check.slug == check)?;
    let finding = judged.findings.into_iter().find(Finding::is_violation)?;
    Some((judged.check, finding))
}

fn text(explained: &Explained) -> String {
    let mut text = format!(
        "{}@{}  {}\n  {}\n\nnecessary: {}\n",
        explained.scenario, explained.seed, explained.check, explained.message, explained.necessary
    );
    text.push_str("\nWith these faults alone:\n");
    for sentence in &explained.story {
        text.push_str(&format!("  {sentence}\n"));
    }
    let command = token::command();
    text.push_str(&format!("\nreplay: {command} replay {}\n", explained.replay));
    text.push_str(&format!("shrink: {command} shrink {}", explained.replay));
    text
}
