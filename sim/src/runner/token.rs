//! One line that reproduces a run anywhere: `NAME@SEED#COMMIT`.

use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::scenario::file::parse_seed;
use crate::scenario::repository;

const UNKNOWN: &str = "unknown";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
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
        let (scenario, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (seed, commit) = rest.split_once('#').unwrap_or((rest, UNKNOWN));
        if scenario.is_empty() {
            return Err(wrong());
        }
        let seed = parse_seed(seed).map_err(|_| wrong())?;
        Ok(Token { scenario: scenario.to_owned(), seed, commit: commit.to_owned() })
    }
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
    let output = Command::new("git").arg("-C").arg(repository()).args(arguments).output().ok()?;
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
