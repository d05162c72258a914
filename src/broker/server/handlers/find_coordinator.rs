//! FindCoordinator: nobody coordinates groups or transactions of the Kafka protocol yet.
//!
//! It is advertised all the same: librdkafka sends lz4 batches only to brokers that have it. The answer is the
//! one of a cluster whose coordinators are not up yet, so that clients keep asking and do not fall over.

use super::super::context::RequestContext;
use super::super::notices::NotBuilt;
use crate::broker::core::Core;
use crate::protocol::ErrorCode;
use crate::protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

const OF_A_TRANSACTION: i8 = 1;

pub(in crate::broker::server) fn find_coordinator(
    core: &Core,
    context: &RequestContext<'_>,
    request: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let missing = match request.key_type {
        OF_A_TRANSACTION => NotBuilt::Transactions,
        _ => NotBuilt::GroupCoordinator,
    };
    core.notices.tell(missing, context);
    FindCoordinatorResponse {
        error_code: ErrorCode::COORDINATOR_NOT_AVAILABLE.0,
        error_message: Some(missing.advice().to_owned()),
        node_id: -1,
        port: -1,
        ..Default::default()
    }
}
