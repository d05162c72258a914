//! What a broker's pages say.

use serde::{Deserialize, Serialize};

use crate::types::{Offset, TopicPartition};

/// A log, as a page of metrics has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogEnds {
    pub partition: TopicPartition,
    pub start: Offset,
    pub readable: Offset,
    pub end: Offset,
}

/// What was appended to a topic, as a page of metrics has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Appends {
    pub batches: u64,
    pub records: u64,
}
