//! Schedules of faults: what strikes whom, when, and when it is over.

use proptest::prelude::*;
use proptest::sample::select;

use crate::scenario::Class;

/// Faults of one schedule.
const FAULTS_MAX: usize = 8;
/// The last second of the schedule.
const LAST_MS: u64 = 6_000;
/// What is broken stays so for as long, at most.
const LASTING_MS_MAX: u64 = 4_000;

/// One fault. Whom it strikes is a number that any topology has a node for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at_ms: u64,
    pub hit: Hit,
    pub target: u32,
    pub lasting_ms: u64,
}

/// What happens to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// A broker's process, or a client's; it is started again.
    KillBroker,
    KillClient,
    /// A broker's machine; it is started again.
    PowerFail,
    /// A broker, for a while.
    Pause,
    /// Between a client and a broker, both ways or one way, for a while.
    Cut,
    CutOneWay,
    /// Between a broker and ZooKeeper, for a while.
    CutZooKeeper,
    /// Every connection between a client and a broker.
    Reset,
    /// A broker's disk, for a while.
    DiskFull,
    DiskSlow,
    DiskError,
    /// A broker's session.
    Expire,
}

impl Hit {
    fn of_class(class: Class) -> &'static [Hit] {
        match class {
            Class::Process => &[Hit::KillBroker, Hit::PowerFail, Hit::Pause],
            Class::Network => &[Hit::Reset, Hit::Cut, Hit::CutOneWay, Hit::CutZooKeeper],
            Class::Disk => &[Hit::DiskSlow, Hit::DiskFull, Hit::DiskError],
            Class::ZooKeeper => &[Hit::Expire],
            Class::Clients => &[Hit::KillClient],
            // Clocks are not struck by written steps.
            Class::Clock => &[],
        }
    }
}

/// Up to eight faults of these classes; shrinks towards none, and each towards an early and a short one.
pub fn faults(classes: &[Class]) -> impl Strategy<Value = Vec<Fault>> + use<> {
    let hits: Vec<Hit> = classes.iter().flat_map(|class| Hit::of_class(*class)).copied().collect();
    assert!(!hits.is_empty(), "there is no fault to draw in {classes:?}");
    let fault = (0..=LAST_MS, select(hits), 0..6u32, 100..=LASTING_MS_MAX)
        .prop_map(|(at_ms, hit, target, lasting_ms)| Fault { at_ms, hit, target, lasting_ms });
    prop::collection::vec(fault, 0..=FAULTS_MAX)
}
