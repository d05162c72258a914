//! What brokers and clients state happened: the vocabulary of the history that checkers judge.
//!
//! [`record`] takes a closure and costs one check when nobody listens. In simulation the history listens; in
//! a deployed broker nothing does, or a JSON-lines journal. Log lines are for people; checkers read facts.

mod about;
mod pages;
mod seek;
mod sink;
mod tag;
mod znodes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{Acks, BrokerId, LeaderEpoch, Offset, SessionId, TopicPartition, Zxid};

pub use pages::{Appends, LogEnds};
pub use seek::SeekTarget;
pub use sink::{Sink, install, record};
pub use tag::RecordTag;
pub use znodes::{LeaderAnswer, LeaderRequest, Znode, ZnodeChange, ZnodeWrite, ZnodeWritten};

/// One statement. Broker-side facts are stated before the effect can be seen from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    // -- brokers ------------------------------------------------------------------------------------
    BrokerRegistered {
        broker: BrokerId,
        session: SessionId,
    },
    BrokerStopped {
        broker: BrokerId,
    },
    /// The process gave up before it served.
    BrokerStartFailed {
        broker: BrokerId,
        reason: String,
    },
    /// `clean` = the log was closed by a clean shutdown in this boot, and not appended to since.
    LogRecovered {
        broker: BrokerId,
        partition: TopicPartition,
        clean: bool,
        log_start: Offset,
        log_end: Offset,
        bytes_cut: u64,
    },
    /// Recovery cut off what a power failure had left unsound, above everything that was flushed.
    UnsoundTailCut {
        broker: BrokerId,
        partition: TopicPartition,
        /// Where the log ends now.
        at: Offset,
        bytes_cut: u64,
        /// How many of them are kept, in a file beside the log.
        bytes_kept: u64,
    },
    BecameLeader {
        broker: BrokerId,
        partition: TopicPartition,
        epoch: LeaderEpoch,
    },
    /// One batch: offsets `base..=last`; `crc` is the batch's CRC-32C, which survives patching.
    Appended {
        broker: BrokerId,
        partition: TopicPartition,
        epoch: LeaderEpoch,
        base: Offset,
        last: Offset,
        crc: u32,
    },
    /// Everything below `end` is on stable storage, name included.
    Flushed {
        broker: BrokerId,
        partition: TopicPartition,
        end: Offset,
    },
    Truncated {
        broker: BrokerId,
        partition: TopicPartition,
        end: Offset,
    },
    SegmentRolled {
        broker: BrokerId,
        partition: TopicPartition,
        base: Offset,
    },
    LogDirFailed {
        broker: BrokerId,
        reason: String,
    },

    // -- producers ----------------------------------------------------------------------------------
    /// `seq` counts this producer's sends from 0. Partition is decided before the fact is stated.
    SendInvoked {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        record: RecordTag,
        acks: Acks,
    },
    /// `offset` is None with acks = 0.
    SendOk {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        offset: Option<Offset>,
    },
    /// Definitely not stored.
    SendFailed {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        error: String,
    },
    /// May or may not be stored: timeouts, disconnects.
    SendUnknown {
        producer: String,
        seq: u64,
        partition: TopicPartition,
        error: String,
    },
    /// The producer sent the batch of these sends (inclusive) again.
    SendRetried {
        producer: String,
        first_seq: u64,
        last_seq: u64,
        partition: TopicPartition,
    },

    // -- consumers ----------------------------------------------------------------------------------
    Assigned {
        consumer: String,
        partition: TopicPartition,
        position: Offset,
    },
    Seeked {
        consumer: String,
        partition: TopicPartition,
        position: Offset,
        reason: String,
    },
    Delivered {
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
        record: RecordTag,
    },
    /// A corrupt batch was met and not delivered (P19).
    CorruptSkipped {
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
    },

    /// The application is done with this record: it asked for the next one, or marked it (P17).
    Finished {
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
    },

    /// The application did all that this record asks for. Stated by applications themselves, in the testbed.
    Processed {
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
    },

    // -- what applications see of the library. Stated by applications themselves, in the testbed ------------
    /// `flush` returned; nothing was sent meanwhile.
    FlushReturned {
        producer: String,
    },
    /// `close` returned.
    ProducerClosed {
        producer: String,
    },
    /// What `position` says.
    PositionTold {
        consumer: String,
        partition: TopicPartition,
        position: Option<Offset>,
    },
    /// The application is about to seek to the first record of this time, in milliseconds since 1970.
    TimeSought {
        consumer: String,
        partition: TopicPartition,
        timestamp: i64,
    },
    /// The application is about to seek there, or to be assigned the partition from there.
    Sought {
        consumer: String,
        partition: TopicPartition,
        to: SeekTarget,
    },
    /// One poll gave the application these records of the partition.
    Polled {
        consumer: String,
        partition: TopicPartition,
        first: Offset,
        last: Offset,
        records: u64,
        /// Of their tags, in order.
        digest: u32,
    },
    /// The application was told that its position is outside of the log, or (`None`) that there is none.
    PositionRefused {
        consumer: String,
        partition: TopicPartition,
        at: Option<Offset>,
    },
    /// `send` did not take a record for this topic, for another reason than its size. `must_take`: the topic had
    /// been there for long by then, and everybody had to be served again.
    SendRefused {
        producer: String,
        topic: String,
        error: String,
        must_take: bool,
    },
    /// What this broker says about who leads the partition; `None`: nobody that lives.
    LeaderTold {
        client: String,
        broker: BrokerId,
        partition: TopicPartition,
        leader: Option<BrokerId>,
        epoch: LeaderEpoch,
    },
    /// Every partition that this broker has told of, asked for all topics.
    PartitionsTold {
        client: String,
        broker: BrokerId,
        partitions: Vec<TopicPartition>,
    },
    /// A client of the bare protocol was told by this broker, of the batch that begins with this send, that it does not
    /// lead the partition, or knows of none.
    LeadershipDenied {
        client: String,
        broker: BrokerId,
        partition: TopicPartition,
        seq: u64,
    },
    /// A client asks for a broker's page of metrics.
    MetricsAsked {
        client: String,
        broker: BrokerId,
    },
    /// What the page says. `appended`: to each topic since the broker's process began.
    MetricsRead {
        client: String,
        broker: BrokerId,
        logs: Vec<LogEnds>,
        appended: BTreeMap<String, Appends>,
    },
    /// What a broker says of its health; no problems: it is well.
    HealthRead {
        client: String,
        broker: BrokerId,
        problems: Vec<String>,
    },
    /// A client that looks at every field was answered what no broker may answer.
    WrongReply {
        client: String,
        partition: Option<TopicPartition>,
        reason: String,
    },

    // -- consumer groups: `consumer` is the member's client id, as above ----------------------------
    /// The member is registered, by this session. Every later fact of the consumer belongs to this group.
    GroupJoined {
        group: String,
        consumer: String,
        session: SessionId,
        /// Streams by subscribed topic.
        subscription: BTreeMap<String, u32>,
    },
    /// The member took itself out of the group.
    GroupLeft {
        group: String,
        consumer: String,
    },
    /// The member knows that its session expired: it owns nothing, and delivers nothing until it joins again.
    GroupSessionLost {
        group: String,
        consumer: String,
        session: SessionId,
    },
    RebalanceStarted {
        group: String,
        consumer: String,
    },
    /// A try of the rebalance found the partition owned by another member.
    RebalanceConflict {
        group: String,
        consumer: String,
        partition: TopicPartition,
        owner: String,
    },
    /// The bounded number of tries was used up (P23); the member keeps watching and goes on.
    RebalanceFailed {
        group: String,
        consumer: String,
        tries: u32,
    },
    RebalanceFinished {
        group: String,
        consumer: String,
        owned: u32,
    },
    /// The owner node exists and is `session`'s. Stated before the first record of it can be delivered.
    PartitionOwned {
        group: String,
        consumer: String,
        partition: TopicPartition,
        stream: u32,
        session: SessionId,
    },
    /// Nothing more of it is delivered. Stated before the owner node is deleted.
    PartitionReleased {
        group: String,
        consumer: String,
        partition: TopicPartition,
    },
    /// Unheard by ZooKeeper for too long: nothing is delivered until `DeliveryResumed` (P24).
    DeliveryPaused {
        group: String,
        consumer: String,
    },
    DeliveryResumed {
        group: String,
        consumer: String,
    },
    /// What the offset registry says; `None`: nothing yet.
    OffsetFetched {
        group: String,
        consumer: String,
        partition: TopicPartition,
        offset: Option<Offset>,
    },
    /// `offset` is the next one to read. Stated before the write can take effect.
    CommitInvoked {
        group: String,
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
    },
    CommitOk {
        group: String,
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
    },
    /// `is_unknown`: it may have been applied all the same.
    CommitFailed {
        group: String,
        consumer: String,
        partition: TopicPartition,
        offset: Offset,
        is_unknown: bool,
    },
    /// The position was outside of `log_start..=log_end`, as the broker gave them, or there was none.
    PositionReset {
        consumer: String,
        partition: TopicPartition,
        from: Option<Offset>,
        to: Offset,
        log_start: Offset,
        log_end: Offset,
    },

    /// The node of `member` cannot be read: for the rebalance it reads nothing, and the others go on.
    MemberUnreadable {
        group: String,
        consumer: String,
        member: String,
        reason: String,
    },

    // -- ZooKeeper ----------------------------------------------------------------------------------
    SessionOpened {
        session: SessionId,
    },
    SessionExpired {
        session: SessionId,
    },
    /// A server applied a write; `owner` is the session of a new ephemeral node, or 0.
    ZnodeChanged {
        zxid: Zxid,
        path: String,
        change: ZnodeChange,
        owner: SessionId,
    },
    /// The client is attached to a server, for the first time or again.
    SessionAttached {
        session: SessionId,
    },
    /// The client sends what only a leader can answer. Never answered: it may have been done all the same.
    LeaderAsked {
        session: SessionId,
        request: i32,
        asks: LeaderRequest,
    },
    /// `zxid` is that of the change, if there was one.
    LeaderAnswered {
        session: SessionId,
        request: i32,
        zxid: Zxid,
        answer: LeaderAnswer,
    },
    /// What a reply says of a node as of `zxid`; `None`: there is none.
    ZnodeRead {
        session: SessionId,
        zxid: Zxid,
        path: String,
        found: Option<Znode>,
        watches: bool,
    },
    /// As above, of the names of its children.
    ChildrenRead {
        session: SessionId,
        zxid: Zxid,
        path: String,
        names: Option<Vec<String>>,
        watches: bool,
    },
    /// A watch event reached the client.
    WatchFired {
        session: SessionId,
        path: String,
        change: ZnodeChange,
    },
    /// Nobody waits for it any longer: a new connection does not set it again.
    WatchForgotten {
        session: SessionId,
        path: String,
        of_children: bool,
    },
}
