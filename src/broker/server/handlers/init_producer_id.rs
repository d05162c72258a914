//! InitProducerId: refused, until idempotent producers are built.
//!
//! UNSUPPORTED_VERSION would be the truth, but librdkafka takes it for a passing state and asks for ever.
//! CLUSTER_AUTHORIZATION_FAILED is final to it: the producer fails at once, instead of writing what it believes
//! to be free of duplicates. (Java's client, not tried yet, is idempotent unless told `enable.idempotence =
//! false`.)

use super::super::context::RequestContext;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

pub(in crate::broker::server) fn init_producer_id(
    context: &RequestContext<'_>,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    tracing::info!(transactional_id = ?request.transactional_id, from = %context, "idempotent_producer_refused");
    InitProducerIdResponse {
        error_code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0,
        producer_epoch: -1,
        ..Default::default()
    }
}
