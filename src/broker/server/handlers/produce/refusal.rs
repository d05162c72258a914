//! Answers that are errors.

use crate::broker::server::errors::batch_error_code;
use crate::protocol::messages::{BatchIndexAndErrorMessage, PartitionProduceResponse};
use crate::protocol::{ErrorCode, RequestHeader};
use crate::record::BatchError;
use crate::types::Timestamp;

/// Why a batch is not stored.
pub(super) struct Refused {
    pub code: ErrorCode,
    pub message: Option<String>,
    /// The record that is to blame, counted from 0, where one is.
    pub record: Option<i32>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused { code, message: None, record: None }
    }
}

impl From<BatchError> for Refused {
    fn from(error: BatchError) -> Refused {
        let record = match error {
            BatchError::InvalidRecord { index, .. } | BatchError::InvalidTimestamp { index, .. } => {
                Some(index)
            }
            _ => None,
        };
        Refused { record, ..Refused::because(batch_error_code(&error), error.to_string()) }
    }
}

impl Refused {
    pub fn because(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused { code, message: Some(message.into()), record: None }
    }

    pub fn not_idempotent_yet() -> Refused {
        let message = "idempotent and transactional producers are not supported yet";
        Refused::because(ErrorCode::INVALID_RECORD, message)
    }

    /// For the operator. What the client mends by itself (it asked the wrong broker) has no message.
    pub fn log(&self, header: &RequestHeader, topic: &str, partition: i32) {
        let Some(reason) = self.message.as_deref() else { return };
        let client_id = header.client_id.as_deref().unwrap_or_default();
        tracing::warn!(topic, partition, client_id, code = %self.code, reason, "produce_refused");
    }

    /// Into a response without errors of records.
    pub fn put_into(&self, response: &mut PartitionProduceResponse) {
        response.error_code = self.code.0;
        response.base_offset = -1;
        response.log_append_time_ms = Timestamp::NONE.0;
        response.log_start_offset = -1;
        // The first record that is wrong, as far as the batch was read: the client fails the others with it (KIP-467).
        response.record_errors.extend(self.record.map(|index| BatchIndexAndErrorMessage {
            batch_index: index,
            batch_index_error_message: self.message.clone(),
        }));
        response.error_message.clone_from(&self.message);
    }
}
