//! What GitHub shows of a session: annotations beside the scenario files, and a summary of the step.
//!
//! Workflow commands go to stderr, where GitHub reads them too, so that `--json` stays JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::known::Remark;
use super::tally::Tally;
use super::token;
use crate::report::{self, Outcome, Verdict};
use crate::scenario::SWEEP;
use crate::workspace::root;

/// GitHub shows this many of a kind and step.
const ANNOTATIONS_MAX: usize = 10;

/// GitHub refuses a summary above 1 MiB.
const SUMMARY_BYTES_MAX: usize = 1 << 20;

/// Failures whose text is in the summary.
const TEXTS_MAX: usize = 5;

/// Folders below `scenarios/` that are looked into.
const DEPTH_MAX: usize = 8;

/// The step that this process is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    summary: Option<PathBuf>,
}

impl Step {
    /// The step that the environment tells of; `None` outside of GitHub's runners.
    pub fn from_environment() -> Option<Step> {
        let is_github = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        is_github.then(|| Step { summary: std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) })
    }

    /// Tells a finished session.
    pub fn tell(&self, tally: &Tally, known_file: &str, remarks: &[Remark]) -> anyhow::Result<()> {
        for (verdict, count) in tally.causes().take(ANNOTATIONS_MAX) {
            eprintln!("{}", failure_command(verdict, count));
        }
        for remark in remarks.iter().take(ANNOTATIONS_MAX) {
            let line = remark.line.to_string();
            let place = [("file", known_file), ("line", &line), ("title", "known failure")];
            eprintln!("{}", command("warning", &place, &remark.text));
        }
        let Some(path) = &self.summary else { return Ok(()) };
        let text = summary(tally, remarks);
        let appended = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        appended
            .map_err(|error| anyhow::anyhow!("cannot write the step's summary {}: {error}", path.display()))
    }
}

/// A cause as an annotation at the line of the scenario that it is about.
fn failure_command(verdict: &Verdict, count: u64) -> String {
    let title = format!("{} seed {}: {}", verdict.scenario, verdict.seed, verdict.cause());
    let text = report::failure(verdict, &format!("[{count} runs alike]"));
    let place = file_of(verdict).map(|path| {
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        (path.display().to_string(), line_about(&text, verdict).to_string())
    });
    let mut properties = Vec::new();
    if let Some((file, line)) = &place {
        properties.extend([("file", file.as_str()), ("line", line.as_str())]);
    }
    properties.push(("title", &title));
    command("error", &properties, &text)
}

/// `::KIND name=value,...::message`, with what would end it early written otherwise.
fn command(kind: &str, properties: &[(&str, &str)], message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let list: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    format!("::{kind} {}::{}", list.join(","), data(message.trim_end()))
}

/// The file of a scenario, from the repository's root.
fn file_of(verdict: &Verdict) -> Option<PathBuf> {
    let scenario = &verdict.scenario;
    if let Some(file) = &verdict.file {
        return Some(PathBuf::from(file));
    }
    if scenario == SWEEP {
        return Some(PathBuf::from("sim/src/scenario/sweep.toml"));
    }
    let found = find(&root().join("scenarios"), &format!("{scenario}.toml"), DEPTH_MAX)?;
    found.strip_prefix(root()).ok().map(Path::to_owned)
}

/// A folder that cannot be read has no scenario to point at.
fn find(folder: &Path, file: &str, depth: usize) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let here = paths.iter().find(|path| path.file_name().is_some_and(|name| name == file));
    here.cloned().or_else(|| {
        let folders = paths.iter().filter(|path| depth > 0 && path.is_dir());
        folders.into_iter().find_map(|path| find(path, file, depth - 1))
    })
}

/// The line, from 1, of the step or expectation that never happened; of the story for all else.
fn line_about(text: &str, verdict: &Verdict) -> usize {
    let line_with = |words: &str| text.lines().position(|line| line.contains(words));
    let about = verdict.vacuous.iter().find_map(|reason| {
        let (_, words) = reason.split_once(": ")?;
        line_with(words)
    });
    about.or_else(|| line_with("story")).map_or(1, |index| index + 1)
}

/// The session as markdown.
fn summary(tally: &Tally, remarks: &[Remark]) -> String {
    let mut text = String::new();
    let mut say = |line: std::fmt::Arguments| text.write_fmt(line).expect("a String takes all");
    let verdict = if tally.fails() { "failed" } else { "passed" };
    say(format_args!("## Simulation {verdict}\n\n"));
    say(format_args!("| scenario | pass | violation | vacuous | not repeatable | known | cached |\n"));
    say(format_args!("|---|---:|---:|---:|---:|---:|---:|\n"));
    for (scenario, sums) in tally.scenarios() {
        let of = |outcome| sums.outcomes.get(&outcome).copied().unwrap_or(0);
        say(format_args!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            cell(scenario),
            of(Outcome::Pass),
            of(Outcome::Violation),
            of(Outcome::Vacuous),
            of(Outcome::Nondeterministic),
            sums.known,
            sums.cached
        ));
    }
    causes(&mut say, "Causes", tally.causes());
    causes(&mut say, "Known failures", tally.known_causes());
    for remark in remarks {
        say(format_args!("\n- known.toml, line {}: {}", remark.line, cell(&remark.text)));
    }
    counts(&mut say, "marks (seeds that met it)", tally.marks());
    shares(&mut say, tally);
    for (verdict, _) in tally.causes().take(TEXTS_MAX) {
        say(format_args!("\n```\n{}```\n", report::failure(verdict, "").replace("```", "'''")));
    }
    within(text, SUMMARY_BYTES_MAX)
}

fn causes<'a>(
    say: &mut impl FnMut(std::fmt::Arguments),
    title: &str,
    causes: impl Iterator<Item = (&'a Verdict, u64)>,
) {
    let mut causes = causes.peekable();
    if causes.peek().is_none() {
        return;
    }
    say(format_args!("\n### {title}\n\n| cause | runs | replay | issue |\n|---|---:|---|---|\n"));
    for (verdict, count) in causes {
        let issue = cell(verdict.known.as_deref().unwrap_or_default());
        let replay = token::replay_line(verdict).replace('|', "\\|");
        say(format_args!("| {} | {count} | `{replay}` | {issue} |\n", cell(&verdict.cause())));
    }
}

fn counts(say: &mut impl FnMut(std::fmt::Arguments), title: &str, counts: &BTreeMap<String, u64>) {
    say(format_args!("\n<details><summary>{title}</summary>\n\n| | seeds |\n|---|---:|\n"));
    for (name, count) in counts {
        let count = if *count == 0 { "**never**".to_owned() } else { count.to_string() };
        say(format_args!("| {} | {count} |\n", cell(name)));
    }
    say(format_args!("\n</details>\n"));
}

fn shares(say: &mut impl FnMut(std::fmt::Arguments), tally: &Tally) {
    say(format_args!("\nExcused share of the seeds: {}\n", tally.excused_shares()));
}

/// Text inside a table's cell.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

/// Cuts at a character's border.
fn within(mut text: String, bytes_max: usize) -> String {
    const CUT: &str = "\n(cut)\n";
    if text.len() > bytes_max {
        let room = bytes_max - CUT.len();
        let border = (0..=room).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(border.expect("0 is a border"));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Breakdown;
    use crate::runner::pool::Done;

    #[test]
    fn a_command_is_one_line_whatever_the_text() {
        let told = command("error", &[("file", "a,b:c%.toml"), ("title", "x\ny")], "100 %: a, b\r\nend\n");
        assert_eq!(told, "::error file=a%2Cb%3Ac%25.toml,title=x%0Ay::100 %25: a, b%0D%0Aend");
    }

    #[test]
    fn a_failure_is_shown_at_its_scenario() {
        let verdict = Verdict::of_breakdown(SWEEP, 7, &[], Breakdown::Panic.violation("gone\nfor good"));
        let told = failure_command(&verdict, 3);
        assert!(told.starts_with("::error file=sim/src/scenario/sweep.toml,line="), "{told}");
        assert!(
            told.contains("title=sweep seed 7%3A panic%3A gone%0Afor good::FAIL sweep  seed 7  panic (X1)"),
            "{told}"
        );
        assert!(told.contains("cargo sim replay sweep@7#"), "{told}");
        assert_eq!(told.lines().count(), 1);
    }

    #[test]
    fn a_story_is_found_in_its_folder_and_what_never_happened_at_its_line() {
        let folder = std::env::temp_dir().join(format!("seedlog-sim-annotations-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("deep/er")).unwrap();
        std::fs::write(folder.join("deep/er/lost.toml"), "").unwrap();
        assert_eq!(find(&folder, "lost.toml", DEPTH_MAX), Some(folder.join("deep/er/lost.toml")));
        assert_eq!(find(&folder, "lost.toml", 1), None);
        std::fs::remove_dir_all(&folder).unwrap();
        let text = "format = 1\nstory = \"x\"\n[expect]\nhappens = [\"log-dir-failed\"]\n";
        let mut verdict = Verdict::empty("lost", 1);
        assert_eq!(line_about(text, &verdict), 2);
        verdict.vacuous.push("never happened: log-dir-failed".into());
        assert_eq!(line_about(text, &verdict), 4);
    }

    #[test]
    fn the_summary_has_verdicts_causes_marks_shares_and_replay_lines() {
        let mut tally = Tally::new(1, true, &[]);
        tally.take(&Done::of(Verdict::empty("a|b", 1)));
        let failed = Verdict::of_breakdown("a|b", 7, &[], Breakdown::Panic.violation("gone"));
        tally.take(&Done::of(failed.clone()));
        tally.take(&Done::of(Verdict { known: Some("#12".into()), seed: 8, ..failed }));
        let text = summary(&tally, &[Remark { line: 3, text: "#9 expired".into() }]);
        assert!(text.starts_with("## Simulation failed\n"), "{text}");
        assert!(text.contains("| a\\|b | 1 | 1 | 0 | 0 | 1 | 0 |"), "{text}");
        assert!(text.contains("| panic: gone | 1 | `cargo sim replay 'a\\|b@7#"), "{text}");
        assert!(text.contains("@8#") && text.contains("| #12 |"), "{text}");
        assert!(text.contains("| torn-tail-cut | **never** |"), "{text}");
        assert!(text.contains("known.toml, line 3: #9 expired"), "{text}");
        assert!(text.contains("Excused share of the seeds: none"), "{text}");
    }

    #[test]
    fn a_summary_that_is_too_long_is_cut_between_characters() {
        let cut = within("ä".repeat(100), 50);
        assert!(cut.len() <= 50 && cut.ends_with("(cut)\n"), "{cut}");
    }
}
