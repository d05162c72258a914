//! What the system must do. `G`: the guarantees by name. `P`: the paper. `K`: the introduction of Kafka 1.1. `T`: the
//! testbed.

use seedlog::rules::Rule;

use super::State::{Built, NotYet, Partly};
use super::{Code, State};

const PAPER_STORAGE: &str = "paper, 3.1: one partition's storage";
const PAPER_CLIENTS: &str = "paper, 3: producers and consumers";
const PAPER_COORDINATION: &str = "paper, 3.2: coordination through ZooKeeper";
const PAPER_DELIVERY: &str = "paper, 3.3: what delivery promises";
const PAPER_USAGE: &str = "paper, 4: Kafka at work";
const INTRODUCTION: &str = "introduction of Kafka 1.1";
const GUARANTEES: &str = "introduction of Kafka 1.1: guarantees";
const TESTBED: &str = "the testbed's brief";

const fn row(id: &'static str, says: &'static str, source: &'static str, state: State) -> Code {
    Code { id, says, source, state, rules: &[], checks: &[] }
}

const fn kept(code: Code, rules: &'static [Rule], checks: &'static [&'static str]) -> Code {
    Code { rules, checks, ..code }
}

pub(super) static DEMANDS: &[Code] = &[
    kept(
        row(
            "G1",
            "What one producer sends to one partition is stored in the order in which it was sent.",
            GUARANTEES,
            Built,
        ),
        &[Rule::OneRequestInFlightWhileRetrying],
        &["H10", "H14"],
    ),
    kept(
        row(
            "G2",
            "A consumer is given the records of a partition in the order in which they are stored.",
            GUARANTEES,
            Built,
        ),
        &[],
        &["H1", "H7", "H8", "H9", "H15"],
    ),
    kept(
        row(
            "G3",
            "With N replicas, N-1 failures of servers lose no record that was acknowledged at the promised level.",
            GUARANTEES,
            Partly("N is 1; what `durability = fsync` acknowledged survives every crash of a sound disk"),
        ),
        &[
            Rule::AppendBeforeAck,
            Rule::CutTornTail,
            Rule::SyncDirectoryOfNewName,
            Rule::FailLogDirOnFailedFsync,
            Rule::DeadIncarnationWritesNothing,
        ],
        &["H1", "H3", "H4", "H15", "S13", "S19", "L1"],
    ),
    kept(
        row(
            "G4",
            "A group misses no acknowledged record, and is given one again only after a crash, an expiry or a rebalance.",
            PAPER_DELIVERY,
            Built,
        ),
        &[Rule::CommitOnlyFinished, Rule::CommitNothingPrefetched, Rule::QueueBeforeAdvancing],
        &["H3", "H4", "H16", "H17", "H20"],
    ),
    kept(
        row(
            "P1",
            "A partition is one append-only log, kept in segment files of about the same size.",
            PAPER_STORAGE,
            Built,
        ),
        &[],
        &["S13"],
    ),
    kept(
        row(
            "P2",
            "A publish appends to the last segment, several records in one request.",
            PAPER_STORAGE,
            Built,
        ),
        &[],
        &["S13", "S21"],
    ),
    kept(
        row(
            "P3",
            "A record is addressed by its offset alone, which a sparse index finds.",
            PAPER_STORAGE,
            Built,
        ),
        &[],
        &["H1", "S21"],
    ),
    kept(
        row(
            "P4",
            "A flush comes after so many records, after so long, and where an acknowledgement waits for it, and nothing is readable that durability does not promise.",
            PAPER_STORAGE,
            Built,
        ),
        &[Rule::AppendBeforeAck, Rule::ExposeOnlyWhatIsDurable],
        &["H15", "S13", "S17", "S19", "S20"],
    ),
    row("P5", "The broker has no cache of records: the page cache is one.", PAPER_STORAGE, Built),
    row(
        "P6",
        "Bytes of the log go from the file to the socket without passing through the process.",
        PAPER_STORAGE,
        Built,
    ),
    kept(
        row(
            "P7",
            "No byte of the disk is trusted before its checksum was verified.",
            PAPER_STORAGE,
            Partly("there is no scrub in the background"),
        ),
        &[],
        &["H6", "S13"],
    ),
    kept(
        row(
            "P8",
            "After an unclean stop the unflushed tail is examined and a torn end is cut, and what was flushed is never cut.",
            PAPER_STORAGE,
            Built,
        ),
        &[Rule::CutTornTail, Rule::SyncDirectoryOfNewName],
        &["S13", "S19"],
    ),
    row("P9", "Old segments are deleted by age or size.", PAPER_STORAGE, NotYet),
    kept(
        row("P10", "A consumer may go to any retained offset or time, and read again.", PAPER_STORAGE, Built),
        &[],
        &["H7", "H18"],
    ),
    row("P11", "A producer publishes a set of records in one request.", PAPER_CLIENTS, Built),
    row(
        "P12",
        "A producer chooses the partition by key, in turn, or at random for each batch.",
        PAPER_CLIENTS,
        Built,
    ),
    row(
        "P13",
        "Batches are bounded by count, bytes and time, and a full buffer makes the sender wait.",
        PAPER_CLIENTS,
        Built,
    ),
    kept(
        row(
            "P14",
            "A consumer asks with an offset, and the broker keeps no state about it.",
            PAPER_CLIENTS,
            Built,
        ),
        &[],
        &["H18"],
    ),
    kept(
        row(
            "P15",
            "A consumer asks for so many streams of a topic, each without an end.",
            PAPER_CLIENTS,
            Built,
        ),
        &[],
        &["C5"],
    ),
    kept(
        row(
            "P16",
            "The members of one group share the records, and several groups are each given all of them.",
            PAPER_CLIENTS,
            Built,
        ),
        &[],
        &["C1", "G4"],
    ),
    kept(
        row(
            "P17",
            "A committed offset says that the application finished everything before it.",
            PAPER_DELIVERY,
            Built,
        ),
        &[Rule::CommitOnlyFinished, Rule::CommitNothingPrefetched],
        &["H16", "G4"],
    ),
    kept(
        row(
            "P18",
            "Order is promised within a partition, and nothing across partitions.",
            PAPER_DELIVERY,
            Built,
        ),
        &[],
        &["H7", "H8", "H9"],
    ),
    kept(
        row(
            "P19",
            "A corrupt record never reaches the application, which is told its place or has it skipped.",
            PAPER_DELIVERY,
            Built,
        ),
        &[],
        &["H6"],
    ),
    kept(
        row(
            "P20",
            "Brokers, members, owners and offsets stand in ZooKeeper, the first three for as long as their session.",
            PAPER_COORDINATION,
            Built,
        ),
        &[Rule::CompareEphemeralOwner],
        &["C4"],
    ),
    kept(
        row(
            "P21",
            "A member watches the brokers, its group and its topics, and rebalances when they change.",
            PAPER_COORDINATION,
            Built,
        ),
        &[Rule::SetWatchesAgain],
        &["C4", "C5"],
    ),
    kept(
        row(
            "P22",
            "Each member computes for itself which partitions are its own, and delivers only what it has claimed.",
            PAPER_COORDINATION,
            Built,
        ),
        &[Rule::OwnBeforeDelivering],
        &["C1", "C5"],
    ),
    kept(
        row(
            "P23",
            "A member that meets another owner releases everything, waits and tries again, for as long as it takes.",
            PAPER_COORDINATION,
            Built,
        ),
        &[Rule::KeepTryingToRebalance],
        &["C1", "L1"],
    ),
    kept(
        row(
            "P24",
            "A partition has at most one member that delivers it, and no master assigns it.",
            PAPER_COORDINATION,
            Built,
        ),
        &[Rule::PauseWhenUnheard, Rule::CommitThroughOwningSession],
        &["C1", "C3"],
    ),
    kept(
        row(
            "P25",
            "Consumption goes on after ZooKeeper was gone, and who lost a session begins anew under another.",
            PAPER_COORDINATION,
            Built,
        ),
        &[Rule::DropOwnershipOnExpiry, Rule::SettleAmbiguousCreate],
        &["C1", "H13", "L1"],
    ),
    row(
        "P26",
        "Producers count what they send by topic and time, and an auditor compares it with what arrived.",
        PAPER_USAGE,
        NotYet,
    ),
    row(
        "P27",
        "A job loads a topic into files and goes on where it stopped, without loss or repetition.",
        PAPER_USAGE,
        NotYet,
    ),
    row(
        "K1",
        "A record has a key, a value, a time and headers, and batches that are compressed stay so.",
        INTRODUCTION,
        Built,
    ),
    row("K2", "A compacted topic keeps at least the last value of every key.", INTRODUCTION, NotYet),
    kept(
        row(
            "K3",
            "A producer waits for nobody, the leader or all in-sync replicas, and retries without breaking the order.",
            INTRODUCTION,
            Built,
        ),
        &[Rule::OneRequestInFlightWhileRetrying, Rule::AppendBeforeAck],
        &["H2", "H5", "H10"],
    ),
    kept(
        row(
            "K3b",
            "A retry of an idempotent producer stores nothing twice and leaves no gap.",
            INTRODUCTION,
            NotYet,
        ),
        &[],
        &["H19"],
    ),
    kept(
        row(
            "K3c",
            "A transaction writes to several partitions, and commits offsets, all or nothing.",
            INTRODUCTION,
            NotYet,
        ),
        &[],
        &["H11", "H12"],
    ),
    kept(
        row(
            "K4",
            "A partition has a leader and followers, and epochs decide what is cut off.",
            INTRODUCTION,
            Partly("a leader raises its epoch; there are no followers"),
        ),
        &[Rule::RaiseLeaderEpochOnStart],
        &["S1", "S2", "S3", "S4", "S6", "S7", "S8", "S9", "S10", "S11", "S12"],
    ),
    row(
        "K5",
        "Leaders are spread over the brokers, of which one may stop in order without an outage.",
        INTRODUCTION,
        Partly("spread when a topic is created; nothing moves later"),
    ),
    kept(
        row(
            "K6",
            "One broker is the controller, and every decision of an older one is refused.",
            INTRODUCTION,
            NotYet,
        ),
        &[],
        &["S9"],
    ),
    row(
        "K7",
        "Topics are created, extended, altered and deleted.",
        INTRODUCTION,
        Partly("created, also on demand"),
    ),
    kept(row("K8", "Brokers coordinate groups by the Kafka protocol.", INTRODUCTION, NotYet), &[], &["C2"]),
    row(
        "K9",
        "Users are authenticated, may do what they are allowed to, and share the broker by quotas.",
        INTRODUCTION,
        NotYet,
    ),
    row("K10", "A cluster is mirrored to another one.", INTRODUCTION, NotYet),
    row(
        "K11",
        "Streams are mapped, joined, aggregated and windowed, exactly once if so asked.",
        INTRODUCTION,
        NotYet,
    ),
    row("K12", "Connectors carry data in and out, with their offsets in the cluster.", INTRODUCTION, NotYet),
    row(
        "K13",
        "Speed does not depend on how much is stored, on a backlog, or on who reads.",
        INTRODUCTION,
        Partly("by construction; no test measures it"),
    ),
    row(
        "T1",
        "The whole cluster runs on one seeded scheduler: one seed of one commit is one run, bit for bit.",
        TESTBED,
        Built,
    ),
    row("T2", "Crashes, power failures, partitions and failing disks are injected.", TESTBED, Built),
    row("T3", "The same code builds for the real machine and a real ZooKeeper.", TESTBED, Built),
    row("T4", "Seeded scenarios of failure are replayed in CI.", TESTBED, Built),
    row("T5", "Properties of delivery and order are tested with shrinking.", TESTBED, Built),
    row("T6", "The build for the real machine is a broker that one can deploy.", TESTBED, Built),
];
