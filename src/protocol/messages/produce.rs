//! Produce: batches for partitions. Versions 0 to 2 are advertised (`api.rs` says why) and never read.

use bytes::Bytes;

message! {
    ProduceRequest, versions 3..=9, flexible 9;

    ProduceRequest {
        transactional_id: Option<String>;
        /// 0: none, and no response at all; 1: the leader; -1: every in-sync replica.
        acks: i16;
        timeout_ms: i32;
        topic_data: Vec<TopicProduceData>;
    } tagged {}

    TopicProduceData {
        name: String;
        partition_data: Vec<PartitionProduceData>;
    } tagged {}

    PartitionProduceData {
        index: i32;
        /// A slice of the frame.
        records: Option<Bytes>;
    } tagged {}
}

message! {
    ProduceResponse, versions 3..=9, flexible 9;

    ProduceResponse {
        responses: Vec<TopicProduceResponse>;
        throttle_time_ms: i32;
    } tagged {}

    TopicProduceResponse {
        name: String;
        partition_responses: Vec<PartitionProduceResponse>;
    } tagged {}

    PartitionProduceResponse {
        index: i32;
        error_code: i16;
        base_offset: i64;
        /// -1 unless the topic takes the time of the append.
        log_append_time_ms: i64, default -1;
        log_start_offset: i64, since 5, default -1;
        record_errors: Vec<BatchIndexAndErrorMessage>, since 8;
        error_message: Option<String>, since 8;
    } tagged {}

    BatchIndexAndErrorMessage {
        batch_index: i32, since 8;
        batch_index_error_message: Option<String>, since 8;
    } tagged {}
}
