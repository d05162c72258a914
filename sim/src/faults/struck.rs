//! What struck: the number of each fault that the seed drew, and of each written step, with what it did.
//!
//! The numbers are the handle by which one fault of a run can be left out while all others stay as they were:
//! each strike draws from a stream of its own, and when it comes is drawn from yet another.

use serde::{Deserialize, Serialize};

use crate::history::Injected;

/// One strike of the storm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Struck {
    pub by: Origin,
    /// What was drawn, as `Injected::kind` names it. It may have brought others along: a reset, so that clients connect.
    #[serde(default)]
    pub kind: Option<String>,
    /// Virtual nanoseconds since the run began.
    pub at_ns: u64,
    /// What it did at once. Empty where it found nobody to strike.
    pub did: Vec<Injected>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The n-th fault that the seed drew, from 0, in the order of time.
    Drawn(u64),
    /// The step of this index.
    Written(usize),
}

impl Struck {
    /// What is to bite, of a drawn fault: that which it was drawn as.
    pub fn essence(&self) -> impl Iterator<Item = &Injected> {
        let has_any = self.did.iter().any(|did| self.is_drawn_as(did));
        self.did.iter().filter(move |did| !has_any || self.is_drawn_as(did))
    }

    fn is_drawn_as(&self, did: &Injected) -> bool {
        match self.kind.as_deref() {
            Some("crash-in-recovery") => matches!(did, Injected::CrashArmed { .. }),
            kind => kind.is_some() && did.kind() == kind,
        }
    }

    /// Whether somebody was struck at once.
    pub fn injures(&self) -> bool {
        self.did.iter().any(|did| did.kind().is_some())
    }
}
