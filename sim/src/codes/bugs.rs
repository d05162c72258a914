//! Bugs of Kafka, and of storage at large, that scenarios replay.

use seedlog::rules::Rule;

use super::Code;
use super::State::Built;

const KAFKA: &str = "issues.apache.org";

const fn row(
    id: &'static str,
    says: &'static str,
    rules: &'static [Rule],
    checks: &'static [&'static str],
) -> Code {
    Code { id, says, source: KAFKA, state: Built, rules, checks }
}

pub(super) static BUGS: &[Code] = &[
    row(
        "KAFKA-154",
        "A position moved before its records were in the queue, and an interruption lost them.",
        &[Rule::QueueBeforeAdvancing],
        &["H16"],
    ),
    row(
        "KAFKA-242",
        "Members that saw different groups used up their tries and gave up.",
        &[Rule::KeepTryingToRebalance],
        &["C1", "L1"],
    ),
    row(
        "KAFKA-919",
        "A rebalance committed what had only been fetched ahead.",
        &[Rule::CommitNothingPrefetched],
        &["H16"],
    ),
    row(
        "KAFKA-992",
        "An expired session's node stood in the way and was taken for one's own.",
        &[Rule::CompareEphemeralOwner],
        &["C4", "L1"],
    ),
    row(
        "KAFKA-1029",
        "A registration that stood in the way was waited for without an end.",
        &[Rule::CompareEphemeralOwner],
        &["L1"],
    ),
    row(
        "KAFKA-1387",
        "A node of an old session was taken for that of the new one and vanished later.",
        &[Rule::CompareEphemeralOwner],
        &["L1"],
    ),
    row(
        "KAFKA-2596",
        "A commit of a member that had lost its partitions was accepted.",
        &[Rule::CommitThroughOwningSession],
        &["H17", "H20"],
    ),
    row(
        "KAFKA-2942",
        "The commit timer committed records that nobody had been given.",
        &[Rule::CommitNothingPrefetched],
        &["H16"],
    ),
    row(
        "KAFKA-3968",
        "A directory was not synced after a new segment, so that the file vanished with the power.",
        &[Rule::SyncDirectoryOfNewName],
        &["S13"],
    ),
    row(
        "KAFKA-7165",
        "Registering again failed because the old session's node was still there.",
        &[Rule::CompareEphemeralOwner],
        &["L1"],
    ),
    Code {
        source: "PostgreSQL, 2018",
        ..row(
            "fsyncgate",
            "A failed fsync was repeated, succeeded, and had stored nothing.",
            &[Rule::FailLogDirOnFailedFsync],
            &["S13"],
        )
    },
];
