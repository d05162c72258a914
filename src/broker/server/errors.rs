//! Which of Kafka's error codes says what went wrong: chosen here, once.

use crate::broker::partition::PartitionError;
use crate::log::LogError;
use crate::protocol::ErrorCode;
use crate::record::BatchError;

pub(super) fn partition_error_code(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::NotLeader(_) => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        PartitionError::FencedEpoch { .. } => ErrorCode::FENCED_LEADER_EPOCH,
        PartitionError::UnknownEpoch { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
        PartitionError::Log(error) => log_error_code(error),
    }
}

fn log_error_code(error: &LogError) -> ErrorCode {
    match error {
        LogError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        LogError::Io(_) | LogError::Failed { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        // Nothing is lost: clients try again.
        LogError::NoSpace(_) | LogError::NoDescriptors(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        // The offset is damaged, the log serves others: a reader may go on behind it.
        LogError::Corrupt { .. } => ErrorCode::CORRUPT_MESSAGE,
        LogError::CorruptBelowFlushed { .. }
        | LogError::CorruptAmidst { .. }
        | LogError::BelowCheckpoint { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        LogError::InvalidBatch { .. } => ErrorCode::INVALID_RECORD,
        // Closed: the broker stops, or the topic goes. Clients look for the leader anew.
        LogError::Closed | LogError::FlushUnderWay | LogError::StaleEpoch { .. } => {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        }
    }
}

pub(super) fn batch_error_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Truncated { .. } | BatchError::CorruptCrc { .. } => ErrorCode::CORRUPT_MESSAGE,
        // What unpacks to too much is too large as well: Java's producer splits such a batch and sends its halves.
        BatchError::TooLarge { .. } | BatchError::UnpackLimit { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        BatchError::InvalidTimestamp { .. } | BatchError::LogAppendTimeOfProducer => {
            ErrorCode::INVALID_TIMESTAMP
        }
        BatchError::UnknownCompression(_) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        BatchError::TrailingBytes { .. }
        | BatchError::UnsupportedMagic(_)
        | BatchError::Invalid(_)
        | BatchError::InvalidRecord { .. }
        | BatchError::Unpack(_) => ErrorCode::INVALID_RECORD,
    }
}
