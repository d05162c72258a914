//! Whether a fault bit: whether because of it an operation had another result, or came to its end noticeably later.
//!
//! Pure: judged by what the simulator saw from the fault on until it was over. Of some kinds it sees nothing yet: what
//! they did is not measured. Two faults that last at the same time on the same link or disk share what is seen.

use std::sync::Arc;

use seedlog::facts::Fact;
use serde::{Deserialize, Serialize};

use crate::history::{Entry, Injected, Phase, Seen, What};

/// How long a crash that was armed is waited for, with the time that its node stays down.
const ARMED_NS_MAX: u64 = 10_000_000_000;

/// What faults of one kind did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bites {
    pub bit: u64,
    /// They changed nothing worth speaking of.
    pub nothing: u64,
    pub not_measured: u64,
}

impl Bites {
    pub fn add(&mut self, other: Bites) {
        self.bit += other.bit;
        self.nothing += other.nothing;
        self.not_measured += other.not_measured;
    }

    /// Counts one fault, which the history holds.
    pub fn count(&mut self, fault: &Injected, history: &[Entry]) {
        match has_bitten(fault, history) {
            Some(true) => self.bit += 1,
            Some(false) => self.nothing += 1,
            None => self.not_measured += 1,
        }
    }
}

/// What shows that a fault bit.
enum Sign<'a> {
    /// That it was there: a process ended, or stood still.
    Itself,
    Struck(&'a Arc<str>, fn(&str) -> bool),
    HeldUp(&'a Arc<str>, &'a Arc<str>),
    /// In either direction.
    HeldUpBetween(&'a Arc<str>, &'a Arc<str>),
    Death(&'a Arc<str>),
    Expiry(seedlog::types::SessionId),
}

fn sign(fault: &Injected) -> Option<Sign<'_>> {
    let sign = match fault {
        Injected::Kill { .. }
        | Injected::PowerFailure { .. }
        | Injected::Wipe { .. }
        | Injected::Pause { .. }
        | Injected::Suspend { .. }
        | Injected::Stop { .. }
        | Injected::Reconfigure { .. } => Sign::Itself,
        Injected::CrashArmed { target, .. } => Sign::Death(target),
        Injected::DiskError { target, .. } => {
            Sign::Struck(target, |fault| fault.ends_with("-error") || fault == "short-write")
        }
        Injected::DiskFull { target, .. } => Sign::Struck(target, |fault| fault == "no-space"),
        Injected::DiskHangs { target, .. } => Sign::Struck(target, |fault| fault == "hanging-sync"),
        Injected::DiskSlow { target, .. } => Sign::Struck(target, |fault| fault == "slow"),
        Injected::DiskLies { target } => Sign::Struck(target, |fault| fault == "lying-sync"),
        Injected::DiskMisdirects { target } => Sign::Struck(target, |fault| fault == "misdirected-write"),
        Injected::DiskSectorLost { target, .. } => Sign::Struck(target, |fault| fault == "sector-lost"),
        Injected::BitFlip { target, .. }
        | Injected::BitRot { target, .. }
        | Injected::FileTruncated { target, .. } => Sign::Struck(target, |fault| fault == "damage-read"),
        Injected::FewDescriptors { target, .. } => Sign::Struck(target, |fault| fault == "too-many-files"),
        Injected::Refuse { target, .. } => Sign::Struck(target, |fault| fault == "connect-hindered"),
        Injected::Cut { from, to }
        | Injected::Delay { from, to, .. }
        | Injected::Bandwidth { from, to, .. } => Sign::HeldUp(from, to),
        Injected::Reset { a, b } | Injected::Stall { a, b, .. } | Injected::Drop { a, b } => {
            Sign::HeldUpBetween(a, b)
        }
        Injected::ExpireSession { session, .. } => Sign::Expiry(*session),
        _ => return None,
    };
    Some(sign)
}

/// `None`: nobody can tell.
fn has_bitten(fault: &Injected, history: &[Entry]) -> Option<bool> {
    let sign = sign(fault)?;
    if matches!(sign, Sign::Itself) {
        return Some(true);
    }
    let begun = history.iter().position(|entry| matches!(&entry.what, What::Fault(f) if f == fault))?;
    let since = history[begun].at_ns;
    let is_on = |entry: &&Entry| match &entry.what {
        What::Phase(entered) => entered.phase < Phase::Converge,
        What::Fault(later) => !ends(fault, later),
        _ => !matches!(sign, Sign::Death(_)) || entry.at_ns - since < ARMED_NS_MAX,
    };
    Some(history[begun + 1..].iter().take_while(is_on).any(|entry| sign.is_shown_by(&entry.what)))
}

impl Sign<'_> {
    fn is_shown_by(&self, what: &What) -> bool {
        match (self, what) {
            (Sign::Struck(target, is_it), What::Seen(Seen::Struck { target: struck, fault })) => {
                *target == struck && is_it(fault)
            }
            (Sign::HeldUp(from, to), What::Seen(Seen::HeldUp { from: sender, to: receiver })) => {
                (*from, *to) == (sender, receiver)
            }
            (Sign::HeldUpBetween(a, b), What::Seen(Seen::HeldUp { from, to })) => {
                (*a, *b) == (from, to) || (*b, *a) == (from, to)
            }
            (Sign::Death(of), What::Fault(Injected::Kill { target } | Injected::PowerFailure { target })) => {
                *of == target
            }
            (Sign::Expiry(of), What::Fact(Fact::SessionExpired { session })) => of == session,
            _ => false,
        }
    }
}

/// Whether `later` ends what `fault` began.
fn ends(fault: &Injected, later: &Injected) -> bool {
    match (fault, later) {
        (Injected::Cut { from, to }, Injected::Mend { from: f, to: t })
        | (Injected::Delay { from, to, .. }, Injected::Prompt { from: f, to: t })
        | (Injected::Bandwidth { from, to, .. }, Injected::FullBandwidth { from: f, to: t }) => {
            (from, to) == (f, t)
        }
        (Injected::Refuse { target, .. }, Injected::Accept { target: t })
        | (
            Injected::ClockBump { target, .. }
            | Injected::ClockDrift { target, .. }
            | Injected::ClockStrobe { target, .. },
            Injected::ClockRight { target: t },
        )
        | (
            Injected::DiskError { target, .. }
            | Injected::DiskFull { target, .. }
            | Injected::DiskSlow { target, .. }
            | Injected::DiskHangs { target, .. }
            | Injected::DiskLies { target }
            | Injected::DiskMisdirects { target }
            | Injected::DiskSectorLost { target, .. },
            Injected::DiskHealthy { target: t },
        ) => target == t,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_ms: u64, what: What) -> Entry {
        Entry { at_ns: at_ms * 1_000_000, node: "testbed".into(), incarnation: 0, what }
    }

    fn bites(fault: Injected, then: Vec<What>) -> Bites {
        let history: Vec<Entry> = [What::Fault(fault.clone())]
            .into_iter()
            .chain(then)
            .enumerate()
            .map(|(at, what)| entry(at as u64, what))
            .collect();
        let mut bites = Bites::default();
        bites.count(&fault, &history);
        bites
    }

    fn held_up(from: &str, to: &str) -> What {
        What::Seen(Seen::HeldUp { from: from.into(), to: to.into() })
    }

    const BIT: Bites = Bites { bit: 1, nothing: 0, not_measured: 0 };
    const NOTHING: Bites = Bites { bit: 0, nothing: 1, not_measured: 0 };

    #[test]
    fn a_cut_between_nodes_that_do_not_speak_does_nothing() {
        let cut = || Injected::Cut { from: "shop".into(), to: "broker-1".into() };
        assert_eq!(bites(cut(), vec![held_up("shop", "broker-1")]), BIT);
        assert_eq!(bites(cut(), vec![held_up("broker-1", "shop"), held_up("shop", "broker-2")]), NOTHING);
        let mended = What::Fault(Injected::Mend { from: "shop".into(), to: "broker-1".into() });
        assert_eq!(bites(cut(), vec![mended, held_up("shop", "broker-1")]), NOTHING);
    }

    #[test]
    fn a_disk_that_fails_nobody_does_nothing_and_one_that_was_cured_does_no_more() {
        let full = || Injected::DiskFull { target: "broker-1".into(), free_bytes: 0 };
        let struck = |target: &str, fault: &str| {
            What::Seen(Seen::Struck { target: target.into(), fault: fault.into() })
        };
        assert_eq!(bites(full(), vec![struck("broker-1", "no-space")]), BIT);
        assert_eq!(bites(full(), vec![struck("broker-2", "no-space"), struck("broker-1", "slow")]), NOTHING);
        let cured = What::Fault(Injected::DiskHealthy { target: "broker-1".into() });
        assert_eq!(bites(full(), vec![cured, struck("broker-1", "no-space")]), NOTHING);
    }

    #[test]
    fn a_kill_bites_and_a_kind_of_which_nothing_is_seen_is_not_measured() {
        assert_eq!(bites(Injected::Kill { target: "broker-1".into() }, Vec::new()), BIT);
        let storm = bites(Injected::ReconnectStorm { target: "zookeeper".into() }, Vec::new());
        assert_eq!(storm, Bites { not_measured: 1, ..Bites::default() });
    }
}
