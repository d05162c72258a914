//! Metadata: the brokers of the cluster, and who leads the partitions of some or all topics.

message! {
    MetadataRequest, versions 0..=9, flexible 9;

    MetadataRequest {
        /// Null asks for all topics; so does an empty array in version 0, where null cannot be said.
        topics: Option<Vec<MetadataRequestTopic>>, nullable 1;
        allow_auto_topic_creation: bool, since 4, default true;
        include_cluster_authorized_operations: bool, since 8;
        include_topic_authorized_operations: bool, since 8;
    } tagged {}

    MetadataRequestTopic {
        /// Present in all the versions read here; later ones can name a topic by its id instead.
        name: Option<String>, nullable 10;
    } tagged {}
}

message! {
    MetadataResponse, versions 0..=9, flexible 9;

    MetadataResponse {
        throttle_time_ms: i32, since 3;
        brokers: Vec<MetadataResponseBroker>;
        cluster_id: Option<String>, since 2;
        controller_id: i32, since 1, default -1;
        topics: Vec<MetadataResponseTopic>;
        /// A bit for each operation allowed; the lowest number means "not asked for".
        cluster_authorized_operations: i32, since 8, default i32::MIN;
    } tagged {}

    MetadataResponseBroker {
        node_id: i32;
        host: String;
        port: i32;
        rack: Option<String>, since 1;
    } tagged {}

    MetadataResponseTopic {
        error_code: i16;
        /// Present in all the versions read here.
        name: Option<String>, nullable 12;
        is_internal: bool, since 1;
        partitions: Vec<MetadataResponsePartition>;
        /// A bit for each operation allowed; the lowest number means "not asked for".
        topic_authorized_operations: i32, since 8, default i32::MIN;
    } tagged {}

    MetadataResponsePartition {
        error_code: i16;
        partition_index: i32;
        leader_id: i32;
        leader_epoch: i32, since 7, default -1;
        replica_nodes: Vec<i32>;
        isr_nodes: Vec<i32>;
        offline_replicas: Vec<i32>, since 5;
    } tagged {}
}
