//! Fetch: batches from partitions, for consumers and for followers.

use crate::protocol::Records;

message! {
    FetchRequest, versions 4..=12, flexible 12;

    FetchRequest {
        /// -1 for a consumer.
        replica_id: i32, default -1;
        max_wait_ms: i32;
        min_bytes: i32;
        max_bytes: i32, default i32::MAX;
        /// 0: up to the high watermark; 1: up to the last stable offset.
        isolation_level: i8;
        session_id: i32, since 7;
        session_epoch: i32, since 7, default -1;
        topics: Vec<FetchTopic>;
        forgotten_topics_data: Vec<ForgottenTopic>, since 7;
        rack_id: String, since 11;
    } tagged {
        0 => cluster_id: Option<String>;
    }

    FetchTopic {
        topic: String;
        partitions: Vec<FetchPartition>;
    } tagged {}

    FetchPartition {
        partition: i32;
        current_leader_epoch: i32, since 9, default -1;
        fetch_offset: i64;
        last_fetched_epoch: i32, since 12, default -1;
        log_start_offset: i64, since 5, default -1;
        partition_max_bytes: i32;
    } tagged {}

    ForgottenTopic {
        topic: String, since 7;
        partitions: Vec<i32>, since 7;
    } tagged {}
}

message! {
    FetchResponse, versions 4..=12, flexible 12;

    FetchResponse {
        throttle_time_ms: i32;
        error_code: i16, since 7;
        session_id: i32, since 7;
        responses: Vec<FetchableTopicResponse>;
    } tagged {}

    FetchableTopicResponse {
        topic: String;
        partitions: Vec<PartitionData>;
    } tagged {}

    PartitionData {
        partition_index: i32;
        error_code: i16;
        high_watermark: i64;
        last_stable_offset: i64, default -1;
        log_start_offset: i64, since 5, default -1;
        aborted_transactions: Option<Vec<AbortedTransaction>>;
        preferred_read_replica: i32, since 11, default -1;
        records: Records;
    } tagged {
        0 => diverging_epoch: EpochEndOffset;
        1 => current_leader: LeaderIdAndEpoch;
        2 => snapshot_id: SnapshotId;
    }

    EpochEndOffset {
        epoch: i32, since 12, default -1;
        end_offset: i64, since 12, default -1;
    } tagged {}

    LeaderIdAndEpoch {
        leader_id: i32, since 12, default -1;
        leader_epoch: i32, since 12, default -1;
    } tagged {}

    SnapshotId {
        end_offset: i64, default -1;
        epoch: i32, default -1;
    } tagged {}

    AbortedTransaction {
        producer_id: i64;
        first_offset: i64;
    } tagged {}
}
