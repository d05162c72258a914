//! DeleteTopics: topics removed by name.

message! {
    DeleteTopicsRequest, versions 1..=5, flexible 4;

    DeleteTopicsRequest {
        topic_names: Vec<String>;
        timeout_ms: i32;
    } tagged {}
}

message! {
    DeleteTopicsResponse, versions 1..=5, flexible 4;

    DeleteTopicsResponse {
        throttle_time_ms: i32;
        responses: Vec<DeletableTopicResult>;
    } tagged {}

    DeletableTopicResult {
        /// Present in all the versions read here.
        name: Option<String>, nullable 6;
        error_code: i16;
        error_message: Option<String>, since 5;
    } tagged {}
}
