//! InitProducerId: refused, until idempotent producers are built.

use super::super::context::RequestContext;
use super::super::notices::NotBuilt;
use crate::broker::core::Core;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

pub(in crate::broker::server) fn init_producer_id(
    core: &Core,
    context: &RequestContext<'_>,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    let missing = match request.transactional_id {
        Some(_) => NotBuilt::Transactions,
        None => NotBuilt::IdempotentProducer,
    };
    core.notices.tell(missing, context);
    InitProducerIdResponse {
        error_code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED.0,
        producer_epoch: -1,
        ..Default::default()
    }
}
