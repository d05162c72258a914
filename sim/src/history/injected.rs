//! Faults as the history states them: what was done to whom, before it takes effect, and when it ended.
//!
//! Data alone: injuring is the job of `faults`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ways::{DiskOperation, Errno, Failure, Refusal};
use seedlog::types::{SessionId, TopicPartition};

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
    /// The whole machine stands still, its timers too, and nothing reaches it; ended as a pause is.
    Suspend {
        target: Arc<str>,
    },
    /// The process may open so many more files and sockets.
    FewDescriptors {
        target: Arc<str>,
        left: u32,
    },
    EnoughDescriptors {
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
    /// The end that `of` has of every connection with `with` is reset; the other end finds out when it sends.
    ResetOneEnd {
        of: Arc<str>,
        with: Arc<str>,
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
        #[serde(default)]
        errno: Errno,
        /// One operation in so many; 0: the next one and no other.
        #[serde(default)]
        one_in: u32,
    },
    /// So many more bytes fit on the disk.
    DiskFull {
        target: Arc<str>,
        #[serde(default)]
        free_bytes: u64,
    },
    DiskSlow {
        target: Arc<str>,
        factor: u32,
        /// Whether a write holds up every task of the process.
        #[serde(default)]
        stalls: bool,
    },
    /// Operations of this kind, or of each, on this file, or on any, do not come to an end.
    DiskHangs {
        target: Arc<str>,
        operation: Option<DiskOperation>,
        file: Option<Arc<str>>,
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
    /// A bit flips on the device; programs read what is in the page cache, until their process begins anew.
    BitRot {
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
    /// The monotonic clock runs fast, or slow below 0.
    MonotonicDrift {
        target: Arc<str>,
        ppm: i64,
    },
    /// Timers fire together, when the clock shows a multiple of so much.
    TimersLate {
        target: Arc<str>,
        grid_ms: u32,
    },
    /// The end of what was wrong with timers and the monotonic clock.
    TimersRight {
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
    /// An operator's slip: what a group committed for a partition is written over with what is no offset, for a while.
    OffsetGarbled {
        target: Arc<str>,
        group: Arc<str>,
        partition: TopicPartition,
        millis: u32,
    },
    /// Of the requests about nodes below `below`, whosever they are, `answered` more are served; each of the next
    /// `broken` ones breaks its connection: a read in the middle of the reply, a write in place of it, with or without
    /// being made.
    RegistryBreaks {
        target: Arc<str>,
        below: Arc<str>,
        answered: u32,
        broken: u32,
        applies: bool,
        /// Whether reads count, or writes alone.
        #[serde(default)]
        reads: bool,
    },
    /// This session is served by a follower that is cut from its leader: pings and reads are answered from what was
    /// known then, nothing else is.
    Detach {
        target: Arc<str>,
        session: SessionId,
        /// Whether its client may attach to another server, which has a leader.
        #[serde(default)]
        reaches_others: bool,
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
