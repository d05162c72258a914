//! Faults as the history states them: what was done to whom, before it takes effect, and when it ended.
//!
//! Data alone: injuring is the job of `faults`.

mod targets;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::broker_of_node;
use crate::cluster::ZOOKEEPER;
use seedlog::types::SessionId;

/// Which disk operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskOperation {
    Read,
    Write,
    Fsync,
    Rename,
}

/// What becomes of a disk operation that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// Nothing was done. After an fsync programs go on reading what was not stored.
    #[default]
    Plain,
    /// A part was written.
    Short,
    /// After the fsync programs read the old bytes again.
    Reverts,
    /// The fsync that lost the bytes succeeds, and the file's next one fails.
    Late,
}

/// How a machine treats those who want to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refusal {
    /// "Connection refused", as though nobody listened.
    Refused,
    /// No answer at all: the attempt times out.
    Unanswered,
    /// The process accepts late.
    Late,
}

/// A fault as it was injected, or its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Injected {
    // -- processes and machines
    Kill {
        target: Arc<str>,
    },
    PowerFailure {
        target: Arc<str>,
    },
    Pause {
        target: Arc<str>,
    },
    Resume {
        target: Arc<str>,
    },
    /// A process begins: the first start, or after a crash.
    Start {
        target: Arc<str>,
    },
    /// The process is asked to end in order.
    Stop {
        target: Arc<str>,
    },
    /// Every broker is stopped and started again, one after the other; `target` is the first. Each stop is stated.
    RollingRestart {
        target: Arc<str>,
        every_ms: u32,
    },
    /// An empty disk in place of the node's own.
    Wipe {
        target: Arc<str>,
    },
    /// The process will die (or its machine's power fail) at the `nth` time that it comes to `point`: a kind of
    /// fact, or a disk operation. Its death is stated when it comes.
    CrashArmed {
        target: Arc<str>,
        point: Arc<str>,
        nth: u32,
        power_failure: bool,
    },
    /// The next incarnation runs with another setting.
    Reconfigure {
        target: Arc<str>,
        key: Arc<str>,
        value: Arc<str>,
    },

    // -- network
    /// Nothing gets from `from` to `to`.
    Cut {
        from: Arc<str>,
        to: Arc<str>,
    },
    Mend {
        from: Arc<str>,
        to: Arc<str>,
    },
    /// Every connection between the two is reset.
    Reset {
        a: Arc<str>,
        b: Arc<str>,
    },
    /// Segments take `floor_ms`, and an exponentially distributed time of mean `mean_ms` on top.
    Delay {
        from: Arc<str>,
        to: Arc<str>,
        floor_ms: u32,
        mean_ms: u32,
    },
    /// The end of a delay.
    Prompt {
        from: Arc<str>,
        to: Arc<str>,
    },
    /// The link carries no more than this, on all connections together.
    Bandwidth {
        from: Arc<str>,
        to: Arc<str>,
        bytes_per_second: u64,
    },
    /// The end of a bounded bandwidth.
    FullBandwidth {
        from: Arc<str>,
        to: Arc<str>,
    },
    /// So many of the connections between the two hold everything back.
    Stall {
        a: Arc<str>,
        b: Arc<str>,
        connections: u32,
    },
    /// What stalled connections held goes on.
    Release {
        a: Arc<str>,
        b: Arc<str>,
        connections: u32,
    },
    /// Every connection between the two is half-open from now on: packets vanish, nobody is told.
    Drop {
        a: Arc<str>,
        b: Arc<str>,
    },
    Refuse {
        target: Arc<str>,
        how: Refusal,
    },
    Accept {
        target: Arc<str>,
    },

    // -- disks
    DiskError {
        target: Arc<str>,
        operation: DiskOperation,
        #[serde(default)]
        failure: Failure,
        /// One operation in so many; 0: the next one and no other.
        #[serde(default)]
        one_in: u32,
    },
    DiskFull {
        target: Arc<str>,
    },
    DiskSlow {
        target: Arc<str>,
        factor: u32,
        /// Whether a write holds up every task of the process.
        #[serde(default)]
        stalls: bool,
    },
    /// Fsyncs succeed and store nothing.
    DiskLies {
        target: Arc<str>,
    },
    /// A write lands elsewhere in its file.
    DiskMisdirects {
        target: Arc<str>,
    },
    /// A sector of the file can no longer be read.
    DiskSectorLost {
        target: Arc<str>,
        file: Arc<str>,
        offset: u64,
    },
    BitFlip {
        target: Arc<str>,
        file: Arc<str>,
        offset: u64,
    },
    /// The file ends here from now on; what followed is gone.
    FileTruncated {
        target: Arc<str>,
        file: Arc<str>,
        length: u64,
    },
    /// The end of every disk fault of this node.
    DiskHealthy {
        target: Arc<str>,
    },

    // -- clocks
    ClockBump {
        target: Arc<str>,
        by_ms: i64,
    },
    ClockDrift {
        target: Arc<str>,
        ppm: i64,
    },
    /// Jumps there and back, again and again; each jump is stated.
    ClockStrobe {
        target: Arc<str>,
        by_ms: i64,
    },
    ClockRight {
        target: Arc<str>,
    },

    // -- ZooKeeper
    ExpireSession {
        target: Arc<str>,
        session: SessionId,
    },
    /// The next write of this session is applied; its connection closes in place of the reply.
    LoseReply {
        target: Arc<str>,
        session: SessionId,
    },
    /// The next creation of the node under which this one is registered is applied; the connection closes in
    /// place of the reply.
    LoseRegistration {
        target: Arc<str>,
    },
    /// `answered` more reads of this session are answered; each of the next `broken` ones ends its connection in the
    /// middle of the reply.
    CutShort {
        target: Arc<str>,
        session: SessionId,
        answered: u32,
        broken: u32,
    },
    /// This session is served by a follower that is cut from its leader: pings and reads are answered from what was
    /// known then, nothing else is.
    Detach {
        target: Arc<str>,
        session: SessionId,
    },
    /// The follower found its leader, or gave up (`syncLimit`): it drops the session's connection.
    Rejoin {
        target: Arc<str>,
        session: SessionId,
    },
    /// Every second new connection leads to a server that has fallen behind its leader.
    ServerLags {
        target: Arc<str>,
    },
    ServerCaughtUp {
        target: Arc<str>,
    },
    /// Watch events of this session, and all that follows them on its connection, come late.
    WatchesLate {
        target: Arc<str>,
        session: SessionId,
        millis: u32,
    },
    WatchesPrompt {
        target: Arc<str>,
        session: SessionId,
    },
    /// Every connection to ZooKeeper is closed at once.
    ReconnectStorm {
        target: Arc<str>,
    },
    /// ZooKeeper closes its connections and serves nobody; sessions survive.
    QuorumLost {
        target: Arc<str>,
    },
    QuorumBack {
        target: Arc<str>,
    },

    // -- load
    Idle {
        target: Arc<str>,
    },
    Burst {
        target: Arc<str>,
    },
    /// Every record has the same key.
    HotKey {
        target: Arc<str>,
    },
    /// The next record has a value of so many bytes.
    HugeRecord {
        target: Arc<str>,
        bytes: u64,
    },
    /// The end of an idle time, a burst or a hot key.
    UsualLoad {
        target: Arc<str>,
    },
    /// The application takes `factor` times as long for a record.
    Slow {
        target: Arc<str>,
        factor: u32,
    },
    UsualPace {
        target: Arc<str>,
    },
}

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
        "disk-lies",
        "disk-misdirects",
        "disk-sector-lost",
        "bit-flip",
        "file-truncated",
        "clock-bump",
        "clock-drift",
        "clock-strobe",
        "expire-session",
        "lost-reply",
        "lost-registration",
        "cut-short",
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
            Injected::Stop { target } => by_role(target, ["stop", "stop", "leave"]),
            Injected::RollingRestart { .. } => "rolling-restart",
            Injected::Wipe { .. } => "wipe",
            Injected::CrashArmed { point, .. } => match &**point {
                "log-recovered" => "crash-in-recovery",
                "read" | "write" | "fsync" | "rename" => "crash-in-disk",
                _ => "crash-at-point",
            },
            Injected::Reconfigure { .. } => "reconfigure",
            Injected::Cut { .. } => "cut",
            Injected::Reset { .. } => "reset",
            Injected::Delay { .. } => "delay",
            Injected::Bandwidth { .. } => "bandwidth",
            Injected::Stall { .. } => "stall",
            Injected::Drop { .. } => "silent-drop",
            Injected::Refuse { how: Refusal::Refused, .. } => "connect-refused",
            Injected::Refuse { how: Refusal::Unanswered, .. } => "connect-unanswered",
            Injected::Refuse { how: Refusal::Late, .. } => "slow-accept",
            Injected::DiskError { .. } => "disk-error",
            Injected::DiskFull { .. } => "disk-full",
            Injected::DiskSlow { .. } => "disk-slow",
            Injected::DiskLies { .. } => "disk-lies",
            Injected::DiskMisdirects { .. } => "disk-misdirects",
            Injected::DiskSectorLost { .. } => "disk-sector-lost",
            Injected::BitFlip { .. } => "bit-flip",
            Injected::FileTruncated { .. } => "file-truncated",
            Injected::ClockBump { .. } => "clock-bump",
            Injected::ClockDrift { .. } => "clock-drift",
            Injected::ClockStrobe { .. } => "clock-strobe",
            Injected::ExpireSession { .. } => "expire-session",
            Injected::LoseReply { .. } => "lost-reply",
            Injected::LoseRegistration { .. } => "lost-registration",
            Injected::CutShort { .. } => "cut-short",
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
            Injected::Resume { .. }
            | Injected::Start { .. }
            | Injected::Mend { .. }
            | Injected::Prompt { .. }
            | Injected::FullBandwidth { .. }
            | Injected::Release { .. }
            | Injected::Accept { .. }
            | Injected::DiskHealthy { .. }
            | Injected::ClockRight { .. }
            | Injected::Rejoin { .. }
            | Injected::ServerCaughtUp { .. }
            | Injected::WatchesPrompt { .. }
            | Injected::QuorumBack { .. }
            | Injected::UsualLoad { .. }
            | Injected::UsualPace { .. } => return None,
        };
        Some(kind)
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
