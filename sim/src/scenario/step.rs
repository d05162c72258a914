//! One step of a story: when, and what.

use std::time::Duration;

use super::action::Action;
use super::{is_name, units};

/// One written fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub trigger: Trigger,
    pub action: Action,
    /// What later steps call the node that this one struck.
    pub name: Option<String>,
    /// As written, for people.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// This long after the storm began.
    At(Duration),
    /// This long after the step of this name fired.
    After { step: String, delay: Duration },
}

/// Reads `NAME + TIME`.
pub fn after(text: &str) -> Result<Trigger, String> {
    let wrong = || format!("`{text}` names no moment; write it as `NAME + 2s`");
    let (step, delay) = text.split_once('+').ok_or_else(wrong)?;
    let step = step.trim();
    if !is_name(step) {
        return Err(wrong());
    }
    Ok(Trigger::After { step: step.to_owned(), delay: units::duration(delay.trim())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_after_a_step_has_a_name_and_a_delay() {
        let delay = Duration::from_secs(2);
        assert_eq!(after("old + 2s"), Ok(Trigger::After { step: "old".into(), delay }));
        assert!(after("old").is_err());
        assert!(after("+ 2s").is_err());
    }
}
