//! What a fact is, and whom and what it is about.

use super::Fact;
use crate::types::TopicPartition;

impl Fact {
    /// The tag under which the fact is serialised.
    pub fn kind(&self) -> &'static str {
        match self {
            Fact::BrokerRegistered { .. } => "broker-registered",
            Fact::BrokerStopped { .. } => "broker-stopped",
            Fact::BrokerStartFailed { .. } => "broker-start-failed",
            Fact::LogRecovered { .. } => "log-recovered",
            Fact::UnsoundTailCut { .. } => "unsound-tail-cut",
            Fact::BecameLeader { .. } => "became-leader",
            Fact::Appended { .. } => "appended",
            Fact::Flushed { .. } => "flushed",
            Fact::Truncated { .. } => "truncated",
            Fact::SegmentRolled { .. } => "segment-rolled",
            Fact::LogDirFailed { .. } => "log-dir-failed",
            Fact::SendInvoked { .. } => "send-invoked",
            Fact::SendOk { .. } => "send-ok",
            Fact::SendFailed { .. } => "send-failed",
            Fact::SendUnknown { .. } => "send-unknown",
            Fact::SendRetried { .. } => "send-retried",
            Fact::Assigned { .. } => "assigned",
            Fact::Seeked { .. } => "seeked",
            Fact::Delivered { .. } => "delivered",
            Fact::CorruptSkipped { .. } => "corrupt-skipped",
            Fact::Finished { .. } => "finished",
            Fact::Processed { .. } => "processed",
            Fact::FlushReturned { .. } => "flush-returned",
            Fact::ProducerClosed { .. } => "producer-closed",
            Fact::LeaderTold { .. } => "leader-told",
            Fact::LeadershipDenied { .. } => "leadership-denied",
            Fact::PositionTold { .. } => "position-told",
            Fact::TimeSought { .. } => "time-sought",
            Fact::Sought { .. } => "sought",
            Fact::Polled { .. } => "polled",
            Fact::PositionRefused { .. } => "position-refused",
            Fact::SendRefused { .. } => "send-refused",
            Fact::PartitionsTold { .. } => "partitions-told",
            Fact::MetricsAsked { .. } => "metrics-asked",
            Fact::MetricsRead { .. } => "metrics-read",
            Fact::HealthRead { .. } => "health-read",
            Fact::WrongReply { .. } => "wrong-reply",
            Fact::GroupJoined { .. } => "group-joined",
            Fact::GroupLeft { .. } => "group-left",
            Fact::GroupSessionLost { .. } => "group-session-lost",
            Fact::RebalanceStarted { .. } => "rebalance-started",
            Fact::RebalanceConflict { .. } => "rebalance-conflict",
            Fact::RebalanceFailed { .. } => "rebalance-failed",
            Fact::RebalanceFinished { .. } => "rebalance-finished",
            Fact::PartitionOwned { .. } => "partition-owned",
            Fact::PartitionReleased { .. } => "partition-released",
            Fact::DeliveryPaused { .. } => "delivery-paused",
            Fact::DeliveryResumed { .. } => "delivery-resumed",
            Fact::OffsetFetched { .. } => "offset-fetched",
            Fact::CommitInvoked { .. } => "commit-invoked",
            Fact::CommitOk { .. } => "commit-ok",
            Fact::CommitFailed { .. } => "commit-failed",
            Fact::PositionReset { .. } => "position-reset",
            Fact::MemberUnreadable { .. } => "member-unreadable",
            Fact::SessionOpened { .. } => "session-opened",
            Fact::SessionExpired { .. } => "session-expired",
            Fact::ZnodeChanged { .. } => "znode-changed",
            Fact::SessionAttached { .. } => "session-attached",
            Fact::LeaderAsked { .. } => "leader-asked",
            Fact::LeaderAnswered { .. } => "leader-answered",
            Fact::ZnodeRead { .. } => "znode-read",
            Fact::ChildrenRead { .. } => "children-read",
            Fact::WatchFired { .. } => "watch-fired",
            Fact::WatchForgotten { .. } => "watch-forgotten",
        }
    }

    /// The partition it is about.
    pub fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Fact::LogRecovered { partition, .. }
            | Fact::UnsoundTailCut { partition, .. }
            | Fact::BecameLeader { partition, .. }
            | Fact::Appended { partition, .. }
            | Fact::Flushed { partition, .. }
            | Fact::Truncated { partition, .. }
            | Fact::SegmentRolled { partition, .. }
            | Fact::SendInvoked { partition, .. }
            | Fact::SendOk { partition, .. }
            | Fact::SendFailed { partition, .. }
            | Fact::SendUnknown { partition, .. }
            | Fact::SendRetried { partition, .. }
            | Fact::Assigned { partition, .. }
            | Fact::Seeked { partition, .. }
            | Fact::Delivered { partition, .. }
            | Fact::CorruptSkipped { partition, .. }
            | Fact::Finished { partition, .. }
            | Fact::Processed { partition, .. }
            | Fact::LeaderTold { partition, .. }
            | Fact::LeadershipDenied { partition, .. }
            | Fact::PositionTold { partition, .. }
            | Fact::TimeSought { partition, .. }
            | Fact::Sought { partition, .. }
            | Fact::Polled { partition, .. }
            | Fact::PositionRefused { partition, .. }
            | Fact::RebalanceConflict { partition, .. }
            | Fact::PartitionOwned { partition, .. }
            | Fact::PartitionReleased { partition, .. }
            | Fact::OffsetFetched { partition, .. }
            | Fact::CommitInvoked { partition, .. }
            | Fact::CommitOk { partition, .. }
            | Fact::CommitFailed { partition, .. }
            | Fact::PositionReset { partition, .. } => Some(partition),
            Fact::WrongReply { partition, .. } => partition.as_ref(),
            _ => None,
        }
    }

    /// The consumer it is about.
    pub fn consumer(&self) -> Option<&str> {
        match self {
            Fact::Assigned { consumer, .. }
            | Fact::Seeked { consumer, .. }
            | Fact::Delivered { consumer, .. }
            | Fact::CorruptSkipped { consumer, .. }
            | Fact::Finished { consumer, .. }
            | Fact::Processed { consumer, .. }
            | Fact::PositionTold { consumer, .. }
            | Fact::TimeSought { consumer, .. }
            | Fact::Sought { consumer, .. }
            | Fact::Polled { consumer, .. }
            | Fact::PositionRefused { consumer, .. }
            | Fact::GroupJoined { consumer, .. }
            | Fact::GroupLeft { consumer, .. }
            | Fact::GroupSessionLost { consumer, .. }
            | Fact::RebalanceStarted { consumer, .. }
            | Fact::RebalanceConflict { consumer, .. }
            | Fact::RebalanceFailed { consumer, .. }
            | Fact::RebalanceFinished { consumer, .. }
            | Fact::PartitionOwned { consumer, .. }
            | Fact::PartitionReleased { consumer, .. }
            | Fact::DeliveryPaused { consumer, .. }
            | Fact::DeliveryResumed { consumer, .. }
            | Fact::OffsetFetched { consumer, .. }
            | Fact::CommitInvoked { consumer, .. }
            | Fact::CommitOk { consumer, .. }
            | Fact::CommitFailed { consumer, .. }
            | Fact::MemberUnreadable { consumer, .. }
            | Fact::PositionReset { consumer, .. } => Some(consumer),
            _ => None,
        }
    }
}
