//! One step of a story: when, and what.

use std::time::Duration;

use super::action::Action;
use super::happening::{self, Happening};
use super::{is_name, units};

/// One written fault.
#[derive(Clone, Debug, PartialEq)]
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
    /// This long after it happened, counted from the beginning of the storm.
    When { happening: Happening, delay: Duration },
}

/// Reads `NAME + TIME`, where the name is a step's or says what happens.
pub fn after(text: &str) -> Result<Trigger, String> {
    let wrong = || format!("`{text}` names no moment; write it as `NAME + 2s`");
    let (moment, delay) = text.rsplit_once('+').ok_or_else(wrong)?;
    let (moment, delay) = (moment.trim(), units::duration(delay.trim())?);
    if moment.contains(char::is_whitespace) {
        return Ok(Trigger::When { happening: happening::parse(moment)?, delay });
    }
    if !is_name(moment) {
        return Err(wrong());
    }
    Ok(Trigger::After { step: moment.to_owned(), delay })
}

/// Reads `KIND SUBJECT`.
pub fn when(text: &str) -> Result<Trigger, String> {
    Ok(Trigger::When { happening: happening::parse(text)?, delay: Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_after_a_step_has_a_name_and_a_delay() {
        let delay = Duration::from_secs(2);
        assert_eq!(after("old + 2s"), Ok(Trigger::After { step: "old".into(), delay }));
        assert!(
            matches!(after("acked orders-0 3 + 2s"), Ok(Trigger::When { delay: waits, .. }) if waits == delay)
        );
        assert!(after("old").is_err());
        assert!(after("+ 2s").is_err());
    }
}
