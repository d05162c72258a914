//! The history of one run: every fact, fault and phase in the order in which it happened.
//!
//! Records and serialises; judging it is the checkers' job. Every fact also enters the run's trace hash, so
//! that two runs with one hash have one history.

mod hasher;
mod injected;
mod kinds;
mod recorder;
mod seen;
pub mod stored;
mod traps;
mod ways;

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use seedlog::facts::Fact;
use seedlog::types::BrokerId;
use serde::{Deserialize, Serialize};

pub use injected::Injected;
pub use recorder::Recorder;
pub use seen::{FileByte, RecordAt, Seen};
pub use traps::Trap;
pub use ways::{DiskOperation, Errno, Failure, Refusal};

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Virtual nanoseconds since the run began.
    pub at_ns: u64,
    /// The node that states it: `broker-1`, `shop`, `testbed`.
    pub node: Arc<str>,
    pub incarnation: u32,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum What {
    Fact(Fact),
    Fault(Injected),
    Phase(Entered),
    Seen(Seen),
}

/// A phase of the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entered {
    pub phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The cluster comes up and topics are made.
    Start,
    /// Workload and faults together.
    Storm,
    /// Faults have stopped; what is down was started again.
    Heal,
    /// Everything must work again by a virtual deadline.
    Converge,
    /// Everything stored is read once more.
    Drain,
    /// The run is over.
    Judge,
}

/// The name of a broker's node.
pub fn broker_node(broker: BrokerId) -> Arc<str> {
    format!("broker-{broker}").into()
}

/// The broker that runs on the node of this name.
pub fn broker_of_node(node: &str) -> Option<BrokerId> {
    node.strip_prefix("broker-")?.parse().ok().map(BrokerId)
}

/// Writes one JSON object a line.
pub fn write_json_lines(history: &[Entry], out: &mut impl Write) -> io::Result<()> {
    for entry in history {
        serde_json::to_writer(&mut *out, entry)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Reads what [`write_json_lines`] wrote; an error names the line.
pub fn read_json_lines(input: impl BufRead) -> io::Result<Vec<Entry>> {
    let mut history = Vec::new();
    for (index, line) in input.lines().enumerate() {
        let entry = serde_json::from_str(&line?).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {error}", index + 1))
        })?;
        history.push(entry);
    }
    Ok(history)
}

#[cfg(test)]
mod tests;
