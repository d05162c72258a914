//! InitProducerId: refused, until idempotent producers are built.
//!
//! It is not advertised, so that whoever looks at what is (every client that was tried: Java 4.1, librdkafka 2.0 and
//! 2.16, kafka-python 3.0, kafkajs 2.2) fails at once and says that the broker lacks it. Whoever asks all the same
//! gets the code of that; librdkafka would take it for a passing state and ask for ever, were the API advertised.

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
        error_code: ErrorCode::UNSUPPORTED_VERSION.0,
        producer_epoch: -1,
        ..Default::default()
    }
}
