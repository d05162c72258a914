//! `--junit FILE`: the session as test cases, for those who collect them.
//!
//! A test case is a scenario with up to [`GROUP_SEEDS`] of its seeds: a case a seed would drown whoever reads a sweep.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::report::{self, Outcome, Verdict};

/// Neighbouring seeds that make up one test case.
const GROUP_SEEDS: u64 = 100;

/// Failures of one test case that are told in full.
const FAILURES_TOLD_MAX: usize = 3;

/// What is collected while a session runs.
#[derive(Debug, Default)]
pub struct Junit {
    /// By scenario and number of the group.
    cases: BTreeMap<(String, u64), Case>,
}

#[derive(Debug)]
struct Case {
    /// The first and the last seed that were run.
    seeds: (u64, u64),
    runs: u64,
    wall_ms: u64,
    /// Type and text of the first failures.
    failures: Vec<(String, String)>,
    failed: u64,
    known: u64,
    issues: Vec<String>,
}

impl Junit {
    pub fn take(&mut self, verdict: &Verdict) {
        let seed = verdict.seed;
        let key = (verdict.scenario.clone(), seed / GROUP_SEEDS);
        let case = self.cases.entry(key).or_insert_with(|| Case::new(seed));
        case.seeds = (case.seeds.0.min(seed), case.seeds.1.max(seed));
        case.runs += 1;
        case.wall_ms += verdict.wall_ms;
        match &verdict.known {
            Some(issue) => {
                case.known += 1;
                if !case.issues.contains(issue) {
                    case.issues.push(issue.clone());
                }
            }
            None if verdict.verdict != Outcome::Pass => {
                case.failed += 1;
                if case.failures.len() < FAILURES_TOLD_MAX {
                    case.failures.push((verdict.cause(), report::failure(verdict, "")));
                }
            }
            None => {}
        }
    }

    /// The whole file. `wall` is how long the session took.
    pub fn xml(&self, wall: Duration) -> String {
        let mut suites: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for ((scenario, _), case) in &self.cases {
            suites.entry(scenario).or_default().push(case);
        }
        let all: Vec<&Case> = self.cases.values().collect();
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut say = |line: std::fmt::Arguments| text.write_fmt(line).expect("a String takes all");
        say(format_args!(
            "<testsuites name=\"cargo sim\" {} time=\"{:.3}\">\n",
            counts(&all),
            wall.as_secs_f64()
        ));
        for (scenario, cases) in suites {
            let name = escaped(scenario);
            say(format_args!(
                "  <testsuite name=\"{name}\" {} time=\"{}\">\n",
                counts(&cases),
                seconds(&cases)
            ));
            for case in cases {
                say(format_args!("{}", case.xml(&name)));
            }
            say(format_args!("  </testsuite>\n"));
        }
        say(format_args!("</testsuites>\n"));
        text
    }
}

impl Case {
    fn new(seed: u64) -> Case {
        Case {
            seeds: (seed, seed),
            runs: 0,
            wall_ms: 0,
            failures: Vec::new(),
            failed: 0,
            known: 0,
            issues: Vec::new(),
        }
    }

    fn name(&self) -> String {
        match self.seeds {
            (first, last) if first == last => format!("seed {first}"),
            (first, last) => format!("seeds {first} to {last}"),
        }
    }

    fn is_skipped(&self) -> bool {
        self.failed == 0 && self.known > 0
    }

    fn xml(&self, class: &str) -> String {
        let (name, time) = (self.name(), seconds(&[self]));
        let open = format!("    <testcase classname=\"{class}\" name=\"{name}\" time=\"{time}\">\n");
        let inside = if let Some((kind, _)) = self.failures.first() {
            let texts: Vec<&str> = self.failures.iter().map(|(_, text)| text.as_str()).collect();
            let message = format!("{} of {} runs failed; first: {kind}", self.failed, self.runs);
            let (kind, message, text) = (escaped(kind), escaped(&message), escaped(&texts.join("\n")));
            format!("      <failure type=\"{kind}\" message=\"{message}\">{text}</failure>\n")
        } else if self.is_skipped() {
            let message =
                format!("{} of {} runs failed as known: {}", self.known, self.runs, self.issues.join(", "));
            format!("      <skipped message=\"{}\"/>\n", escaped(&message))
        } else {
            String::new()
        };
        format!("{open}{inside}    </testcase>\n")
    }
}

fn counts(cases: &[&Case]) -> String {
    let failures = cases.iter().filter(|case| case.failed > 0).count();
    let skipped = cases.iter().filter(|case| case.is_skipped()).count();
    format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"", cases.len())
}

fn seconds(cases: &[&Case]) -> String {
    let ms: u64 = cases.iter().map(|case| case.wall_ms).sum();
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Text as XML takes it, in an attribute or between tags; what no XML may hold becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' | '\t' => out.push(character),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Breakdown;

    fn failed(seed: u64, message: &str) -> Verdict {
        Verdict::of_breakdown("lost <leader>", seed, &[], Breakdown::Panic.violation(message))
    }

    fn parsed(junit: &Junit) -> String {
        junit.xml(Duration::from_millis(1500))
    }

    #[test]
    fn neighbouring_seeds_are_one_case_and_a_failure_carries_its_text_and_token() {
        let mut junit = Junit::default();
        for seed in 0..250 {
            junit.take(&Verdict::empty("sweep", seed));
        }
        junit.take(&failed(7, "a \"b\" & c\u{1}]]>"));
        let xml = parsed(&junit);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
        let names: Vec<_> = cases.iter().map(|case| case.attribute("name").unwrap()).collect();
        assert_eq!(names, ["seed 7", "seeds 0 to 99", "seeds 100 to 199", "seeds 200 to 249"]);
        let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.attribute("type"), Some("panic: a … & c\u{fffd}]]>"));
        assert_eq!(
            failure.attribute("message"),
            Some("1 of 1 runs failed; first: panic: a … & c\u{fffd}]]>")
        );
        let text = failure.text().unwrap();
        assert!(text.contains("a \"b\" & c\u{fffd}]]>"), "{text}");
        assert!(text.contains("cargo sim replay 'lost <leader>@7#"), "{text}");
        assert_eq!(document.root_element().attribute("tests"), Some("4"));
        assert_eq!(document.root_element().attribute("failures"), Some("1"));
    }

    #[test]
    fn a_known_failure_is_a_skipped_case_that_names_its_issue() {
        let mut junit = Junit::default();
        junit.take(&Verdict { known: Some("#12 & co".into()), ..failed(7, "known") });
        let xml = parsed(&junit);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let skipped = document.descendants().find(|node| node.has_tag_name("skipped")).unwrap();
        assert_eq!(skipped.attribute("message"), Some("1 of 1 runs failed as known: #12 & co"));
        assert_eq!(document.root_element().attribute("failures"), Some("0"));
        assert_eq!(document.root_element().attribute("skipped"), Some("1"));
    }

    #[test]
    fn many_failures_of_a_group_are_counted_and_the_first_told() {
        let mut junit = Junit::default();
        (0..90).for_each(|seed| junit.take(&failed(seed, "gone")));
        let xml = parsed(&junit);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
        assert_eq!(failure.attribute("message"), Some("90 of 90 runs failed; first: panic: gone"));
        assert_eq!(failure.text().unwrap().matches("replay:").count(), FAILURES_TOLD_MAX);
    }
}
