//! The kinds of faults, by which they are counted and drawn, and whom each touches.

use std::sync::Arc;

use super::broker_of_node;
use super::injected::Injected;
use super::ways::DiskOperation;
use crate::cluster::ZOOKEEPER;

impl Injected {
    /// Every kind of fault, in the order of the table in `docs/testbed.md`.
    pub const KINDS: &[&str] = &[
        "kill",
        "zookeeper-kill",
        "client-kill",
        "power-failure",
        "zookeeper-power-failure",
        "client-power-failure",
        "pause",
        "suspend",
        "few-descriptors",
        "stop",
        "leave",
        "rolling-restart",
        "wipe",
        "crash-at-point",
        "crash-in-disk",
        "crash-in-recovery",
        "reconfigure",
        "cut",
        "reset",
        "reset-one-end",
        "delay",
        "bandwidth",
        "stall",
        "silent-drop",
        "connect-refused",
        "connect-unanswered",
        "slow-accept",
        "disk-error",
        "disk-full",
        "disk-slow",
        "disk-hangs",
        "disk-lies",
        "disk-misdirects",
        "disk-sector-lost",
        "bit-flip",
        "bit-rot",
        "file-truncated",
        "clock-bump",
        "clock-drift",
        "clock-strobe",
        "monotonic-drift",
        "timers-late",
        "expire-session",
        "lost-reply",
        "lost-registration",
        "cut-short",
        "registry-breaks",
        "offset-garbled",
        "detach",
        "server-lags",
        "watches-late",
        "reconnect-storm",
        "quorum-lost",
        "idle",
        "burst",
        "hot-key",
        "huge-record",
        "slow-consumer",
    ];

    /// The name under which faults are counted; `None` for the end of a fault, which injures nobody.
    pub fn kind(&self) -> Option<&'static str> {
        let kind = match self {
            Injected::Kill { target } => by_role(target, ["kill", "zookeeper-kill", "client-kill"]),
            Injected::PowerFailure { target } => {
                by_role(target, ["power-failure", "zookeeper-power-failure", "client-power-failure"])
            }
            Injected::Pause { .. } => "pause",
            Injected::Suspend { .. } => "suspend",
            Injected::FewDescriptors { .. } => "few-descriptors",
            Injected::Stop { target } => by_role(target, ["stop", "stop", "leave"]),
            Injected::RollingRestart { .. } => "rolling-restart",
            Injected::Wipe { .. } => "wipe",
            Injected::CrashArmed { point, .. } => kind_of_crash(point),
            Injected::Reconfigure { .. } => "reconfigure",
            Injected::Cut { .. } => "cut",
            Injected::Reset { .. } => "reset",
            Injected::ResetOneEnd { .. } => "reset-one-end",
            Injected::Delay { .. } => "delay",
            Injected::Bandwidth { .. } => "bandwidth",
            Injected::Stall { .. } => "stall",
            Injected::Drop { .. } => "silent-drop",
            Injected::Refuse { how, .. } => how.kind(),
            Injected::DiskError { .. } => "disk-error",
            Injected::DiskFull { .. } => "disk-full",
            Injected::DiskSlow { .. } => "disk-slow",
            Injected::DiskHangs { .. } => "disk-hangs",
            Injected::DiskLies { .. } => "disk-lies",
            Injected::DiskMisdirects { .. } => "disk-misdirects",
            Injected::DiskSectorLost { .. } => "disk-sector-lost",
            Injected::BitFlip { .. } => "bit-flip",
            Injected::BitRot { .. } => "bit-rot",
            Injected::FileTruncated { .. } => "file-truncated",
            Injected::ClockBump { .. } => "clock-bump",
            Injected::ClockDrift { .. } => "clock-drift",
            Injected::ClockStrobe { .. } => "clock-strobe",
            Injected::MonotonicDrift { .. } => "monotonic-drift",
            Injected::TimersLate { .. } => "timers-late",
            Injected::ExpireSession { .. } => "expire-session",
            Injected::LoseReply { .. } => "lost-reply",
            Injected::LoseRegistration { .. } => "lost-registration",
            Injected::CutShort { .. } => "cut-short",
            Injected::RegistryBreaks { .. } => "registry-breaks",
            Injected::OffsetGarbled { .. } => "offset-garbled",
            Injected::Detach { .. } => "detach",
            Injected::ServerLags { .. } => "server-lags",
            Injected::WatchesLate { .. } => "watches-late",
            Injected::ReconnectStorm { .. } => "reconnect-storm",
            Injected::QuorumLost { .. } => "quorum-lost",
            Injected::Idle { .. } => "idle",
            Injected::Burst { .. } => "burst",
            Injected::HotKey { .. } => "hot-key",
            Injected::HugeRecord { .. } => "huge-record",
            Injected::Slow { .. } => "slow-consumer",
            // The end of one.
            _ => return None,
        };
        Some(kind)
    }

    /// Whether it only strikes what there is at that moment: a connection, a session, a request, a record.
    pub fn is_a_moments(&self) -> bool {
        matches!(
            self,
            Injected::Reset { .. }
                | Injected::ResetOneEnd { .. }
                | Injected::ExpireSession { .. }
                | Injected::LoseReply { .. }
                | Injected::LoseRegistration { .. }
                | Injected::CutShort { .. }
                | Injected::RegistryBreaks { .. }
                | Injected::OffsetGarbled { .. }
                | Injected::ReconnectStorm { .. }
                | Injected::HugeRecord { .. }
        )
    }

    /// The nodes that it touches.
    pub fn targets(&self) -> Vec<&Arc<str>> {
        match self {
            Injected::Kill { target }
            | Injected::PowerFailure { target }
            | Injected::Pause { target }
            | Injected::Resume { target }
            | Injected::Suspend { target }
            | Injected::FewDescriptors { target, .. }
            | Injected::EnoughDescriptors { target }
            | Injected::Start { target }
            | Injected::Stop { target }
            | Injected::Wipe { target }
            | Injected::RollingRestart { target, .. }
            | Injected::CrashArmed { target, .. }
            | Injected::Reconfigure { target, .. }
            | Injected::Refuse { target, .. }
            | Injected::Accept { target }
            | Injected::DiskError { target, .. }
            | Injected::DiskFull { target, .. }
            | Injected::DiskSlow { target, .. }
            | Injected::DiskHangs { target, .. }
            | Injected::DiskLies { target }
            | Injected::DiskMisdirects { target }
            | Injected::DiskSectorLost { target, .. }
            | Injected::BitFlip { target, .. }
            | Injected::BitRot { target, .. }
            | Injected::FileTruncated { target, .. }
            | Injected::DiskHealthy { target }
            | Injected::ClockBump { target, .. }
            | Injected::ClockDrift { target, .. }
            | Injected::ClockStrobe { target, .. }
            | Injected::ClockRight { target }
            | Injected::MonotonicDrift { target, .. }
            | Injected::TimersLate { target, .. }
            | Injected::TimersRight { target }
            | Injected::ExpireSession { target, .. }
            | Injected::LoseReply { target, .. }
            | Injected::LoseRegistration { target }
            | Injected::CutShort { target, .. }
            | Injected::RegistryBreaks { target, .. }
            | Injected::OffsetGarbled { target, .. }
            | Injected::ServerLags { target }
            | Injected::ServerCaughtUp { target }
            | Injected::Detach { target, .. }
            | Injected::Rejoin { target, .. }
            | Injected::WatchesLate { target, .. }
            | Injected::WatchesPrompt { target, .. }
            | Injected::ReconnectStorm { target }
            | Injected::QuorumLost { target }
            | Injected::QuorumBack { target }
            | Injected::Idle { target }
            | Injected::Burst { target }
            | Injected::HotKey { target }
            | Injected::HugeRecord { target, .. }
            | Injected::UsualLoad { target }
            | Injected::Slow { target, .. }
            | Injected::UsualPace { target } => vec![target],
            Injected::Cut { from, to }
            | Injected::Mend { from, to }
            | Injected::Delay { from, to, .. }
            | Injected::Prompt { from, to }
            | Injected::Bandwidth { from, to, .. }
            | Injected::FullBandwidth { from, to } => vec![from, to],
            Injected::ResetOneEnd { of, with } => vec![of, with],
            Injected::Reset { a, b }
            | Injected::Stall { a, b, .. }
            | Injected::Release { a, b, .. }
            | Injected::Drop { a, b } => vec![a, b],
        }
    }
}

fn kind_of_crash(point: &str) -> &'static str {
    match point {
        "log-recovered" => "crash-in-recovery",
        point if DiskOperation::of_word(point).is_some() => "crash-in-disk",
        _ => "crash-at-point",
    }
}

/// Picks among the words for a broker, for ZooKeeper and for a client.
fn by_role(node: &str, words: [&'static str; 3]) -> &'static str {
    let [broker, zookeeper, client] = words;
    match node {
        ZOOKEEPER => zookeeper,
        node if broker_of_node(node).is_some() => broker,
        _ => client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_counted_by_the_role_of_who_died() {
        let kind = |target: &str| Injected::Kill { target: target.into() }.kind();
        assert_eq!(kind("broker-2"), Some("kill"));
        assert_eq!(kind("zookeeper"), Some("zookeeper-kill"));
        assert_eq!(kind("shop"), Some("client-kill"));
    }
}
