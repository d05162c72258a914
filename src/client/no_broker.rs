//! The error of a question that no broker answered.

use std::fmt;
use std::sync::Arc;

/// Every broker that is known was tried, and none answered. Cheap to clone.
///
/// ```
/// use seedlog::client::{Attempted, NoBroker};
///
/// let refused =
///     Attempted { address: "127.0.0.1:9092".to_owned(), reason: "connection refused".to_owned() };
/// let error = NoBroker { tried: [refused].into() };
/// assert_eq!(error.to_string(), "no broker answered: tried 127.0.0.1:9092 (connection refused)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoBroker {
    /// In the order in which they were tried, each address once, with what went wrong last.
    pub tried: Arc<[Attempted]>,
}

/// One broker that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// `host:port`.
    pub address: String,
    pub reason: String,
}

impl fmt::Display for NoBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no broker answered: ")?;
        if self.tried.is_empty() {
            return f.write_str("no address is known");
        }
        for (index, Attempted { address, reason }) in self.tried.iter().enumerate() {
            let before = if index == 0 { "tried " } else { ", " };
            write!(f, "{before}{address} ({reason})")?;
        }
        Ok(())
    }
}

/// Gathers what was tried.
#[derive(Debug, Default)]
pub(super) struct Tried {
    tried: Vec<Attempted>,
}

impl Tried {
    /// A broker's own address and a bootstrap address may be the same.
    pub(super) fn failed(&mut self, address: &str, reason: String) {
        match self.tried.iter_mut().find(|known| known.address == address) {
            Some(known) => known.reason = reason,
            None => self.tried.push(Attempted { address: address.to_owned(), reason }),
        }
    }

    pub(super) fn into_error(self) -> NoBroker {
        NoBroker { tried: self.tried.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_tried_and_why_that_failed() {
        let mut attempts = Tried::default();
        attempts.failed("a:1", "connection refused".to_owned());
        attempts.failed("b:2", "timed out".to_owned());
        attempts.failed("a:1", "no response in time".to_owned());
        let error = attempts.into_error();
        let expected = "no broker answered: tried a:1 (no response in time), b:2 (timed out)";
        assert_eq!(error.to_string(), expected);
        let nothing = Tried::default().into_error();
        assert_eq!(nothing.to_string(), "no broker answered: no address is known");
    }
}
