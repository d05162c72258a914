use seedlog::types::TopicPartition;

use super::{Budget, partition_of_log};
use crate::checkers::story::{Story, broker_1, orders};
use crate::checkers::{Case, Terms};
use crate::history::{DiskOperation, Errno, Failure, Injected};

fn budget(story: &Story) -> Budget {
    Case::new(story.entries(), &Terms::default()).budget().clone()
}

fn flipped(file: &str) -> Story {
    let fault = Injected::BitFlip { target: broker_1(), file: file.into(), offset: 7 };
    Story::new().appended(0, 0, 1).fault(fault)
}

#[test]
fn every_damage_of_a_disk_is_remembered() {
    let story = Story::new().appended(0, 0, 1).fault(Injected::DiskMisdirects { target: broker_1() });
    let story = story.fault(Injected::DiskLies { target: broker_1() });
    assert!(budget(&story).excuses_misplacement(&orders()).is_some());
    let (_, reasons) = budget(&story).over().map(|(partition, why)| (partition.clone(), why)).next().unwrap();
    assert!(reasons.contains("lied") && reasons.contains("misdirected"), "{reasons}");
}

#[test]
fn a_flipped_bit_damages_the_partition_whose_log_it_was_in_and_no_other_of_the_broker() {
    assert!(budget(&flipped("/data/orders-0/00000000000000000000.log")).excuses_damage(&orders()).is_some());
    assert!(budget(&flipped("/data/orders-1/00000000000000000000.log")).excuses_damage(&orders()).is_none());
}

#[test]
fn a_log_or_a_checkpoint_that_was_cut_off_counts_and_an_index_does_not() {
    let cut_off = |file: &str| {
        let file = format!("/data/orders-0/{file}").into();
        let fault = Injected::FileTruncated { target: broker_1(), file, length: 7 };
        budget(&Story::new().appended(0, 0, 1).fault(fault))
    };
    for file in ["00000000000000000000.log", "checkpoint"] {
        assert!(cut_off(file).excuses_damage(&orders()).is_some(), "{file}");
        assert!(cut_off(file).excuses_outage(&orders()).is_some(), "{file}");
    }
    assert_eq!(cut_off("00000000000000000000.index").over().count(), 0);
}

#[test]
fn an_fsync_that_reports_its_failure_at_the_next_one_has_lied() {
    let fails = |failure| {
        let operation = DiskOperation::Fsync;
        let fault =
            Injected::DiskError { target: broker_1(), operation, failure, errno: Errno::Eio, one_in: 1 };
        budget(&Story::new().appended(0, 0, 1).fault(fault))
    };
    assert!(fails(Failure::Late).excuses_damage(&orders()).is_some());
    assert!(fails(Failure::Reverts).excuses_damage(&orders()).is_none());
}

#[test]
fn the_directory_names_the_partition_of_a_log() {
    let parsed = partition_of_log("/data/two-words-12/00000000000000000003.log");
    assert_eq!(parsed, Some(TopicPartition::new("two-words", 12)));
    assert_eq!(partition_of_log("/data/orders-0.8c1f-stray/00000000000000000003.log"), None);
}

#[test]
fn a_lying_or_an_empty_disk_misplaces_nothing() {
    for fault in [Injected::DiskLies { target: broker_1() }, Injected::Wipe { target: broker_1() }] {
        let budget = budget(&Story::new().appended(0, 0, 1).fault(fault));
        assert!(budget.excuses_misplacement(&orders()).is_none());
        assert!(budget.excuses_damage(&orders()).is_some());
    }
}
