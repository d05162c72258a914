use std::time::Duration;

use seedlog::types::{Durability, Offset, TopicPartition};

use crate::checkers::story::{Story, broker_1, orders};
use crate::checkers::{Budget, lost_write};
use crate::history::{DiskOperation, Errno, Failure, Injected};

fn loss(story: &Story, offset: i64) -> bool {
    story.budget().excuses_loss(&orders(), Offset(offset)).is_some()
}

/// Nothing is excused of the first ten offsets, nor that the broker is down.
fn excuses_nothing(budget: &Budget) -> bool {
    (0..10).map(Offset).all(|offset| {
        budget.excuses_loss(&orders(), offset).is_none()
            && budget.excuses_damage(&orders(), offset).is_none()
            && budget.excuses_misplacement(&orders(), [offset]).is_none()
    }) && budget.excuses_outage(&orders()).is_none()
        && budget.excuses_absence(seedlog::types::BrokerId(1)).is_none()
}

#[test]
fn a_fault_that_is_armed_and_meets_nothing_excuses_nothing() {
    let target = broker_1();
    let error = |operation, failure| Injected::DiskError {
        target: broker_1(),
        operation,
        failure,
        errno: Errno::Eio,
        one_in: 1,
    };
    let armed = [
        Injected::DiskLies { target: target.clone() },
        Injected::DiskMisdirects { target: target.clone() },
        Injected::DiskFull { target: target.clone(), free_bytes: 0 },
        Injected::DiskSectorLost {
            target,
            file: "/data/orders-0/00000000000000000000.log".into(),
            offset: 7,
        },
        error(DiskOperation::Fsync, Failure::Late),
        error(DiskOperation::Fsync, Failure::Reverts),
        error(DiskOperation::Write, Failure::Plain),
    ];
    for fault in armed {
        let story = Story::new().durability(Durability::PageCache).appended(0, 9, 1).fault(fault);
        let story = story.after(Duration::from_secs(1)).kill().recovered(10, false);
        assert!(excuses_nothing(&story.budget()), "{:?}", story.entries());
    }
}

#[test]
fn damage_is_no_excuse_for_a_record_that_was_sent_after_it() {
    let cut = |sent_before: bool| {
        let story = Story::new().appended(0, 3, 1);
        let sent = |story: Story| story.send(0, "r-0").appended(4, 4, 2).acked(0, 4);
        let story = if sent_before { sent(story) } else { story };
        let story = story.damaged("flip-bit", 4, Some(5)).recovered(4, false);
        let story = if sent_before { story } else { sent(story) };
        story.recovered(4, false).finally(&["r", "r", "r", "r"]).violations(&lost_write::CHECK).len()
    };
    assert_eq!([true, false].map(cut), [0, 1]);
    let hidden = Story::new().appended(0, 3, 1).damaged("misdirected-write", 2, None);
    let sent = hidden.entries().len();
    assert!(hidden.budget().excuses_loss_of(&orders(), Offset(4), sent).is_some(), "where it begins is lost");
}

#[test]
fn damage_excuses_its_own_offsets_of_its_own_partition() {
    let story = Story::new().appended(0, 9, 1).damaged("flip-bit", 4, Some(6));
    assert_eq!([3, 4, 5, 6].map(|offset| loss(&story, offset)), [false, true, true, false]);
    let budget = story.budget();
    assert!(budget.excuses_misplacement(&orders(), [Offset(3), Offset(5)]).is_some());
    assert!(budget.excuses_misplacement(&orders(), [Offset(3)]).is_none());
    assert!(budget.excuses_outage(&orders()).is_some(), "a reader may have to stop in front of it");
    assert!(budget.excuses_loss(&TopicPartition::new("orders", 1), Offset(4)).is_none());
}

#[test]
fn a_loss_beside_the_damage_is_found() {
    let skipped = |from, to| {
        let story = Story::new().send(0, "r-0").acked(0, 0).send(1, "r-1").acked(1, 1);
        story.damaged("flip-bit", from, Some(to)).assigned("a", 0).read("a", 1, "r-1")
    };
    assert_eq!(skipped(0, 1).excused(&lost_write::CHECK).len(), 1);
    assert_eq!(skipped(1, 2).violations(&lost_write::CHECK).len(), 1);
}

#[test]
fn a_log_that_is_cut_at_the_damage_loses_what_came_behind_until_then() {
    let damaged =
        || Story::new().appended(0, 9, 1).damaged("misdirected-write", 4, Some(6)).appended(10, 14, 2);
    let cut = damaged().recovered(4, false).appended(4, 30, 3);
    assert_eq!([3, 4, 12, 15].map(|offset| loss(&cut, offset)), [false, true, true, false]);
    let elsewhere = damaged().recovered(8, false);
    assert!(!loss(&elsewhere, 12), "the damage ends before");
}

#[test]
fn a_power_failure_excuses_what_it_took_out_of_the_page_cache_where_no_more_was_promised() {
    let failed = |durability| {
        let story = Story::new().durability(durability).appended(0, 9, 1);
        story.fault(Injected::PowerFailure { target: broker_1() }).damaged("power-failure", 6, Some(10))
    };
    let page_cache = failed(Durability::PageCache);
    assert_eq!([5, 6, 9, 10].map(|offset| loss(&page_cache, offset)), [false, true, true, false]);
    assert!(page_cache.budget().excuses_damage(&orders(), Offset(6)).is_none(), "a tail and nothing else");
    assert!(excuses_nothing(&failed(Durability::Fsync).budget()));
    let lied = Story::new().appended(0, 9, 1).struck("lying-sync").damaged("power-failure", 6, Some(10));
    assert_eq!([5, 6].map(|offset| loss(&lied, offset)), [false, true]);
}

#[test]
fn a_lie_excuses_what_the_next_power_failure_takes_and_not_what_a_later_one_does() {
    let lied = Story::new().appended(0, 9, 1).struck("lying-sync").damaged("power-failure", 6, Some(10));
    let honest = lied.fault(Injected::Start { target: broker_1() }).recovered(6, false).appended(6, 9, 2);
    let story = honest.damaged("power-failure", 3, Some(6));
    assert_eq!([3, 6].map(|offset| loss(&story, offset)), [false, true]);
}

#[test]
fn a_disk_that_lies_once_more_excuses_once_more_what_it_loses_some_processes_later() {
    let started = |story: Story| story.fault(Injected::Start { target: broker_1() });
    let lost = Story::new().appended(0, 9, 1).struck("lying-sync").damaged("power-failure", 6, Some(10));
    let again = started(lost).recovered(6, false).struck("lying-sync").appended(6, 9, 2);
    let story = started(again.kill()).recovered(10, false).damaged("power-failure", 8, Some(10));
    assert!(loss(&story, 8));
    let then = started(story).recovered(8, false).appended(8, 9, 3).damaged("power-failure", 3, Some(6));
    assert!(!loss(&then, 3), "it has not lied since");
}

#[test]
fn an_fsync_that_reports_its_failure_at_the_next_one_has_lied() {
    let failed = |failure| {
        let operation = DiskOperation::Fsync;
        let error =
            Injected::DiskError { target: broker_1(), operation, failure, errno: Errno::Eio, one_in: 1 };
        let story = Story::new().appended(0, 0, 1).fault(error).struck("sync-error");
        story.damaged("power-failure", 0, Some(1))
    };
    assert!(loss(&failed(Failure::Late), 0));
    assert!(!loss(&failed(Failure::Reverts), 0));
    assert!(!loss(&failed(Failure::Plain), 0));
}

#[test]
fn a_lying_or_an_empty_disk_misplaces_nothing() {
    for fault in ["wipe", "power-failure"] {
        let story = Story::new().appended(0, 0, 1).struck("lying-sync").damaged(fault, 0, Some(1));
        assert!(story.budget().excuses_misplacement(&orders(), [Offset(0)]).is_none());
        assert!(story.budget().excuses_damage(&orders(), Offset(0)).is_some());
    }
}
