//! Whether a fault bit: whether because of it an operation had another result, or came to its end noticeably later.
//!
//! Pure: judged by what the simulator saw from the fault on until it was over. One drawn fault may cut many links: it bit if
//! any part of it did. Two that last at the same time on the same link or disk share what is seen.

use std::sync::Arc;

use seedlog::facts::Fact;
use seedlog::types::SessionId;
use serde::{Deserialize, Serialize};

use super::Struck;
use crate::cluster::{TINKERER, ZOOKEEPER};
use crate::history::{DiskOperation, Entry, Failure, Injected, Phase, Seen, What};

/// What faults of one kind did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bites {
    pub bit: u64,
    /// They changed nothing worth speaking of.
    pub nothing: u64,
}

impl Bites {
    pub fn add(&mut self, other: Bites) {
        self.bit += other.bit;
        self.nothing += other.nothing;
    }

    /// Counts one fault.
    pub fn count(&mut self, has_bitten: bool) {
        match has_bitten {
            true => self.bit += 1,
            false => self.nothing += 1,
        }
    }

    pub fn all(self) -> u64 {
        self.bit + self.nothing
    }
}

/// Whether it bit, so far: any part of what it was drawn as.
pub fn has_bitten(struck: &Struck, history: &[Entry]) -> bool {
    let since = since(struck, history);
    struck.essence().any(|fault| has_part_bitten(fault, since))
}

/// What the heal broke and left so, and whether it bit by the end of the run. Nothing else begins after the heal.
pub fn left_by_the_heal(history: &[Entry]) -> Vec<(&Injected, bool)> {
    let is_heal = |entry: &Entry| matches!(&entry.what, What::Phase(entered) if entered.phase == Phase::Heal);
    let since = history.iter().position(is_heal).map_or(&[][..], |healed| &history[healed..]);
    let left = since.iter().enumerate().filter_map(|(at, entry)| {
        let What::Fault(fault) = &entry.what else { return None };
        let sign = sign(fault)?;
        let mut behind = since[at + 1..].iter();
        let has_bitten =
            matches!(sign, Sign::Itself) || behind.any(|entry| sign.is_shown_by(&entry.what, since));
        Some((fault, has_bitten))
    });
    left.collect()
}

fn since<'a>(struck: &Struck, history: &'a [Entry]) -> &'a [Entry] {
    &history[history.partition_point(|entry| entry.at_ns < struck.at_ns)..]
}

/// What shows that a fault bit.
enum Sign<'a> {
    /// That it was there: a process ended, or stood still.
    Itself,
    Struck(&'a str, &'static [&'static str]),
    HeldUp(&'a Arc<str>, &'a Arc<str>),
    /// In either direction.
    HeldUpBetween(&'a Arc<str>, &'a Arc<str>),
    Stop,
    Expiry(SessionId),
    Session(SessionId, &'static [&'static str]),
    ExpiryOr(SessionId, &'static [&'static str]),
    AnySession(&'static str),
    /// The creation of the node under which this one is registered.
    Registration(&'a Arc<str>),
}

/// `None`: the end of a fault.
fn sign(fault: &Injected) -> Option<Sign<'_>> {
    Some(match fault {
        Injected::Kill { .. }
        | Injected::PowerFailure { .. }
        | Injected::Wipe { .. }
        | Injected::Pause { .. }
        | Injected::Suspend { .. }
        | Injected::Stop { .. }
        | Injected::Reconfigure { .. } => Sign::Itself,
        Injected::RollingRestart { .. } => Sign::Stop,
        Injected::CrashArmed { target, .. } => Sign::Struck(target, &["crash-inside", "crash-at-point"]),
        Injected::FewDescriptors { target, .. } => Sign::Struck(target, &["too-many-files"]),
        Injected::Cut { from, to }
        | Injected::Delay { from, to, .. }
        | Injected::Bandwidth { from, to, .. } => Sign::HeldUp(from, to),
        Injected::Reset { a, b }
        | Injected::ResetOneEnd { of: a, with: b }
        | Injected::Stall { a, b, .. }
        | Injected::Drop { a, b } => Sign::HeldUpBetween(a, b),
        Injected::Refuse { target, .. } => Sign::Struck(target, &["connect-hindered"]),
        Injected::DiskError { .. }
        | Injected::DiskFull { .. }
        | Injected::DiskHangs { .. }
        | Injected::DiskSlow { .. }
        | Injected::DiskLies { .. }
        | Injected::DiskMisdirects { .. }
        | Injected::DiskSectorLost { .. }
        | Injected::BitFlip { .. }
        | Injected::BitRot { .. }
        | Injected::FileTruncated { .. } => sign_of_disk(fault)?,
        Injected::ClockBump { target, .. }
        | Injected::ClockDrift { target, .. }
        | Injected::ClockStrobe { target, .. } => Sign::Struck(target, &["wrong-clock"]),
        Injected::MonotonicDrift { target, .. } => Sign::Struck(target, &["timer-drifted"]),
        Injected::TimersLate { target, .. } => Sign::Struck(target, &["timer-late"]),
        Injected::ExpireSession { .. }
        | Injected::LoseReply { .. }
        | Injected::LoseRegistration { .. }
        | Injected::CutShort { .. }
        | Injected::OffsetGarbled { .. }
        | Injected::RegistryBreaks { .. }
        | Injected::Detach { .. }
        | Injected::ServerLags { .. }
        | Injected::WatchesLate { .. }
        | Injected::ReconnectStorm { .. }
        | Injected::QuorumLost { .. } => sign_of_zookeeper(fault)?,
        Injected::Idle { .. }
        | Injected::Burst { .. }
        | Injected::HotKey { .. }
        | Injected::HugeRecord { .. }
        | Injected::Slow { .. } => sign_of_load(fault)?,
        Injected::Resume { .. }
        | Injected::EnoughDescriptors { .. }
        | Injected::Start { .. }
        | Injected::Mend { .. }
        | Injected::Prompt { .. }
        | Injected::FullBandwidth { .. }
        | Injected::Release { .. }
        | Injected::Accept { .. }
        | Injected::DiskHealthy { .. }
        | Injected::ClockRight { .. }
        | Injected::TimersRight { .. }
        | Injected::Rejoin { .. }
        | Injected::ServerCaughtUp { .. }
        | Injected::WatchesPrompt { .. }
        | Injected::QuorumBack { .. }
        | Injected::UsualLoad { .. }
        | Injected::UsualPace { .. } => return None,
    })
}

fn sign_of_zookeeper(fault: &Injected) -> Option<Sign<'_>> {
    let sign = match fault {
        Injected::ExpireSession { session, .. } => Sign::Expiry(*session),
        Injected::LoseReply { session, .. } => Sign::Session(*session, &["reply-lost"]),
        Injected::LoseRegistration { target } => Sign::Registration(target),
        Injected::CutShort { session, .. } => Sign::Session(*session, &["cut-short"]),
        Injected::OffsetGarbled { .. } => Sign::Struck(TINKERER, &["offset-garbled"]),
        Injected::RegistryBreaks { .. } => Sign::AnySession("request-broken"),
        Injected::Detach { session, .. } => {
            Sign::ExpiryOr(*session, &["unanswered", "unheard", "old-state", "sent-away"])
        }
        Injected::ServerLags { target } => Sign::Struck(target, &["old-state", "sent-away"]),
        Injected::WatchesLate { session, .. } => Sign::Session(*session, &["watch-late"]),
        Injected::ReconnectStorm { .. } | Injected::QuorumLost { .. } => {
            Sign::AnySession("connection-closed")
        }
        _ => return None,
    };
    Some(sign)
}

fn sign_of_load(fault: &Injected) -> Option<Sign<'_>> {
    let sign = match fault {
        Injected::Idle { target } => Sign::Struck(target, &["idle"]),
        Injected::Burst { target } => Sign::Struck(target, &["burst"]),
        Injected::HotKey { target } => Sign::Struck(target, &["hot-key"]),
        Injected::HugeRecord { target, .. } => Sign::Struck(target, &["huge-record"]),
        Injected::Slow { target, .. } => Sign::Struck(target, &["slow-consumer"]),
        _ => return None,
    };
    Some(sign)
}

fn sign_of_disk(fault: &Injected) -> Option<Sign<'_>> {
    let (target, signs): (&Arc<str>, &'static [&'static str]) = match fault {
        Injected::DiskError { target, failure: Failure::Short, .. } => (target, &["short-write"]),
        Injected::DiskError { target, operation, .. } => (target, error_of(*operation)),
        Injected::DiskFull { target, .. } => (target, &["no-space"]),
        Injected::DiskHangs { target, operation, .. } => (target, hanging(*operation)),
        Injected::DiskSlow { target, .. } => (target, &["slow"]),
        Injected::DiskLies { target } => (target, &["lying-sync"]),
        Injected::DiskMisdirects { target } => (target, &["misdirected-write"]),
        Injected::DiskSectorLost { target, .. } => (target, &["sector-lost"]),
        Injected::BitFlip { target, .. }
        | Injected::BitRot { target, .. }
        | Injected::FileTruncated { target, .. } => (target, &["damage-read"]),
        _ => return None,
    };
    Some(Sign::Struck(target, signs))
}

fn hanging(operation: Option<DiskOperation>) -> &'static [&'static str] {
    static ALL: [&str; 9] = [
        "hanging-read",
        "hanging-write",
        "hanging-set-len",
        "hanging-sync",
        "hanging-rename",
        "hanging-open",
        "hanging-create-dir",
        "hanging-read-dir",
        "hanging-remove",
    ];
    let at = operation.and_then(|operation| DiskOperation::ALL.into_iter().position(|one| one == operation));
    at.map_or(&ALL[..], |at| &ALL[at..=at])
}

fn error_of(operation: DiskOperation) -> &'static [&'static str] {
    match operation {
        DiskOperation::Read => &["read-error"],
        DiskOperation::Write => &["write-error"],
        DiskOperation::SetLen => &["set-len-error"],
        DiskOperation::Fsync => &["sync-error"],
        DiskOperation::Rename => &["rename-error"],
        DiskOperation::Open => &["open-error"],
        DiskOperation::Mkdir => &["create-dir-error"],
        DiskOperation::ReadDir => &["read-dir-error"],
        DiskOperation::Unlink => &["remove-error"],
    }
}

/// `since`: from the instant of the fault on.
fn has_part_bitten(fault: &Injected, since: &[Entry]) -> bool {
    let Some(sign) = sign(fault) else { return false };
    if matches!(sign, Sign::Itself) {
        return true;
    }
    let Some(begun) = since.iter().position(|entry| matches!(&entry.what, What::Fault(f) if f == fault))
    else {
        return false;
    };
    let is_on = |entry: &&Entry| match &entry.what {
        What::Phase(entered) => outlasts_the_storm(fault) || entered.phase < Phase::Heal,
        What::Fault(later) => !ends(fault, later),
        What::Fact(_) | What::Seen(_) => true,
    };
    let mut while_on = since[begun + 1..].iter().take_while(is_on);
    while_on.any(|entry| sign.is_shown_by(&entry.what, since))
}

/// What is broken for good.
fn outlasts_the_storm(fault: &Injected) -> bool {
    matches!(
        fault,
        Injected::Drop { .. }
            | Injected::BitFlip { .. }
            | Injected::BitRot { .. }
            | Injected::FileTruncated { .. }
            | Injected::HugeRecord { .. }
    )
}

impl Sign<'_> {
    fn is_shown_by(&self, what: &What, since: &[Entry]) -> bool {
        match what {
            What::Seen(seen) => self.is_seen(seen, since),
            What::Fact(Fact::SessionExpired { session }) => {
                matches!(self, Sign::Expiry(of) | Sign::ExpiryOr(of, _) if of == session)
            }
            What::Fault(Injected::Stop { .. }) => matches!(self, Sign::Stop),
            What::Fault(_) | What::Fact(_) | What::Phase(_) => false,
        }
    }

    fn is_seen(&self, seen: &Seen, since: &[Entry]) -> bool {
        match (self, seen) {
            (Sign::Struck(target, signs), Seen::Struck { target: struck, fault }) => {
                *target == &**struck && signs.contains(&&**fault)
            }
            (Sign::HeldUp(from, to), Seen::HeldUp { from: sender, to: receiver }) => {
                (*from, *to) == (sender, receiver)
            }
            (Sign::HeldUpBetween(a, b), Seen::HeldUp { from, to }) => {
                (*a, *b) == (from, to) || (*b, *a) == (from, to)
            }
            (
                Sign::Session(of, signs) | Sign::ExpiryOr(of, signs),
                Seen::SessionStruck { session, fault },
            ) => of == session && signs.contains(&&**fault),
            (Sign::AnySession(sign), Seen::SessionStruck { fault, .. }) => **fault == **sign,
            (Sign::AnySession(_), Seen::Struck { target, fault }) => {
                **target == *ZOOKEEPER && **fault == *"no-quorum"
            }
            (Sign::Registration(of), Seen::SessionStruck { session, fault }) => {
                **fault == *"registration-lost" && is_session_of(of, *session, since)
            }
            _ => false,
        }
    }
}

/// Whether the node attached the session, or is told that it has it.
fn is_session_of(node: &Arc<str>, session: SessionId, since: &[Entry]) -> bool {
    since.iter().any(|entry| {
        let attached = match &entry.what {
            What::Fact(
                Fact::BrokerRegistered { session, .. }
                | Fact::GroupJoined { session, .. }
                | Fact::SessionAttached { session, .. },
            ) => Some(*session),
            _ => None,
        };
        entry.node == *node && attached == Some(session)
    })
}

/// Whether `later` ends what `fault` began.
fn ends(fault: &Injected, later: &Injected) -> bool {
    match (fault, later) {
        (Injected::Cut { from, to }, Injected::Mend { from: f, to: t })
        | (Injected::Delay { from, to, .. }, Injected::Prompt { from: f, to: t })
        | (Injected::Bandwidth { from, to, .. }, Injected::FullBandwidth { from: f, to: t })
        | (Injected::Stall { a: from, b: to, .. }, Injected::Release { a: f, b: t, .. }) => {
            (from, to) == (f, t)
        }
        (Injected::Detach { session, .. }, Injected::Rejoin { session: s, .. })
        | (Injected::WatchesLate { session, .. }, Injected::WatchesPrompt { session: s, .. }) => session == s,
        (Injected::ServerLags { .. }, Injected::ServerCaughtUp { .. })
        | (Injected::QuorumLost { .. }, Injected::QuorumBack { .. }) => true,
        (Injected::Refuse { target, .. }, Injected::Accept { target: t })
        | (Injected::FewDescriptors { target, .. }, Injected::EnoughDescriptors { target: t })
        | (
            Injected::ClockBump { target, .. }
            | Injected::ClockDrift { target, .. }
            | Injected::ClockStrobe { target, .. },
            Injected::ClockRight { target: t },
        )
        | (
            Injected::MonotonicDrift { target, .. } | Injected::TimersLate { target, .. },
            Injected::TimersRight { target: t },
        )
        | (
            Injected::Idle { target } | Injected::Burst { target } | Injected::HotKey { target },
            Injected::UsualLoad { target: t },
        )
        | (Injected::Slow { target, .. }, Injected::UsualPace { target: t })
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
mod tests;
