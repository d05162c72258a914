//! Flags that most subcommands share, and how their values are read.

use std::ops::Range;
use std::time::Duration;

use clap::Args;
use seedlog::rules::Rule;

use crate::runner::Settings;
use crate::scenario::file::parse_seed;
use crate::scenario::units;

#[derive(Args)]
pub(super) struct Common {
    /// Suspends a safety rule; may be repeated
    #[arg(long, value_parser = parse_rule)]
    pub without: Vec<Rule>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Worker processes at a time [default: one a core]
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Stops after this many failed runs
    #[arg(long)]
    pub max_failures: Option<u64>,
    /// Repeats this share of the runs, in percent, in another process
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub rerun: Option<u64>,
    /// A run that takes longer on the wall than this, e.g. 60s, is a hang
    #[arg(long, value_parser = parse_time)]
    pub wall_limit: Option<Duration>,
}

impl Common {
    /// `rerun` is the share of repeats unless the command line says another.
    pub fn settings(&self, rerun: u64) -> Settings {
        let default = Settings::default();
        Settings {
            jobs: self.jobs.unwrap_or(default.jobs).max(1),
            without: self.without.clone(),
            json: self.json,
            failures_max: self.max_failures.unwrap_or(default.failures_max),
            rerun_percent: self.rerun.unwrap_or(rerun),
            wall_limit: self.wall_limit.unwrap_or(default.wall_limit),
            ..default
        }
    }
}

/// `FIRST..END`, the end not included.
pub(super) fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is no range of seeds; write it as 0..2000");
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    let (first, end) = (parse_seed(first)?, parse_seed(end)?);
    if first < end { Ok(first..end) } else { Err(wrong()) }
}

pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    units::duration(text)
}

/// A moment of virtual time: `12.4s`, `12400ms`.
pub(super) fn parse_moment(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no moment; write it as 12.4s or 12400ms");
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().map(Duration::from_millis).map_err(|_| wrong());
    }
    let (seconds, rest) =
        text.strip_suffix('s').unwrap_or(text).split_once('.').unwrap_or((text.trim_end_matches('s'), ""));
    let is_number = |digits: &str| digits.chars().all(|c| c.is_ascii_digit());
    if seconds.is_empty() || seconds.len() > 9 || rest.len() > 9 || !is_number(seconds) || !is_number(rest) {
        return Err(wrong());
    }
    let nanos: u64 = format!("{rest:0<9}").parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(seconds.parse().map_err(|_| wrong())?) + Duration::from_nanos(nanos))
}

pub(super) fn parse_rule(text: &str) -> Result<Rule, String> {
    Rule::from_slug(text).ok_or_else(|| {
        let known: Vec<&str> = Rule::ALL.iter().map(|rule| rule.slug()).collect();
        format!("no such rule; there are: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_seeds_has_two_ends_in_order() {
        assert_eq!(parse_range("0..0x10"), Ok(0..16));
        for text in ["", "7", "9..3", "3..3", "a..b"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_may_have_a_fraction() {
        assert_eq!(parse_moment("12.4s"), Ok(Duration::from_millis(12_400)));
        assert_eq!(parse_moment("3"), Ok(Duration::from_secs(3)));
        assert_eq!(parse_moment("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "s", ".5s", "1.2.3s", "-1s", "4m"] {
            assert!(parse_moment(text).unwrap_err().contains("12.4s"), "{text}");
        }
    }

    #[test]
    fn an_unknown_rule_is_answered_with_the_known_ones() {
        assert_eq!(parse_rule("cut-torn-tail"), Ok(Rule::CutTornTail));
        assert!(parse_rule("cut-tail").unwrap_err().contains("cut-torn-tail"));
    }
}
