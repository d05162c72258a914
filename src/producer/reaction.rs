//! What a broker's answer, or the lack of one, says about a batch.
//!
//! Every code that a broker gives before it appends is a refusal; a code that we do not know, or that can
//! follow an append, leaves the outcome open.

use std::sync::Arc;

use super::batch::AttemptEnd;
use crate::client::RequestError;
use crate::protocol::ErrorCode;
use crate::protocol::messages::PartitionProduceResponse;
use crate::types::Offset;

/// The end of an attempt, and whether another broker may lead by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reaction {
    pub(super) end: AttemptEnd,
    pub(super) is_leader_stale: bool,
}

/// The broker answered for the partition.
pub(super) fn to_answer(answer: &PartitionProduceResponse) -> Reaction {
    let code = ErrorCode(answer.error_code);
    if code.is_none() {
        let base = (answer.base_offset >= 0).then_some(Offset(answer.base_offset));
        return Reaction { end: AttemptEnd::Stored(base), is_leader_stale: false };
    }
    let reason: Arc<str> = match &answer.error_message {
        Some(message) => format!("{code}: {message}").into(),
        None => code.to_string().into(),
    };
    let is_leader_stale = matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::KAFKA_STORAGE_ERROR
    );
    let end = match is_refusal(code) {
        true => AttemptEnd::Refused { reason, again: code.is_retriable() },
        false => AttemptEnd::Unclear { reason, again: code.is_retriable() },
    };
    Reaction { end, is_leader_stale }
}

/// Codes that say that nothing was appended. KAFKA_STORAGE_ERROR is none: the flush after an append may have
/// failed.
fn is_refusal(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::INVALID_TOPIC_EXCEPTION
            | ErrorCode::INVALID_REQUIRED_ACKS
            | ErrorCode::INVALID_REQUEST
            | ErrorCode::INVALID_TIMESTAMP
            | ErrorCode::INVALID_RECORD
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            | ErrorCode::UNSUPPORTED_VERSION
            | ErrorCode::POLICY_VIOLATION
            | ErrorCode::THROTTLING_QUOTA_EXCEEDED
    )
}

/// The request has no answer: the broker may be gone, or hang, and another one lead by now.
pub(super) fn to_error(error: &RequestError) -> Reaction {
    let reason: Arc<str> = error.to_string().into();
    let again = !matches!(error, RequestError::Unsupported(_));
    let end = match error.may_have_effect() {
        true => AttemptEnd::Unclear { reason, again },
        false => AttemptEnd::Refused { reason, again },
    };
    Reaction { end, is_leader_stale: again }
}

/// The answer leaves the partition out.
pub(super) fn to_silence() -> Reaction {
    let reason = "the broker did not answer for this partition".into();
    Reaction { end: AttemptEnd::Unclear { reason, again: true }, is_leader_stale: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: ErrorCode) -> Reaction {
        to_answer(&PartitionProduceResponse { error_code: code.0, ..Default::default() })
    }

    #[test]
    fn a_moved_leader_refuses_for_now_and_what_is_known_of_it_is_stale() {
        let reaction = answered(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert!(reaction.is_leader_stale);
        assert!(matches!(reaction.end, AttemptEnd::Refused { again: true, .. }));
    }

    #[test]
    fn a_record_that_is_too_large_is_refused_for_good() {
        assert!(matches!(
            answered(ErrorCode::MESSAGE_TOO_LARGE).end,
            AttemptEnd::Refused { again: false, .. }
        ));
    }

    #[test]
    fn what_can_follow_an_append_leaves_the_outcome_open() {
        for code in [
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            ErrorCode::KAFKA_STORAGE_ERROR,
            ErrorCode::UNKNOWN_SERVER_ERROR,
            ErrorCode(12_345),
        ] {
            assert!(matches!(answered(code).end, AttemptEnd::Unclear { .. }), "{code}");
        }
    }

    #[test]
    fn only_a_request_that_was_written_can_have_had_an_effect() {
        let lost = to_error(&RequestError::Lost("gone".into()));
        let unsent = to_error(&RequestError::NotSent("gone".into()));
        assert!(matches!(lost.end, AttemptEnd::Unclear { again: true, .. }));
        assert!(matches!(unsent.end, AttemptEnd::Refused { again: true, .. }));
        assert!(lost.is_leader_stale && unsent.is_leader_stale);
    }
}
