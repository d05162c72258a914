use seedlog::types::{Durability, SessionId};

use super::CHECK;
use crate::checkers::story::Story;

/// Three records stand in the log, and `a` reads for the group from the first.
fn reading() -> Story {
    Story::new().appended(0, 2, 1).member("a", 1, 0)
}

#[test]
fn a_commit_of_what_was_finished_passes() {
    let story = reading().worked_on("a", 0, "r-0").worked_on("a", 1, "r-1").commits("a", 2);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn a_commit_over_a_record_in_the_applications_hands_is_found() {
    let story = reading().worked_on("a", 0, "r-0").read("a", 1, "r-1").commits("a", 2);
    assert_eq!(
        story.violations(&CHECK),
        ["a committed orders-0@2 for billing, but 1 was delivered and not finished"]
    );
}

#[test]
fn a_record_finished_only_after_the_commit_was_invoked_is_found() {
    let story = reading().read("a", 0, "r-0").committing("a", 1).finished("a", 0).committed("a", 1);
    assert_eq!(story.violations(&CHECK).len(), 1);
}

#[test]
fn a_commit_over_what_was_merely_fetched_ahead_is_found() {
    let story = reading().worked_on("a", 0, "r-0").commits("a", 3);
    assert_eq!(story.violations(&CHECK), ["a committed orders-0@3 for billing, but 1 was never delivered"]);
}

#[test]
fn marks_out_of_order_cover_only_up_to_the_first_unmarked() {
    let marked = reading()
        .read("a", 0, "r-0")
        .worked_on("a", 1, "r-1")
        .commits("a", 0)
        .finished("a", 0)
        .commits("a", 2);
    assert!(marked.violations(&CHECK).is_empty());
    let unmarked = reading().read("a", 0, "r-0").worked_on("a", 1, "r-1").commits("a", 2);
    assert_eq!(unmarked.violations(&CHECK).len(), 1);
}

#[test]
fn a_commit_without_an_answer_may_have_taken_effect_and_a_refused_one_has_not() {
    let unanswered = reading().read("a", 0, "r-0").committing("a", 1);
    assert_eq!(unanswered.violations(&CHECK).len(), 1);
    let unknown = reading().read("a", 0, "r-0").committing("a", 1).commit_failed("a", 1, true);
    assert_eq!(unknown.violations(&CHECK).len(), 1);
    let refused = reading().read("a", 0, "r-0").committing("a", 1).commit_failed("a", 1, false);
    assert!(refused.violations(&CHECK).is_empty());
}

#[test]
fn a_commit_of_which_only_the_end_was_stated_is_judged() {
    assert_eq!(reading().read("a", 0, "r-0").committed("a", 1).violations(&CHECK).len(), 1);
}

#[test]
fn what_another_member_finished_counts() {
    let story = reading()
        .worked_on("a", 0, "r-0")
        .killed("a")
        .session_expired(1)
        .member("b", 2, 0)
        .read("b", 0, "r-0")
        .commits("b", 1);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn what_a_dead_member_had_in_its_hands_is_still_due() {
    let story = reading()
        .worked_on("a", 0, "r-0")
        .commits("a", 1)
        .read("a", 1, "r-1")
        .killed("a")
        .joined("b", 2)
        .owned("b", 2)
        .fetched("b", Some(1))
        .assigned("b", 2)
        .worked_on("b", 2, "r-2")
        .commits("b", 3);
    assert_eq!(story.violations(&CHECK).len(), 1);
}

#[test]
fn a_group_owes_nothing_below_its_start() {
    let story = Story::new().appended(0, 5, 1).member("a", 1, 4).worked_on("a", 4, "r-4").commits("a", 5);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn a_reset_to_the_end_and_a_seek_explain_what_they_jump_over() {
    let reset = Story::new()
        .appended(0, 5, 1)
        .joined("a", 1)
        .fetched("a", None)
        .reset("a", None, 4, (0, 4))
        .assigned("a", 4)
        .worked_on("a", 4, "r-4")
        .commits("a", 5);
    assert!(reset.violations(&CHECK).is_empty());
    let sought = reading().sought("a", 2).worked_on("a", 2, "r-2").commits("a", 3);
    assert!(sought.violations(&CHECK).is_empty());
}

#[test]
fn after_a_rewind_everything_from_there_on_is_to_be_finished_again() {
    let back = || {
        let story = reading().worked_on("a", 0, "r-0").worked_on("a", 1, "r-1").commits("a", 2);
        story.sought("a", 0).commits("a", 0).read("a", 0, "r-0")
    };
    let over_what_is_in_hand = back().commits("a", 2);
    assert_eq!(
        over_what_is_in_hand.violations(&CHECK),
        ["a committed orders-0@2 for billing, but 0 was delivered and not finished"]
    );
    let finished_again = back().finished("a", 0).worked_on("a", 1, "r-1").commits("a", 2);
    assert!(finished_again.violations(&CHECK).is_empty());
}

#[test]
fn a_commit_under_way_when_the_application_goes_back_is_judged_by_what_was_due_then() {
    let story = reading().worked_on("a", 0, "r-0").committing("a", 1).sought("a", 0).committed("a", 1);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn where_a_member_goes_that_has_lost_the_partition_is_nothing_to_the_group() {
    let story = reading().worked_on("a", 0, "r-0").commits("a", 1).member("b", 2, 1);
    let story = story.worked_on("b", 1, "r-1").sought("a", 0).commits("b", 2);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn a_commit_of_who_has_lost_the_partition_is_judged_where_it_was_taken() {
    let lost = || {
        let story = reading().worked_on("a", 0, "r-0").worked_on("a", 1, "r-1").member("b", 2, 0);
        story.worked_on("b", 0, "r-0").sought("b", 0).committing("a", 2)
    };
    assert!(lost().commit_failed("a", 2, true).violations(&CHECK).is_empty());
    assert_eq!(lost().committed("a", 2).violations(&CHECK).len(), 1);
}

#[test]
fn a_corrupt_batch_that_was_skipped_cannot_be_finished() {
    let story = Story::new()
        .appended(0, 1, 1)
        .appended(2, 2, 2)
        .member("a", 1, 0)
        .skipped_corrupt("a", 0)
        .worked_on("a", 2, "r-2")
        .commits("a", 3);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn a_corrupt_batch_of_a_log_that_was_wiped_and_grew_again_ends_where_the_new_one_does() {
    let wiped = || Story::new().appended(0, 1, 1).member("a", 1, 0).recovered(0, false).appended(0, 4, 2);
    let skipped = wiped().skipped_corrupt("a", 0).commits("a", 5);
    assert!(skipped.violations(&CHECK).is_empty());
    let one_more = wiped().appended(5, 5, 3).skipped_corrupt("a", 0).commits("a", 6);
    assert_eq!(one_more.violations(&CHECK).len(), 1);
}

#[test]
fn a_misdirected_write_excuses_what_was_never_delivered_and_nothing_that_was() {
    let damaged = |story: Story| story.damaged("misdirected-write", 0, Some(2));
    let story = || damaged(Story::new().appended(0, 1, 1).member("a", 1, 0));
    assert!(story().commits("a", 2).violations(&CHECK).is_empty());
    assert_eq!(story().commits("a", 2).excused(&CHECK).len(), 1);
    assert_eq!(story().read("a", 0, "r-0").commits("a", 2).violations(&CHECK).len(), 1);
    let read_by_the_dead = story().read("a", 0, "r-0").killed("a").member("a", 2, 0).commits("a", 2);
    assert_eq!(read_by_the_dead.excused(&CHECK).len(), 1, "hidden from the one that commits");
    let read_before_a_seek = story().read("a", 0, "r-0").sought("a", 0).commits("a", 2);
    assert_eq!(read_before_a_seek.excused(&CHECK).len(), 1, "hidden since it went back");
    let read_again = story().sought("a", 0).read("a", 0, "r-0").commits("a", 2);
    assert_eq!(read_again.violations(&CHECK).len(), 1);
}

#[test]
fn an_offset_that_never_held_a_record_is_not_due() {
    let story = Story::new()
        .appended(0, 0, 1)
        .appended(3, 3, 2)
        .member("a", 1, 0)
        .worked_on("a", 0, "r-0")
        .worked_on("a", 3, "r-3")
        .commits("a", 4);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn one_missed_record_is_told_once() {
    let story = reading().worked_on("a", 1, "r-1").commits("a", 2).worked_on("a", 2, "r-2").commits("a", 3);
    assert_eq!(story.violations(&CHECK).len(), 1);
}

#[test]
fn another_groups_work_does_not_count() {
    let other = seedlog::facts::Fact::GroupJoined {
        group: "audit".into(),
        consumer: "z".into(),
        session: SessionId(9),
        subscription: Default::default(),
    };
    let story = reading().fact("z", other).worked_on("z", 0, "r-0").commits("a", 1);
    assert_eq!(story.violations(&CHECK).len(), 1);
}

/// The log loses everything and grows again; `a` is reset to its end and ends so, `b` goes on at the old commit.
fn resumed_at_a_stale_commit(durability: Durability, end: impl Fn(Story) -> Story) -> Story {
    let story = Story::new().durability(durability).appended(0, 2, 1).member("a", 1, 2);
    let story = story.worked_on("a", 2, "r-2").commits("a", 3).power_failure().recovered(0, false);
    let story = end(story.reset("a", Some(3), 0, (0, 0)).sought("a", 0)).appended(0, 5, 2);
    story.member("b", 2, 3).worked_on("b", 3, "s-3").commits("b", 4)
}

#[test]
fn who_dies_before_it_can_commit_a_reset_leaves_a_stale_commit_where_the_log_was_lost() {
    let killed = |durability| resumed_at_a_stale_commit(durability, |story| story.killed("a"));
    assert!(killed(Durability::PageCache).violations(&CHECK).is_empty());
    assert_eq!(killed(Durability::PageCache).excused(&CHECK).len(), 1);
    assert_eq!(killed(Durability::Fsync).violations(&CHECK).len(), 1, "nothing may be lost");
}

#[test]
fn who_gives_a_partition_up_in_order_commits_a_reset_before() {
    let page_cache = Durability::PageCache;
    let silent = resumed_at_a_stale_commit(page_cache, |story| story.released("a"));
    assert_eq!(silent.violations(&CHECK).len(), 1);
    let cut_off = |story: Story| story.committing("a", 0).commit_failed("a", 0, true).released("a");
    assert!(resumed_at_a_stale_commit(page_cache, cut_off).violations(&CHECK).is_empty());
}

#[test]
fn a_way_back_that_could_not_be_committed_is_forgotten_and_one_that_was_is_not() {
    let back = || reading().sought("a", 2).commits("a", 2).sought("a", 0);
    let goes_on = |story: Story| {
        let story = story.member("b", 2, 2).worked_on("b", 2, "r-2").commits("b", 3);
        story.violations(&CHECK).len()
    };
    assert_eq!(goes_on(back()), 0);
    assert_eq!(goes_on(back().committing("a", 0).commit_failed("a", 0, true)), 0);
    assert_eq!(goes_on(back().commits("a", 0)), 1);
    assert_eq!(goes_on(back().released("a")), 1, "who gives it up in order says so first");
    assert_eq!(goes_on(back().committing("a", 0).commit_failed("a", 0, true).released("a")), 0);
}

#[test]
fn a_second_way_back_from_further_on_is_forgotten_as_well() {
    let first = reading().appended(3, 6, 1).worked_on("a", 0, "r-0").commits("a", 1).sought("a", 0);
    let made_up = first.worked_on("a", 0, "r-0").worked_on("a", 1, "r-1").worked_on("a", 2, "r-2");
    let second = made_up.committing("a", 3).sought("a", 2).committed("a", 3);
    let taken_over = second.member("b", 2, 3).worked_on("b", 3, "r-3").commits("b", 4);
    assert!(taken_over.violations(&CHECK).is_empty());
}

#[test]
fn a_way_forward_after_a_way_back_explains_what_it_jumps_over() {
    let back = reading().appended(3, 6, 1).sought("a", 2).commits("a", 2).sought("a", 0);
    let forward = back.sought("a", 5).worked_on("a", 5, "r-5").committing("a", 6).commit_failed("a", 6, true);
    let taken_over = forward.member("b", 2, 6).worked_on("b", 6, "r-6").commits("b", 7);
    assert!(taken_over.violations(&CHECK).is_empty());
}
