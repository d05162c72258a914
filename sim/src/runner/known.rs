//! `known.toml`: failures that somebody has looked at, each with its issue and the day on which it fails again.
//!
//! A run is known only when every violation of it is: nothing new hides behind something old. A run that is not
//! repeatable is never known.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::calendar::Day;
use crate::report::{Outcome, Verdict};
use crate::scenario::file::parse_seed;
use crate::workspace::root;

/// Read where the command line names no other, if it is there.
pub const FILE: &str = "known.toml";

/// What stands for a vacuous run where a check is named.
const VACUOUS: &str = "vacuous";

/// What is wrong with the file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct KnownError {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub message: String,
}

/// The file's entries.
#[derive(Clone, Debug, Default)]
pub struct Known {
    file: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    line: usize,
    scenario: Option<String>,
    seeds: Option<Range<u64>>,
    check: Option<String>,
    cause: Option<String>,
    issue: String,
    expires: Day,
    /// Runs of its scenario and seeds, and those among them that failed as it says.
    runs: u64,
    matched: u64,
}

/// What an entry has to say in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    pub line: usize,
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    known: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    scenario: Option<String>,
    seeds: Option<Spanned<RawSeeds>>,
    check: Option<String>,
    cause: Option<String>,
    issue: Spanned<String>,
    expires: Spanned<RawDay>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSeeds {
    One(u64),
    Text(String),
}

/// With or without quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawDay {
    Date(toml::value::Datetime),
    Text(String),
}

impl Known {
    /// Reads `named`, or the repository's own file if there is one.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Known> {
        let own: PathBuf = root().join(FILE);
        let path = match named {
            Some(path) => path,
            None if own.exists() => &own,
            None => return Ok(Known::default()),
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
        let shown = path.strip_prefix(root()).unwrap_or(path);
        Ok(Known::parse(&shown.display().to_string(), &text)?)
    }

    pub fn parse(file: &str, text: &str) -> Result<Known, KnownError> {
        let source = Source { file, text };
        let raw: RawFile = toml::from_str(text)
            .map_err(|error| source.error(error.span().unwrap_or_default(), error.message()))?;
        let entries = raw.known.into_iter().map(|raw| source.entry(raw)).collect::<Result<_, _>>()?;
        Ok(Known { file: file.to_owned(), entries })
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    /// Takes notice of a run. The issue, where its failure is a known one that has not expired.
    pub fn look_up(&mut self, verdict: &Verdict, today: Day) -> Option<String> {
        let mut here: Vec<&mut Entry> =
            self.entries.iter_mut().filter(|entry| entry.is_about(verdict)).collect();
        for entry in &mut here {
            entry.runs += 1;
            entry.matched += u64::from(failed_checks(verdict).any(|check| entry.covers(verdict, check)));
        }
        let current: Vec<&Entry> =
            here.into_iter().filter(|entry| entry.expires >= today).map(|e| &*e).collect();
        let issue_of =
            |check| current.iter().find(|entry| entry.covers(verdict, check)).map(|entry| &entry.issue);
        let issues: Option<Vec<&String>> = failed_checks(verdict).map(issue_of).collect();
        let mut issues = issues?;
        issues.dedup();
        let issues: Vec<&str> = issues.into_iter().map(String::as_str).collect();
        (!issues.is_empty()).then(|| issues.join(", "))
    }

    /// What is to be said of the entries when the session is over: expired ones, and those that matched nothing.
    pub fn remarks(&self, today: Day) -> Vec<Remark> {
        let tried = self.entries.iter().filter(|entry| entry.runs > 0);
        tried.filter_map(|entry| Some(Remark { line: entry.line, text: entry.remark(today)? })).collect()
    }
}

/// The checks that a failed run failed; a vacuous one counts as the check `vacuous`.
fn failed_checks(verdict: &Verdict) -> impl Iterator<Item = (&str, &str)> {
    let is_repeatable = verdict.verdict != Outcome::Nondeterministic;
    let violations = verdict.violations.iter().filter(move |_| is_repeatable);
    let vacuous = (verdict.verdict == Outcome::Vacuous).then_some((VACUOUS, VACUOUS));
    violations.map(|violation| (violation.check.as_str(), violation.slug.as_str())).chain(vacuous)
}

impl Entry {
    fn is_about(&self, verdict: &Verdict) -> bool {
        self.scenario.as_ref().is_none_or(|name| *name == verdict.scenario)
            && self.seeds.as_ref().is_none_or(|seeds| seeds.contains(&verdict.seed))
    }

    /// Whether this entry is about a failure of that check in the run.
    fn covers(&self, verdict: &Verdict, (id, slug): (&str, &str)) -> bool {
        let is_first = verdict.violations.first().is_none_or(|first| first.slug == slug);
        self.check.as_ref().is_none_or(|check| check == id || check == slug)
            && self.cause.as_ref().is_none_or(|cause| is_first && verdict.cause().starts_with(cause))
    }

    fn remark(&self, today: Day) -> Option<String> {
        let Entry { issue, expires, runs, matched, .. } = self;
        match (*expires < today, *matched) {
            (true, 0) => {
                Some(format!("{issue} expired on {expires}, and none of {runs} runs failed so: take it out"))
            }
            (true, matched) => {
                Some(format!("{issue} expired on {expires}: its {matched} failures count again"))
            }
            (false, 0) => Some(format!("{issue}: none of {runs} runs failed so; is it fixed?")),
            (false, _) => None,
        }
    }
}

/// Turns places in the text into lines.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let start = span.start.min(self.text.len());
        1 + self.text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count()
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> KnownError {
        KnownError { file: self.file.to_owned(), line: self.line(&span), message: message.into() }
    }

    fn entry(&self, raw: Spanned<RawEntry>) -> Result<Entry, KnownError> {
        let span = raw.span();
        let raw = raw.into_inner();
        if raw.issue.as_ref().trim().is_empty() {
            return Err(
                self.error(raw.issue.span(), "`issue` is empty: say where the failure is looked after")
            );
        }
        if raw.scenario.is_none() && raw.check.is_none() && raw.cause.is_none() {
            let message =
                "an entry needs a `scenario`, a `check` or a `cause`: this one would know every failure";
            return Err(self.error(span, message));
        }
        let expires = match raw.expires.as_ref() {
            RawDay::Date(date) => date.to_string(),
            RawDay::Text(text) => text.clone(),
        };
        let expires = expires.parse().map_err(|message: String| self.error(raw.expires.span(), message))?;
        let seeds = raw.seeds.map(|seeds| self.seeds(&seeds)).transpose()?;
        let line = self.line(&span);
        let (scenario, check, cause) = (raw.scenario, raw.check, raw.cause);
        let issue = raw.issue.into_inner();
        Ok(Entry { line, scenario, seeds, check, cause, issue, expires, runs: 0, matched: 0 })
    }

    fn seeds(&self, raw: &Spanned<RawSeeds>) -> Result<Range<u64>, KnownError> {
        let one = |seed: u64| seed..seed.saturating_add(1);
        let text = match raw.as_ref() {
            RawSeeds::One(seed) => return Ok(one(*seed)),
            RawSeeds::Text(text) => text,
        };
        let wrong = || {
            self.error(
                raw.span(),
                format!("`{text}` is no seed and no range of seeds; write it as 17 or \"0..2000\""),
            )
        };
        let Some((first, end)) = text.split_once("..") else {
            return parse_seed(text).map(one).map_err(|_| wrong());
        };
        let (first, end) = (parse_seed(first).map_err(|_| wrong())?, parse_seed(end).map_err(|_| wrong())?);
        if first < end { Ok(first..end) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Breakdown, Violation};

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn violation(check: &str, slug: &str) -> Violation {
        Violation { check: check.into(), slug: slug.into(), ..Breakdown::Panic.violation("") }
    }

    fn failed(seed: u64, violations: &[(&str, &str)]) -> Verdict {
        let mut verdict = Verdict::empty("sweep", seed);
        verdict.violations = violations.iter().map(|(check, slug)| violation(check, slug)).collect();
        verdict.conclude();
        verdict
    }

    const ENTRY: &str = "[[known]]\nscenario = \"sweep\"\nseeds = \"10..20\"\ncheck = \"lost-write\"\n\
                         issue = \"#12\"\nexpires = \"2027-01-31\"\n";

    #[test]
    fn a_known_failure_is_known_until_it_expires() {
        let mut known = Known::parse("known.toml", ENTRY).unwrap();
        let lost = failed(12, &[("H3", "lost-write")]);
        assert_eq!(known.look_up(&lost, day("2027-01-31")), Some("#12".into()));
        assert_eq!(known.look_up(&lost, day("2027-02-01")), None);
        let remarks = known.remarks(day("2027-02-01"));
        assert_eq!(remarks[0].text, "#12 expired on 2027-01-31: its 2 failures count again");
    }

    #[test]
    fn other_seeds_other_checks_and_other_scenarios_are_not_known() {
        let mut known = Known::parse("known.toml", ENTRY).unwrap();
        let today = day("2026-12-01");
        assert_eq!(known.look_up(&failed(20, &[("H3", "lost-write")]), today), None);
        assert_eq!(known.look_up(&failed(12, &[("H4", "unseen")]), today), None);
        let other = Verdict { scenario: "story".into(), ..failed(12, &[("H3", "lost-write")]) };
        assert_eq!(known.look_up(&other, today), None);
    }

    #[test]
    fn nothing_new_hides_behind_a_known_violation() {
        let mut known = Known::parse("known.toml", ENTRY).unwrap();
        let both = failed(12, &[("H3", "lost-write"), ("H4", "unseen")]);
        assert_eq!(known.look_up(&both, day("2026-12-01")), None);
        let mut twice = failed(12, &[("H3", "lost-write")]);
        twice.diverged = Some("event 3".into());
        twice.conclude();
        assert_eq!(known.look_up(&twice, day("2026-12-01")), None);
    }

    #[test]
    fn an_entry_that_matched_nothing_is_told_once_its_seeds_were_run() {
        let mut known = Known::parse("known.toml", ENTRY).unwrap();
        let today = day("2026-12-01");
        assert_eq!(known.look_up(&Verdict::empty("sweep", 5), today), None);
        assert_eq!(known.remarks(today), []);
        assert_eq!(known.look_up(&Verdict::empty("sweep", 15), today), None);
        assert_eq!(
            known.remarks(today),
            [Remark { line: 1, text: "#12: none of 1 runs failed so; is it fixed?".into() }]
        );
    }

    #[test]
    fn a_cause_and_a_vacuous_run_can_be_known_and_the_day_needs_no_quotes() {
        let text = "[[known]]\ncause = \"unseen\"\nissue = \"#1\"\nexpires = 2027-01-31\n\
                    [[known]]\ncheck = \"vacuous\"\nissue = \"#2\"\nexpires = 2027-01-31\n";
        let mut known = Known::parse("known.toml", text).unwrap();
        let today = day("2026-12-01");
        assert_eq!(known.look_up(&failed(1, &[("H4", "unseen")]), today), Some("#1".into()));
        let mut vacuous = Verdict::empty("sweep", 1);
        vacuous.vacuous.push("nothing was sent".into());
        vacuous.conclude();
        assert_eq!(known.look_up(&vacuous, today), Some("#2".into()));
    }

    #[test]
    fn a_bad_file_is_an_error_with_its_line() {
        let head = "[[known]]\ncheck = \"lost-write\"\n";
        for (rest, line, said) in [
            ("issue = \"#1\"\n", 1, "missing field `expires`"),
            ("issue = \"\"\nexpires = \"2027-01-31\"\n", 3, "`issue` is empty"),
            ("issue = \"#1\"\nexpires = \"31.1.2027\"\n", 4, "`31.1.2027` is no day; write it as 2027-01-31"),
            ("issue = \"#1\"\nexpires = \"2027-01-31\"\nseeds = \"9..3\"\n", 5, "`9..3` is no seed"),
            ("isue = \"#1\"\nexpires = \"2027-01-31\"\n", 3, "unknown field `isue`"),
            ("issue = \n", 3, ""),
        ] {
            let error = Known::parse("known.toml", &format!("{head}{rest}")).unwrap_err();
            assert_eq!((error.file.as_str(), error.line), ("known.toml", line), "{error}");
            assert!(error.message.contains(said), "{error}");
        }
        let all =
            Known::parse("known.toml", "[[known]]\nissue = \"#1\"\nexpires = 2027-01-31\n").unwrap_err();
        assert!(all.to_string().starts_with("known.toml:1: an entry needs a `scenario`"), "{all}");
    }
}
