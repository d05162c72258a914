//! One direction, step by step.

use std::time::Duration;

use super::*;

const WINDOW: u64 = 100;

fn ms(ms: u64) -> Instant {
    Instant::START + Duration::from_millis(ms)
}

fn flow() -> Flow {
    Flow::new(LinkLatency { floor: Duration::ZERO, mean: Duration::ZERO })
}

fn send(flow: &mut Flow, at: u64, text: &'static str) {
    let arrival = flow.arrival(ms(at));
    flow.push(arrival, Item::Data(Bytes::from_static(text.as_bytes())));
}

fn read(flow: &mut Flow, now: u64) -> String {
    let mut buffer = BytesMut::new();
    flow.take(ms(now), 1_000, &mut buffer);
    String::from_utf8(buffer.to_vec()).unwrap()
}

#[test]
fn segments_never_overtake_each_other() {
    let mut flow = flow();
    send(&mut flow, 20, "slow");
    send(&mut flow, 10, "fast");

    assert_eq!(flow.next_arrival(), Some(ms(20)));
    assert_eq!(read(&mut flow, 19), "");
    assert_eq!(read(&mut flow, 20), "slowfast");
}

#[test]
fn a_read_stops_at_its_limit_within_a_segment() {
    let mut flow = flow();
    send(&mut flow, 1, "abcdef");

    let mut buffer = BytesMut::new();
    assert_eq!(flow.take(ms(1), 4, &mut buffer), Taken::Bytes(4));
    assert_eq!(flow.take(ms(1), 4, &mut buffer), Taken::Bytes(2));
    assert_eq!(flow.take(ms(1), 4, &mut buffer), Taken::Nothing);
    assert_eq!(&buffer[..], b"abcdef");
}

#[test]
fn the_end_is_read_after_all_bytes_and_stays() {
    let mut flow = flow();
    send(&mut flow, 1, "a");
    flow.push(flow.arrival(ms(2)), Item::Fin);

    let mut buffer = BytesMut::new();
    assert_eq!(flow.take(ms(2), 9, &mut buffer), Taken::Bytes(1));
    assert_eq!(flow.take(ms(2), 9, &mut buffer), Taken::End);
    assert_eq!(flow.take(ms(3), 9, &mut buffer), Taken::End);
}

#[test]
fn room_comes_back_when_the_update_arrives() {
    let mut flow = flow();
    flow.push(ms(1), Item::Data(Bytes::from(vec![0; 90])));
    assert_eq!(flow.room(WINDOW, ms(1)), 10);

    assert_eq!(flow.count_read(24, WINDOW), None, "not worth an update yet");
    let bytes = flow.count_read(66, WINDOW).expect("most of the window");
    flow.push_update(ms(5), bytes);

    assert_eq!(flow.room(WINDOW, ms(4)), 10);
    assert_eq!(flow.next_update(), Some(ms(5)));
    assert_eq!(flow.room(WINDOW, ms(5)), 100);
}

#[test]
fn a_cut_holds_what_has_not_arrived_and_all_behind_it() {
    let mut flow = flow();
    send(&mut flow, 10, "a");
    send(&mut flow, 20, "b");
    flow.hold(ms(15));
    flow.forward_open = true;
    send(&mut flow, 30, "c");

    assert_eq!(read(&mut flow, 1_000), "a");
    assert_eq!(flow.next_arrival(), None);
    assert_eq!(flow.release(ms(2_000)), Some(ms(2_000)));
    assert_eq!(read(&mut flow, 2_000), "bc");
    assert_eq!(flow.release(ms(3_000)), None, "nothing is held any more");
}

#[test]
fn a_reset_that_a_cut_swallows_is_not_sent_again() {
    let mut flow = flow();
    send(&mut flow, 10, "a");
    flow.push(flow.arrival(ms(20)), Item::Rst);
    flow.hold(ms(5));
    assert_eq!(flow.release(ms(50)), Some(ms(50)));
    assert!(!flow.has_reset());
}

#[test]
fn a_closed_way_holds_what_is_sent() {
    let mut flow = flow();
    flow.forward_open = false;
    assert_eq!(flow.arrival(ms(1)), HELD);
}

#[test]
fn starvation_is_counted_from_the_first_thing_unacknowledged() {
    let mut flow = flow();
    flow.expect_ack(ms(10), ms(5));
    assert!(flow.is_unacknowledged(ms(9)) && !flow.is_unacknowledged(ms(10)));

    // Cut, sent again, and cut again before the acknowledgement: one starvation.
    assert_eq!(flow.starve(ms(7)), Some(ms(7)));
    assert_eq!(flow.starve(ms(8)), None, "it starves already");
    flow.end_starvation(ms(50));
    assert_eq!(flow.starve(ms(40)), Some(ms(7)));

    // Acknowledged in between: another one.
    flow.end_starvation(ms(50));
    assert_eq!(flow.starve(ms(60)), Some(ms(60)));
}

#[test]
fn a_failed_receiver_reads_what_had_arrived_and_the_rest_strays() {
    let mut flow = flow();
    send(&mut flow, 10, "here");
    send(&mut flow, 20, "late");
    assert_eq!(flow.keep_arrived_data(ms(15)), Some(ms(20)));

    assert_eq!(read(&mut flow, 30), "here");
    assert!(flow.take_strays(ms(30)));
    assert!(!flow.take_strays(ms(30)), "once");
}

#[test]
fn an_abandoned_flow_calls_for_a_reset_only_for_what_matters() {
    let mut flow = flow();
    send(&mut flow, 10, "unread");
    flow.push(flow.arrival(ms(20)), Item::Fin);
    assert!(flow.has_unread(ms(10)) && !flow.has_unread(ms(9)));
    assert_eq!(flow.abandon(ms(15)), None, "an end on its way needs no answer");

    send(&mut flow, 30, "lost");
    assert_eq!(flow.abandon(ms(25)), Some(ms(30)));
}

#[test]
fn of_what_a_dying_machine_sent_a_prefix_survives() {
    let mut flow = flow();
    send(&mut flow, 10, "a");
    send(&mut flow, 20, "b");
    send(&mut flow, 30, "c");
    assert_eq!(flow.in_flight(ms(10)), 2);
    flow.lose_in_flight(ms(10), 1);
    assert_eq!(read(&mut flow, 100), "ab");
}

#[test]
fn who_gives_up_forgets_what_is_held_but_not_what_travels() {
    let mut flow = flow();
    send(&mut flow, 10, "a");
    flow.forward_open = false;
    send(&mut flow, 20, "b");
    flow.forget_held();
    assert_eq!(flow.release(ms(50)), None);
    assert_eq!(read(&mut flow, 100), "a");
}

#[test]
fn a_cut_of_the_way_back_holds_the_updates_on_it() {
    let mut flow = flow();
    flow.push(ms(1), Item::Data(Bytes::from(vec![0; 90])));
    flow.push_update(ms(5), 30);
    flow.push_update(ms(15), 30);
    flow.hold_updates(ms(10));
    assert!(flow.has_held_updates());
    assert_eq!(flow.room(WINDOW, ms(1_000)), 40);

    flow.release_updates(ms(2_000));
    assert!(!flow.has_held_updates());
    assert_eq!(flow.room(WINDOW, ms(2_000)), 70);
}
