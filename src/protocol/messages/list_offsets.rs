//! ListOffsets: the offset of a time, or of an end of the log.

message! {
    ListOffsetsRequest, versions 1..=7, flexible 6;

    ListOffsetsRequest {
        /// -1 for a consumer.
        replica_id: i32;
        /// 0: up to the high watermark; 1: up to the last stable offset.
        isolation_level: i8, since 2;
        topics: Vec<ListOffsetsTopic>;
    } tagged {}

    ListOffsetsTopic {
        name: String;
        partitions: Vec<ListOffsetsPartition>;
    } tagged {}

    ListOffsetsPartition {
        partition_index: i32;
        current_leader_epoch: i32, since 4, default -1;
        /// -1: the end; -2: the start; -3 (from version 7): the record of the largest timestamp.
        timestamp: i64;
    } tagged {}
}

message! {
    ListOffsetsResponse, versions 1..=7, flexible 6;

    ListOffsetsResponse {
        throttle_time_ms: i32, since 2;
        topics: Vec<ListOffsetsTopicResponse>;
    } tagged {}

    ListOffsetsTopicResponse {
        name: String;
        partitions: Vec<ListOffsetsPartitionResponse>;
    } tagged {}

    ListOffsetsPartitionResponse {
        partition_index: i32;
        error_code: i16;
        timestamp: i64, default -1;
        offset: i64, default -1;
        leader_epoch: i32, since 4, default -1;
    } tagged {}
}
