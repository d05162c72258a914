//! Our client and our one-server ZooKeeper, told as scenarios, on the simulated and on the real machine. The
//! same scenarios are told to a real ZooKeeper by `zookeeper_real`.

mod cluster_metadata;
#[cfg(not(feature = "real-runtime"))]
mod crashes;
mod harness;
mod hostile;
mod leaders;
mod persistence;
mod proxy;
mod raw;
mod stories;
mod wire;

use harness::{tell, with_directory};

#[test]
fn nodes_are_made_read_changed_and_deleted() {
    let seen = tell(stories::nodes);
    let refused = seen.iter().filter(|line| line.starts_with("Err(")).count();
    assert_eq!(refused, 10, "{seen:#?}");
}

#[test]
fn a_sequence_number_counts_what_was_ever_made() {
    let seen = tell(stories::sequences);
    let first = [
        "/queue/n-0000000000",
        "/queue/e-0000000001",
        "/queue/plain",
        "/queue/0000000003",
        "/queue/n-0000000004",
    ];
    assert_eq!(seen[..5], first);
}

#[test]
fn a_multi_happens_whole_or_not_at_all() {
    let seen = tell(stories::multis);
    assert_eq!(seen[1..5], ["Err(BadVersion)", "Err(NodeExists)", "Err(NotEmpty)", r#"Ok(["a", "b"])"#]);
}

#[test]
fn a_watch_tells_of_the_next_change() {
    let seen = tell(stories::watches);
    let expected = [
        "DataChanged",
        "Created ChildrenChanged",
        "Deleted Deleted",
        "Deleted ChildrenChanged",
        "Err(NoNode)",
        "DataChanged DataChanged",
        "SessionLost",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_cut_connection_costs_nothing_but_time() {
    let seen = tell(stories::reattachment);
    let expected =
        ["DataChanged Created ChildrenChanged", r#"Ok(["mine", "new"])"#, "DataChanged", "Ok(None)"];
    assert_eq!(seen, expected);
}

#[test]
fn a_silent_server_among_others_costs_no_session() {
    tell(hostile::one_silent_server);
}

#[test]
fn a_session_unheard_for_its_timeout_is_over_and_its_client_is_told() {
    let seen = tell(stories::expiry);
    assert_eq!(seen, ["Ok([])", "2 more changes of children", "SessionLost", "Err(SessionExpired)"]);
}

#[test]
fn closing_ends_a_session_and_dropping_leaves_it_to_expire() {
    let seen = tell(stories::endings);
    assert_eq!(seen, ["Ok(None)", "Err(Closed)", "Ok(true)"]);
}

#[test]
fn data_passes_up_to_the_limit() {
    let seen = tell(stories::sizes);
    assert!(seen[3].starts_with("Err(TooLarge"), "{seen:?}");
}

#[test]
fn an_event_comes_before_the_reply_of_the_write_that_caused_it() {
    let seen = tell(wire::events_and_replies);
    let position = |start: &str| seen.iter().position(|line| line.starts_with(start)).expect(start);
    assert!(position("event DataChanged /wire") < position("@2 c1 m2"), "{seen:#?}");
    assert_eq!(seen.iter().filter(|line| line.contains("Deleted /wire/a")).count(), 1);
}

#[test]
fn a_failed_multi_tells_each_operations_code() {
    let seen = tell(wire::multi_codes);
    assert!(
        seen.iter().any(|line| line.ends_with(
            "[Error(ErrorCode(0)); Error(ErrorCode(-103)); \
             Error(ErrorCode(-2)); Error(ErrorCode(-2))]"
        )),
        "{seen:#?}"
    );
}

#[test]
fn a_session_can_move_and_only_with_its_password() {
    let seen = tell(wire::attaching);
    assert!(seen.contains(&"the old connection: None".to_owned()), "{seen:#?}");
    assert_eq!(seen.iter().filter(|line| *line == "Some(0x0)").count(), 3);
}

#[test]
fn hostile_frames_end_their_connection_and_nothing_else() {
    let seen = tell(wire::hostile_frames);
    assert_eq!(seen[..2], ["None", "None"]);
}

#[test]
fn four_letter_words_are_answered() {
    assert_eq!(tell(wire::four_letter_words), ["imok", "Mode: standalone"]);
}

#[test]
fn random_operations_do_something() {
    let seen = tell(|at| wire::random_operations(at, 1));
    assert!(seen.iter().any(|line| line.contains("event")), "{seen:#?}");
}

#[test]
fn a_cluster_has_one_id_and_nobody_gets_anothers_producer_ids() {
    let blocks = tell(cluster_metadata::ids);
    let expected: Vec<_> = (0..10).map(|n| format!("{}..{}", n * 1_000, (n + 1) * 1_000)).collect();
    assert_eq!(blocks, expected);
}

#[test]
fn a_brokers_id_is_its_own_while_its_session_lives() {
    tell(cluster_metadata::brokers);
}

#[test]
fn a_topic_is_made_and_deleted_in_one_step() {
    tell(cluster_metadata::topics);
}

#[test]
fn however_many_ask_for_a_leader_epoch_each_gets_one_of_its_own() {
    tell(cluster_metadata::leader_epochs);
}

#[test]
fn cut_connections_lose_replies_but_never_the_truth() {
    tell(cluster_metadata::lost_replies);
}

#[test]
fn a_client_that_has_seen_more_than_any_server_learns_that_its_session_is_over() {
    tell(persistence::a_past_that_was_restored);
}

#[test]
fn a_server_that_saves_comes_back_as_it_was() {
    with_directory(|directory| tell(move |at| persistence::restarts(at, directory.clone())));
}

#[test]
fn a_corrupt_snapshot_stops_the_start() {
    with_directory(|directory| tell(move |at| persistence::corruption(at, directory.clone())));
}

#[test]
fn many_writes_at_once_are_all_saved() {
    with_directory(|directory| tell(move |at| persistence::group_commit(at, directory.clone())));
}

#[test]
fn a_saved_session_expires_a_timeout_after_the_restart() {
    with_directory(|directory| tell(move |at| persistence::orphans(at, directory.clone())));
}

#[test]
fn a_follower_without_a_leader_keeps_no_session_alive() {
    tell(leaders::cut_follower);
}

#[test]
fn a_follower_that_comes_back_in_time_costs_a_connection() {
    tell(leaders::follower_that_comes_back);
}

#[test]
fn a_client_survives_a_server_that_lies_and_finds_an_honest_one() {
    tell(hostile::liar);
}

#[test]
fn whatever_follows_the_end_of_a_session_it_is_the_end() {
    tell(hostile::nonsense_behind_the_end);
}
