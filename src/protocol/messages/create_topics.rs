//! CreateTopics: new topics, with partitions placed by the cluster or by hand.

message! {
    CreateTopicsRequest, versions 2..=5, flexible 5;

    CreateTopicsRequest {
        topics: Vec<CreatableTopic>;
        timeout_ms: i32, default 60_000;
        validate_only: bool;
    } tagged {}

    CreatableTopic {
        name: String;
        /// -1: the cluster's default (from version 4), or as many as `assignments` has.
        num_partitions: i32;
        /// -1: the cluster's default (from version 4), or as many as `assignments` has.
        replication_factor: i16;
        assignments: Vec<CreatableReplicaAssignment>;
        configs: Vec<CreatableTopicConfig>;
    } tagged {}

    CreatableReplicaAssignment {
        partition_index: i32;
        broker_ids: Vec<i32>;
    } tagged {}

    CreatableTopicConfig {
        name: String;
        value: Option<String>;
    } tagged {}
}

message! {
    CreateTopicsResponse, versions 2..=5, flexible 5;

    CreateTopicsResponse {
        throttle_time_ms: i32;
        topics: Vec<CreatableTopicResult>;
    } tagged {}

    CreatableTopicResult {
        name: String;
        error_code: i16;
        error_message: Option<String>;
        num_partitions: i32, since 5, default -1;
        replication_factor: i16, since 5, default -1;
        configs: Option<Vec<CreatableTopicConfigs>>, since 5;
    } tagged {
        /// Why `configs` is null.
        0 => topic_config_error_code: i16;
    }

    CreatableTopicConfigs {
        name: String, since 5;
        value: Option<String>, since 5;
        read_only: bool, since 5;
        config_source: i8, since 5, default -1;
        is_sensitive: bool, since 5;
    } tagged {}
}
