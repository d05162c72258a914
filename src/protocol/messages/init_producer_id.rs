//! InitProducerId: the number under which an idempotent or transactional producer writes.

message! {
    InitProducerIdRequest, versions 0..=4, flexible 2;

    InitProducerIdRequest {
        /// Null for a producer that is idempotent and no more.
        transactional_id: Option<String>;
        transaction_timeout_ms: i32;
        producer_id: i64, since 3, default -1;
        producer_epoch: i16, since 3, default -1;
    } tagged {}
}

message! {
    InitProducerIdResponse, versions 0..=4, flexible 2;

    InitProducerIdResponse {
        throttle_time_ms: i32;
        error_code: i16;
        producer_id: i64, default -1;
        producer_epoch: i16;
    } tagged {}
}
