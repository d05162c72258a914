//! One line that reproduces a run anywhere: `NAME@SEED#COMMIT`.
//!
//! A scenario outside of `scenarios/` has no name that another clone could find; its token has the file's path in
//! the name's place: `docs/failure/shrunk.toml@7#a1b2c3d`.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::report::Verdict;
use crate::scenario::Scenario;
use crate::scenario::file::parse_seed;
use crate::workspace::root;

const UNKNOWN: &str = "unknown";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// A name, or the path of a file.
    pub scenario: String,
    pub seed: u64,
    /// Abbreviated; a `+` says that the tree had changes that were not committed.
    pub commit: String,
}

impl Token {
    /// The token of a run of the code that is running now.
    pub fn here(scenario: &str, seed: u64) -> Token {
        Token { scenario: scenario.to_owned(), seed, commit: head().to_owned() }
    }

    /// The token of a run of `scenario`.
    pub fn of(scenario: &Scenario, seed: u64) -> Token {
        Token::here(scenario.file.as_deref().unwrap_or(&scenario.name), seed)
    }

    pub fn of_verdict(verdict: &Verdict) -> Token {
        Token::here(verdict.file.as_deref().unwrap_or(&verdict.scenario), verdict.seed)
    }

    /// The file that is meant, where the token has a path.
    pub fn file(&self) -> Option<&Path> {
        let path = Path::new(&self.scenario);
        path.extension().is_some_and(|extension| extension == "toml").then_some(path)
    }

    /// The scenario's name, by which run folders go.
    pub fn name(&self) -> &str {
        let stem = self.file().and_then(Path::file_stem).and_then(|stem| stem.to_str());
        stem.unwrap_or(&self.scenario)
    }

    /// What to say where the token was made by other code than is running now.
    pub fn warning(&self) -> Option<String> {
        let is_known = self.commit != UNKNOWN && !self.commit.is_empty();
        (is_known && self.commit != head()).then(|| {
            format!("the token is of commit {}, this is {}: the run may differ", self.commit, head())
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}#{}", self.scenario, self.seed, self.commit)
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Token, String> {
        let wrong =
            || format!("`{text}` is no token; a token is NAME@SEED#COMMIT, the commit may be left out");
        let (scenario, rest) = text.rsplit_once('@').ok_or_else(wrong)?;
        let (seed, commit) = rest.split_once('#').unwrap_or((rest, UNKNOWN));
        if scenario.is_empty() {
            return Err(wrong());
        }
        let seed = parse_seed(seed).map_err(|_| wrong())?;
        Ok(Token { scenario: scenario.to_owned(), seed, commit: commit.to_owned() })
    }
}

/// What is to be typed to run a verdict's seed again.
pub fn replay_line(verdict: &Verdict) -> String {
    format!("{} replay {}", command(), arguments(verdict))
}

/// The token with the rules that were suspended, as a shell takes them.
pub fn arguments(verdict: &Verdict) -> String {
    Token::of_verdict(verdict).arguments(&verdict.without)
}

impl Token {
    pub fn arguments<R: fmt::Display>(&self, without: &[R]) -> String {
        let without: String = without.iter().map(|rule| format!(" --without {rule}")).collect();
        format!("{}{without}", shell_word(&self.to_string()))
    }
}

/// Set by the launcher for crates outside of Seedlog's repository.
const LAUNCHER: &str = "CARGO_SEEDLOG";

/// How the testbed's command was called.
pub fn command() -> &'static str {
    if std::env::var_os(LAUNCHER).is_some() { "cargo seedlog sim" } else { "cargo sim" }
}

/// `text` as one word of a shell.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./@#+:,=".contains(c);
    if !text.is_empty() && !text.starts_with('#') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The commit of the working tree, `unknown` where git does not tell.
pub fn head() -> &'static str {
    static HEAD: OnceLock<String> = OnceLock::new();
    HEAD.get_or_init(|| {
        let Some(commit) = git(&["rev-parse", "--short=7", "HEAD"]) else { return UNKNOWN.to_owned() };
        let is_changed =
            git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|s| !s.is_empty());
        if is_changed { format!("{commit}+") } else { commit }
    })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root()).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_way_through_text() {
        let token = Token { scenario: "lost_leader".into(), seed: 7, commit: "a1b2c3d".into() };
        assert_eq!(token.to_string(), "lost_leader@7#a1b2c3d");
        assert_eq!("lost_leader@7#a1b2c3d".parse(), Ok(token));
        assert_eq!("x@0x10".parse::<Token>().unwrap().seed, 16);
    }

    #[test]
    fn a_token_of_a_file_has_its_path_and_goes_through_a_shell() {
        let mut verdict = Verdict::empty("lost", 7);
        verdict.file = Some("my stories/it's@home.toml".into());
        verdict.without = vec!["cut-torn-tail".into()];
        let token = Token { commit: "a1b2c3d".into(), ..Token::of_verdict(&verdict) };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert_eq!((token.name(), token.seed), ("it's@home", 7));
        let arguments = token.arguments(&verdict.without);
        let quoted = r"'my stories/it'\''s@home.toml@7#a1b2c3d' --without cut-torn-tail";
        assert_eq!(arguments, quoted);
        assert_eq!(Token::here("x", 1).file(), None);
    }

    #[test]
    fn what_is_no_token_is_refused_with_the_form() {
        for text in ["", "lost_leader", "@7", "x@y", "x@7y#a"] {
            assert!(text.parse::<Token>().unwrap_err().contains("NAME@SEED#COMMIT"), "{text}");
        }
    }

    #[test]
    fn a_token_of_another_commit_is_warned_about() {
        let mut token = Token::here("x", 1);
        assert_eq!(token.warning(), None);
        token.commit = "0000000".into();
        assert!(token.warning().unwrap().contains("0000000"));
    }
}
