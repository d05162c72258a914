//! Clients: producers, a consumer of everything, and perhaps a group.

use proptest::prelude::*;
use seedlog::types::Acks;

/// Who writes and who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub producers: Vec<Producing>,
    /// A consumer that is assigned every partition.
    pub has_reader: bool,
    pub group: Option<Members>,
}

/// One producer's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producing {
    pub records: u64,
    pub per_second: u64,
    pub acks: Acks,
}

/// A group of consumers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    pub consumers: u32,
    pub streams: u32,
    pub processing_ms: u64,
}

/// One or two producers, a reader or a group or both; shrinks towards few records and no group.
pub fn workload() -> impl Strategy<Value = Workload> {
    let producing = (5..=120u64, 10..=60u64, prop_oneof![Just(Acks::All), Just(Acks::Leader)])
        .prop_map(|(records, per_second, acks)| Producing { records, per_second, acks });
    let members = (1..=3u32, 1..=2u32, 1..=60u64).prop_map(|(consumers, streams, processing_ms)| Members {
        consumers,
        streams,
        processing_ms,
    });
    let producers = prop::collection::vec(producing, 1..=2);
    (producers, any::<bool>(), prop::option::of(members)).prop_map(|(producers, has_reader, group)| {
        Workload { has_reader: has_reader || group.is_none(), producers, group }
    })
}
