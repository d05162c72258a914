//! Which faults stay in force, and what ends them.

use crate::history::Injected;
use crate::report::{evidence, fault_text};

/// Whether a fault stays in force until something ends it.
pub fn lasts(fault: &Injected) -> bool {
    fault.kind().is_some()
        && !fault.is_a_moments()
        && !matches!(
            fault,
            Injected::Drop { .. }
                | Injected::BitFlip { .. }
                | Injected::FileTruncated { .. }
                | Injected::RollingRestart { .. }
                | Injected::Wipe { .. }
                | Injected::Reconfigure { .. }
        )
}

/// Whether `end` ends the fault of this text: the text of each fault that it may end is known.
pub fn ends(end: &Injected, text: &str) -> bool {
    let begins = |fault: Injected| fault_text::text(&fault) == text;
    match end {
        Injected::Start { target } => [
            Injected::Kill { target: target.clone() },
            Injected::PowerFailure { target: target.clone() },
            Injected::Stop { target: target.clone() },
        ]
        .into_iter()
        .any(begins),
        Injected::Resume { target } => begins(Injected::Pause { target: target.clone() }),
        Injected::Kill { target } | Injected::PowerFailure { target } => {
            begins(Injected::Pause { target: target.clone() }) || is_armed(text, target)
        }
        Injected::Mend { from, to } => begins(Injected::Cut { from: from.clone(), to: to.clone() }),
        Injected::Prompt { from, to } => {
            starts(text, &Injected::Prompt { from: from.clone(), to: to.clone() }, " is prompt", " takes ")
        }
        Injected::FullBandwidth { from, to } => {
            text.starts_with(&format!("{} -> {} carries ", person(from), person(to)))
        }
        Injected::Release { a, b, .. } => text.starts_with("stall ") && text.ends_with(&pair(a, b)),
        Injected::Accept { target } => of_node(text, target) && (text.contains("connect")),
        Injected::DiskHealthy { target } => text.starts_with(&format!("disk of {} ", person(target))),
        Injected::ClockRight { target } => text.starts_with(&format!("wall clock of {} ", person(target))),
        Injected::Rejoin { target, session } => [true, false].into_iter().any(|reaches_others| {
            begins(Injected::Detach { target: target.clone(), session: *session, reaches_others })
        }),
        Injected::ServerCaughtUp { target } => begins(Injected::ServerLags { target: target.clone() }),
        Injected::WatchesPrompt { .. } => text.contains("watch"),
        Injected::QuorumBack { .. } => text.contains("quorum"),
        Injected::UsualLoad { target } => of_node(text, target) && (text.contains("send")),
        Injected::UsualPace { target } => of_node(text, target) && text.contains("slower"),
        _ => false,
    }
}

fn person(node: &str) -> String {
    evidence::person(node)
}

fn pair(a: &str, b: &str) -> String {
    format!("{} | {}", person(a), person(b))
}

fn of_node(text: &str, node: &str) -> bool {
    text.starts_with(&format!("{} ", person(node)))
}

fn is_armed(text: &str, node: &str) -> bool {
    of_node(text, node) && text.contains(" will ")
}

/// Whether `text` begins as the text of `end` does before `until`, and goes on with `then`.
fn starts(text: &str, end: &Injected, until: &str, then: &str) -> bool {
    let end = fault_text::text(end);
    let before = end.split(until).next().unwrap_or_default();
    text.strip_prefix(before).is_some_and(|rest| rest.starts_with(then))
}
