//! FindCoordinator: which broker looks after a group or a transactional id.

message! {
    FindCoordinatorRequest, versions 0..=3, flexible 3;

    FindCoordinatorRequest {
        key: String;
        /// 0: a group; 1: a transactional id.
        key_type: i8, since 1;
    } tagged {}
}

message! {
    FindCoordinatorResponse, versions 0..=3, flexible 3;

    FindCoordinatorResponse {
        throttle_time_ms: i32, since 1;
        error_code: i16;
        error_message: Option<String>, since 1;
        node_id: i32;
        host: String;
        port: i32;
    } tagged {}
}
