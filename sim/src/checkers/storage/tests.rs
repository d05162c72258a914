use seedlog::facts::Fact;
use seedlog::types::{BrokerId, Offset, TopicPartition};

use super::CHECK;
use crate::checkers::story::{Story, broker_1, orders};
use crate::history::{DiskOperation, Errno, Failure, Injected};

#[test]
fn damage_behind_the_brokers_back_excuses_what_the_log_lost() {
    let flushed = || Story::new().appended(0, 4, 1).flushed(5);
    let wiped = flushed().damaged("wipe", 0, Some(5)).recovered(0, false);
    assert!(wiped.violations(&CHECK).is_empty());
    assert_eq!(wiped.excused(&CHECK).len(), 1);
    let lied = flushed().struck("lying-sync").power_failure().recovered(0, false);
    assert!(lied.violations(&CHECK).is_empty());
    let armed = flushed().fault(Injected::DiskLies { target: broker_1() }).power_failure();
    assert_eq!(armed.recovered(0, false).violations(&CHECK).len(), 1, "no fsync has met the lie");
    let of_another = flushed().damaged_of(TopicPartition::new("orders", 1), "wipe", 0, Some(5));
    assert_eq!(of_another.power_failure().recovered(0, false).violations(&CHECK).len(), 1);
}

#[test]
fn a_log_that_keeps_what_was_flushed_passes() {
    let story = Story::new()
        .appended(0, 4, 1)
        .flushed(5)
        .appended(5, 9, 2)
        .power_failure()
        .recovered(5, false)
        .appended(5, 6, 3)
        .kill()
        .recovered(7, false);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn an_append_below_the_end_of_the_log_is_found() {
    let story = Story::new().appended(0, 4, 1).appended(4, 6, 2);
    assert_eq!(
        story.violations(&CHECK),
        ["orders-0 on broker 1: a batch was appended at 4, the log ended at 5"]
    );
}

#[test]
fn a_recovery_that_loses_flushed_batches_is_found() {
    let story = Story::new().appended(0, 4, 1).flushed(5).power_failure().recovered(0, false);
    assert_eq!(
        story.violations(&CHECK),
        ["orders-0 on broker 1: recovered up to 0, though 5 had been flushed"]
    );
}

#[test]
fn a_recovery_that_ends_inside_a_batch_is_found() {
    let story = Story::new().appended(0, 4, 1).power_failure().recovered(3, false);
    assert_eq!(
        story.violations(&CHECK),
        ["orders-0 on broker 1: recovered up to 3, which is inside of the batch 0..=4"]
    );
}

#[test]
fn a_recovery_that_invents_records_is_found() {
    let story = Story::new().appended(0, 4, 1).kill().recovered(9, false);
    assert_eq!(story.violations(&CHECK), ["orders-0 on broker 1: recovered up to 9, the log had ended at 5"]);
}

#[test]
fn a_kill_that_loses_the_page_cache_is_found() {
    let story = Story::new().appended(0, 4, 1).kill().recovered(0, false);
    assert_eq!(
        story.violations(&CHECK),
        ["orders-0 on broker 1: recovered up to 0 of 5, though the page cache had survived"]
    );
}

/// Ten records stand there, five of them flushed; the disk does this, and after a kill so many are left.
fn killed_after(strike: Option<&str>, end: i64) -> usize {
    let operation = DiskOperation::Fsync;
    let failure = Failure::Plain;
    let fault = Injected::DiskError { target: broker_1(), operation, failure, errno: Errno::Eio, one_in: 1 };
    let story = Story::new().appended(0, 4, 1).flushed(5).appended(5, 9, 2).fault(fault);
    let story = strike.into_iter().fold(story, Story::struck);
    story.kill().recovered(end, false).violations(&CHECK).len()
}

#[test]
fn a_failed_fsync_may_lose_what_it_was_to_flush_and_nothing_else() {
    assert_eq!(killed_after(Some("sync-error"), 5), 0);
    assert_eq!(killed_after(Some("sync-error"), 0), 1);
}

#[test]
fn an_fsync_that_was_to_fail_and_did_not_excuses_nothing() {
    assert_eq!(killed_after(None, 5), 1);
    assert_eq!(killed_after(Some("slow"), 5), 1);
}

#[test]
fn a_failed_fsync_of_an_earlier_life_excuses_nothing() {
    let restarted = Story::new().appended(0, 4, 1).struck("sync-error").kill();
    let restarted = restarted.fault(Injected::Start { target: broker_1() }).recovered(5, false);
    assert_eq!(restarted.appended(5, 9, 2).kill().recovered(5, false).violations(&CHECK).len(), 1);
}

#[test]
fn a_clean_stop_that_loses_records_is_found() {
    let story = Story::new().appended(0, 4, 1).power_failure().recovered(0, true);
    assert_eq!(story.violations(&CHECK).len(), 1);
}

#[test]
fn a_second_recovery_that_disagrees_with_the_first_is_found() {
    let story = Story::new().appended(0, 4, 1).power_failure().recovered(5, false).kill().recovered(0, false);
    assert_eq!(story.violations(&CHECK).len(), 1);
}

#[test]
fn another_value_read_from_the_same_batch_is_found() {
    let story =
        Story::new().appended(0, 0, 1).read("a", 0, "r-0").kill().recovered(1, false).read("a", 0, "garbage");
    assert_eq!(
        story.violations(&CHECK),
        [r#"orders-0@0 was read as "r-0" and as "garbage", from the same batch"#]
    );
}

#[test]
fn another_value_under_a_batch_that_replaced_the_first_passes() {
    let story = Story::new()
        .appended(0, 0, 1)
        .read("a", 0, "r-0")
        .power_failure()
        .recovered(0, false)
        .appended(0, 0, 2)
        .read("a", 0, "r-1");
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn a_corrupt_batch_that_a_consumer_met_is_found() {
    let (consumer, partition, offset) = ("a".to_owned(), orders(), Offset(3));
    let story = Story::new().fact("a", Fact::CorruptSkipped { consumer, partition, offset });
    assert_eq!(story.violations(&CHECK), ["a met a corrupt batch at orders-0@3"]);
}

#[test]
fn a_flush_of_more_than_was_appended_is_found() {
    let story = Story::new().appended(0, 4, 1).flushed(6);
    assert_eq!(story.violations(&CHECK).len(), 1);
}

/// Five records stand there; what comes then is followed by a death, and recovery finds eight.
fn recovered_more(fault: Option<Injected>, power_fails: bool) -> Story {
    let inside = |story: Story, fault| story.fault(fault).struck("crash-inside");
    let story = fault.into_iter().fold(Story::new().appended(0, 4, 1), inside);
    let story = if power_fails { story.power_failure() } else { story.kill() };
    story.unstated(5, 8, true).recovered(8, false)
}

/// As above, of a broker that dies inside of a write; its disk holds so many records before it begins anew.
fn recovered_though_the_disk_held(held: i64, is_one_write: bool) -> Story {
    let story = Story::new().appended(0, 4, 1).fault(armed("write").unwrap()).struck("crash-inside").kill();
    story.unstated(5, held, is_one_write).recovered(8, false)
}

#[test]
fn a_recovery_finds_no_more_than_one_write_had_handed_to_the_disk() {
    assert!(recovered_though_the_disk_held(8, true).violations(&CHECK).is_empty());
    let more = ["orders-0 on broker 1: recovered up to 8, the log had ended at 5"];
    assert_eq!(recovered_though_the_disk_held(7, true).violations(&CHECK), more);
    assert_eq!(recovered_though_the_disk_held(8, false).violations(&CHECK), more);
}

fn armed(point: &str) -> Option<Injected> {
    let (target, point) = (broker_1(), point.into());
    Some(Injected::CrashArmed { target, point, nth: 2, power_failure: false })
}

#[test]
fn a_death_inside_of_a_write_leaves_one_append_that_nobody_stated() {
    assert!(recovered_more(armed("write"), false).violations(&CHECK).is_empty());
    assert!(recovered_more(armed("write"), true).violations(&CHECK).is_empty());
    let went_on = recovered_more(armed("write"), false).appended(8, 8, 2);
    assert!(went_on.violations(&CHECK).is_empty());
}

#[test]
fn who_dies_at_the_first_batch_of_a_write_did_not_state_the_others() {
    assert!(recovered_more(armed("appended"), false).violations(&CHECK).is_empty());
}

/// Batches 0 to 4 are there; the log's directory fails, and recovery finds three records more.
fn gave_up(failure: Failure, strike: &str) -> Vec<String> {
    let error = Injected::DiskError {
        target: broker_1(),
        operation: DiskOperation::Write,
        failure,
        errno: Errno::Eio,
        one_in: 4,
    };
    let failed = Fact::LogDirFailed { broker: BrokerId(1), reason: "append failed".into() };
    let story = Story::new().appended(0, 4, 1).fault(error).struck(strike).fact("broker-1", failed).kill();
    story.unstated(5, 8, true).recovered(8, false).violations(&CHECK)
}

#[test]
fn a_write_that_failed_half_way_and_was_not_cut_off_leaves_what_it_wrote() {
    assert!(gave_up(Failure::Short, "short-write").is_empty());
    let more = ["orders-0 on broker 1: recovered up to 8, the log had ended at 5"];
    assert_eq!(gave_up(Failure::Plain, "write-error"), more);
    assert_eq!(gave_up(Failure::Short, "slow"), more, "none was cut short");
}

#[test]
fn a_disk_that_is_well_again_forgets_the_crash_inside_of_it_and_no_other() {
    let found = |point| {
        let well = Injected::DiskHealthy { target: broker_1() };
        let story = Story::new().appended(0, 4, 1).fault(armed(point).unwrap()).fault(well);
        let story = story.struck("crash-at-point").kill();
        story.unstated(5, 8, true).recovered(8, false).violations(&CHECK).len()
    };
    assert_eq!(["write", "appended"].map(found), [1, 0]);
}

#[test]
fn no_other_death_leaves_more_than_was_stated() {
    for story in [
        recovered_more(None, true),
        recovered_more(armed("fsync"), false),
        recovered_more(armed("flushed"), false),
        Story::new()
            .appended(0, 4, 1)
            .fault(armed("write").unwrap())
            .kill()
            .unstated(5, 8, true)
            .recovered(8, false),
        recovered_more(armed("write"), false).kill().unstated(8, 9, true).recovered(9, false),
        Story::new()
            .appended(0, 4, 1)
            .kill()
            .fault(armed("write").unwrap())
            .struck("crash-inside")
            .unstated(5, 8, true)
            .recovered(8, false),
    ] {
        assert_eq!(story.violations(&CHECK).len(), 1);
    }
}

#[test]
fn a_death_inside_of_a_write_excuses_no_loss() {
    let story = Story::new().appended(0, 4, 1).appended(5, 9, 2).fault(armed("write").unwrap());
    assert_eq!(story.kill().recovered(5, false).violations(&CHECK).len(), 1);
}

#[test]
fn a_recovery_that_moves_the_logs_front_is_found() {
    let story = Story::new().appended(0, 99, 1).appended(100, 149, 2).kill().recovered_from(100, 150, false);
    assert_eq!(
        story.violations(&CHECK),
        ["orders-0 on broker 1: recovered from 100 on, the log had begun at 0"]
    );
}
