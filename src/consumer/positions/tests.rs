mod turns;

use proptest::prelude::*;

use super::super::ConsumedRecord;
use super::super::chunk::tests::{batch, damaged};
use super::*;
use crate::record;
use crate::types::Timestamp;

const LIMITS: Limits = Limits {
    unpacked_bytes_max: 1 << 20,
    on_corruption: OnCorruption::Fail,
    auto_reset: AutoReset::Earliest,
};
/// The only reader.
const ONE: Reader = Reader(0);
const BUFFER: usize = 1 << 20;
const NOW: Instant = Instant::START;
const END: Offset = Offset(1_000);

fn name(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

fn assigned(limits: Limits, starts: &[StartPosition]) -> Positions {
    let mut positions = Positions::new(limits);
    positions.assign((0..).map(name).zip(starts.iter().copied()).collect());
    positions
}

fn at_zero(limits: Limits) -> Positions {
    assigned(limits, &[StartPosition::At(Offset(0))])
}

fn fetches(positions: &mut Positions) -> Vec<PartitionRequest<Offset>> {
    positions.take_fetches(|_| true, NOW, BUFFER).requests
}

/// Fetches the only partition, which answers `parts`.
fn fetch(positions: &mut Positions, parts: &[Vec<u8>]) -> Offset {
    let asked = fetches(positions).pop().expect("the partition wants data");
    positions.fetched(&asked, parts.concat().into(), END);
    asked.target
}

/// What a reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Taken {
    Record(ConsumedRecord),
    Event(Event),
}

/// Up to so many records, handed out as soon as they are handed over.
fn take(positions: &mut Positions, reader: Reader, records_max: usize) -> Result<Vec<Taken>, ConsumeError> {
    let mut taken = Vec::new();
    let mut room = records_max;
    while room > 0 {
        positions.settle(reader);
        let grant = match positions.lease(reader, room) {
            Ok(grant) => grant,
            Err(error) if taken.is_empty() => return Err(error),
            Err(_) => break,
        };
        let is_over = grant.portion.is_none() && grant.events.is_empty();
        taken.extend(grant.events.into_iter().map(Taken::Event));
        let mut portion = grant.portion;
        while let Some(record) = portion.as_mut().and_then(|portion| portion.next(|| NOW)) {
            taken.push(Taken::Record(record));
            room -= 1;
        }
        if is_over {
            break;
        }
    }
    positions.settle(reader);
    Ok(taken)
}

fn records(taken: &[Taken]) -> Vec<ConsumedRecord> {
    let delivered = taken.iter().filter_map(|taken| match taken {
        Taken::Record(record) => Some(record.clone()),
        Taken::Event(_) => None,
    });
    delivered.collect()
}

fn offsets(taken: Result<Vec<Taken>, ConsumeError>) -> Vec<i64> {
    records(&taken.expect("nothing is stuck")).iter().map(|record| record.offset.0).collect()
}

fn failed(positions: &mut Positions, asked: &PartitionRequest<Offset>, failure: Failure) {
    positions.failed(asked, failure, NOW, |_| Duration::from_secs(1));
}

/// Answers the two questions of a reset.
fn look_up_ends(positions: &mut Positions, log_start: Offset, log_end: Offset) -> Vec<Event> {
    let mut ask = |place| {
        let lookup = positions.take_lookups(|_| true, NOW).pop().expect("an end is looked up");
        assert_eq!(lookup.target, place);
        positions.found(&lookup, Some(if place == LogPlace::Earliest { log_start } else { log_end }))
    };
    assert!(ask(LogPlace::Earliest).is_empty());
    ask(LogPlace::Latest)
}

#[test]
fn records_before_the_position_are_not_handed_out() {
    let mut positions = assigned(LIMITS, &[StartPosition::At(Offset(2))]);
    fetch(&mut positions, &[batch(0, 5)]);
    assert_eq!(offsets(take(&mut positions, ONE, 10)), [2, 3, 4]);
    assert_eq!(positions.position(&name(0)), Some(Offset(5)));
}

#[test]
fn the_position_moves_with_delivery_and_not_with_prefetching() {
    let mut positions = at_zero(LIMITS);
    fetch(&mut positions, &[batch(0, 3)]);
    assert_eq!(positions.position(&name(0)), Some(Offset(0)));
    assert_eq!(offsets(take(&mut positions, ONE, 2)), [0, 1]);
    assert_eq!(positions.position(&name(0)), Some(Offset(2)));
    assert_eq!(fetches(&mut positions)[0].target, Offset(3), "fetching is ahead of delivery");
}

#[test]
fn a_partition_is_asked_one_thing_at_a_time_and_not_beyond_its_share_of_the_buffer() {
    let mut positions = at_zero(LIMITS);
    let asked = fetches(&mut positions).pop().expect("the partition wants data");
    assert!(fetches(&mut positions).is_empty());
    positions.fetched(&asked, batch(0, 3).into(), END);
    let plan = positions.take_fetches(|_| true, NOW, 10);
    assert_eq!(plan, FetchPlan { requests: vec![], some_are_full: true });
    take(&mut positions, ONE, 10).expect("nothing is stuck");
    assert_eq!(positions.take_fetches(|_| true, NOW, 10).requests.len(), 1);
}

#[test]
fn a_seek_drops_what_was_prefetched_and_what_is_on_its_way() {
    let mut positions = at_zero(LIMITS);
    fetch(&mut positions, &[batch(0, 3)]);
    let stale = fetches(&mut positions).pop().expect("the partition wants data");
    let events = positions.seek(&name(0), StartPosition::At(Offset(1))).expect("assigned");
    assert!(matches!(events[..], [Event::Seeked { position: Offset(1), .. }]));
    positions.fetched(&stale, batch(3, 3).into(), END);
    assert!(offsets(take(&mut positions, ONE, 10)).is_empty());
    assert_eq!(fetch(&mut positions, &[batch(0, 3)]), Offset(1));
    assert_eq!(offsets(take(&mut positions, ONE, 10)), [1, 2]);
}

#[test]
fn a_portion_hands_out_nothing_once_its_partition_is_sought_given_up_or_assigned_anew() {
    let ends: [fn(&mut Positions); 5] = [
        |positions| assert!(positions.seek(&name(0), StartPosition::At(Offset(1))).is_some()),
        |positions| drop(positions.remove(&BTreeSet::from([name(0)]))),
        |positions| assert_eq!(positions.assign(vec![(name(0), StartPosition::Latest)]), []),
        |positions| assert!(positions.add(vec![(name(0), ONE, Begin::Reset)]).is_empty()),
        |positions| positions.end_leases(),
    ];
    for end in ends {
        let mut positions = at_zero(LIMITS);
        fetch(&mut positions, &[batch(0, 3)]);
        let mut portion = positions.lease(ONE, 10).expect("nothing is stuck").portion.expect("records");
        assert_eq!(portion.next(|| NOW).map(|record| record.offset), Some(Offset(0)));
        end(&mut positions);
        assert_eq!(portion.next(|| NOW), None);
        assert_eq!(portion.lease.delivered().end(), Some(Offset(1)), "it is known what came out");
    }
}

#[test]
fn a_portion_is_of_one_partition_and_of_as_many_batches_as_it_takes_before_damage() {
    let mut positions = assigned(LIMITS, &[StartPosition::At(Offset(0)); 2]);
    for (asked, last) in fetches(&mut positions).iter().zip([damaged(batch(7, 1)), Vec::new()]) {
        let log = [batch(0, 3), batch(3, 2), batch(5, 2), last];
        positions.fetched(asked, log.concat().into(), END);
    }
    let mut lease = |records_max| {
        let grant = positions.lease(ONE, records_max).expect("nothing is stuck");
        let mut portion = grant.portion.expect("records");
        let offsets = std::iter::from_fn(|| portion.next(|| NOW)).map(|record| record.offset.0);
        (offsets.collect::<Vec<_>>(), portion.partition.partition)
    };
    assert_eq!(lease(4), (vec![0, 1, 2, 3], 0));
    assert_eq!(lease(10), ((0..7).collect(), 1));
    assert_eq!(lease(10), (vec![4, 5, 6], 0));
    let error = positions.lease(ONE, 10).expect_err("one is stuck");
    assert!(matches!(error, ConsumeError::Corrupt { offset: Offset(7), .. }), "{error}");
}

#[test]
fn records_count_as_buffered_until_the_portion_with_them_is_handed_out() {
    let mut positions = at_zero(LIMITS);
    fetch(&mut positions, &[batch(0, 3)]);
    let mut portion = positions.lease(ONE, 10).expect("nothing is stuck").portion.expect("records");
    portion.next(|| NOW);
    assert!(positions.settle(ONE).is_empty());
    assert!(positions.take_fetches(|_| true, NOW, 10).some_are_full);
    while portion.next(|| NOW).is_some() {}
    assert_eq!(positions.settle(ONE), [name(0)]);
    assert_eq!(positions.take_fetches(|_| true, NOW, 10).requests.len(), 1);
}

#[test]
fn a_log_that_lost_its_end_is_looked_at_only_once_the_portion_is_handed_out() {
    let mut positions = at_zero(LIMITS);
    fetch(&mut positions, &[batch(0, 3)]);
    let mut portion = positions.lease(ONE, 10).expect("nothing is stuck").portion.expect("records");
    let lost = |positions: &mut Positions| {
        let asked = fetches(positions).pop().expect("the partition wants more");
        positions.failed(&asked, Failure::OutOfRange, NOW, |_| Duration::ZERO);
    };
    lost(&mut positions);
    assert_eq!(positions.position(&name(0)), Some(Offset(0)));
    while portion.next(|| NOW).is_some() {}
    lost(&mut positions);
    let events = look_up_ends(&mut positions, Offset(0), Offset(1));
    assert!(matches!(events[0], Event::PositionReset { to: Offset(0), .. }), "{events:?}");
    assert_eq!(positions.position(&name(0)), Some(Offset(0)));
}

#[test]
fn a_seek_of_what_is_not_assigned_is_refused() {
    assert_eq!(at_zero(LIMITS).seek(&name(9), StartPosition::Earliest), None);
}

#[test]
fn corruption_is_reported_by_every_poll_once_all_before_it_was_delivered() {
    let mut positions = at_zero(LIMITS);
    fetch(&mut positions, &[batch(0, 3), damaged(batch(3, 2)), batch(5, 1)]);
    assert_eq!(offsets(take(&mut positions, ONE, 10)), [0, 1, 2]);
    for _ in 0..2 {
        let error = take(&mut positions, ONE, 10).expect_err("the partition is stuck");
        assert!(matches!(error, ConsumeError::Corrupt { offset: Offset(3), .. }), "{error}");
    }
    assert_eq!(positions.position(&name(0)), Some(Offset(3)));
    assert!(fetches(&mut positions).is_empty());
    positions.seek(&name(0), StartPosition::At(Offset(5)));
    fetch(&mut positions, &[batch(5, 1)]);
    assert_eq!(offsets(take(&mut positions, ONE, 10)), [5]);
}

#[test]
fn corruption_is_skipped_and_stated_where_the_policy_says_so() {
    let mut positions = at_zero(Limits { on_corruption: OnCorruption::Skip, ..LIMITS });
    fetch(&mut positions, &[batch(0, 3), damaged(batch(3, 2)), batch(5, 1)]);
    assert_eq!(fetch(&mut positions, &[batch(6, 1)]), Offset(6));
    let events = take(&mut positions, ONE, 10).expect("nothing is stuck");
    assert!(
        matches!(&events[3], Taken::Event(Event::CorruptSkipped { damage, .. }) if damage.offset == Offset(3)),
        "{events:?}"
    );
    assert_eq!(records(&events).iter().map(|r| r.offset.0).collect::<Vec<_>>(), [0, 1, 2, 5, 6]);
}

#[test]
fn what_the_broker_cannot_read_is_passed_over_offset_by_offset_and_no_further_than_the_buffer_has_room() {
    let mut positions = at_zero(Limits { on_corruption: OnCorruption::Skip, ..LIMITS });
    for offset in 0..2 {
        let asked = positions.take_fetches(|_| true, NOW, 200).requests.pop().expect("there is room");
        assert_eq!(asked.target, Offset(offset));
        positions.unreadable(&asked);
    }
    assert!(positions.take_fetches(|_| true, NOW, 200).some_are_full);
    let grant = positions.lease(ONE, 10).expect("nothing is stuck");
    assert_eq!((grant.events.len(), grant.has_room), (2, vec![name(0)]));
    assert_eq!(fetch(&mut positions, &[batch(2, 1)]), Offset(2));
    assert_eq!(offsets(take(&mut positions, ONE, 10)), [2]);
}

#[test]
fn damage_that_shows_only_while_unpacking_keeps_the_whole_batch_back() {
    let mut positions = at_zero(Limits { unpacked_bytes_max: 0, ..LIMITS });
    let mut builder = record::BatchBuilder::new(record::Compression::Zstd);
    builder.push(crate::types::Timestamp(0), None, Some(&[0; 100]), &[]);
    fetch(&mut positions, &[builder.build().to_vec()]);
    let error = take(&mut positions, ONE, 10).expect_err("the batch unpacks to too much");
    assert!(matches!(error, ConsumeError::Corrupt { offset: Offset(0), .. }), "{error}");
}

#[test]
fn an_offset_out_of_range_is_reset_with_its_reason() {
    let mut positions = assigned(LIMITS, &[StartPosition::At(Offset(50))]);
    let asked = fetches(&mut positions).pop().expect("the partition wants data");
    failed(&mut positions, &asked, Failure::OutOfRange);
    assert_eq!(positions.position(&name(0)), None);
    let events = look_up_ends(&mut positions, Offset(7), Offset(40));
    let reset = Event::PositionReset {
        partition: name(0),
        from: Some(Offset(50)),
        to: Offset(7),
        log_start: Offset(7),
        log_end: Offset(40),
    };
    assert_eq!(events[0], reset);
    let Event::Seeked { position: Offset(7), reason, .. } = &events[1] else { panic!("{events:?}") };
    assert!(reason.contains("50"), "{reason}");
    assert_eq!(fetches(&mut positions)[0].target, Offset(7));
}

#[test]
fn a_position_that_the_log_has_after_all_is_kept() {
    let mut positions = assigned(LIMITS, &[StartPosition::At(Offset(50))]);
    let asked = fetches(&mut positions).pop().expect("the partition wants data");
    failed(&mut positions, &asked, Failure::OutOfRange);
    assert!(look_up_ends(&mut positions, Offset(7), Offset(50)).is_empty());
    assert_eq!(fetches(&mut positions)[0].target, Offset(50));
}

#[test]
fn a_partition_taken_on_without_a_position_begins_where_the_reset_says() {
    let mut positions = Positions::new(Limits { auto_reset: AutoReset::Latest, ..LIMITS });
    assert!(positions.add(vec![(name(0), ONE, Begin::Reset)]).is_empty());
    let events = look_up_ends(&mut positions, Offset(7), Offset(40));
    let reset = Event::PositionReset {
        partition: name(0),
        from: None,
        to: Offset(40),
        log_start: Offset(7),
        log_end: Offset(40),
    };
    assert_eq!(events, [reset, Event::Assigned(name(0), Offset(40))]);
}

#[test]
fn without_a_reset_policy_a_missing_position_is_an_error_until_a_seek() {
    let mut positions = Positions::new(Limits { auto_reset: AutoReset::None, ..LIMITS });
    positions.add(vec![(name(0), ONE, Begin::Reset)]);
    assert_eq!(take(&mut positions, ONE, 1), Err(ConsumeError::NoPosition { partition: name(0) }));
    assert_eq!(positions.position(&name(0)), None);
    positions.seek(&name(0), StartPosition::At(Offset(3)));
    assert_eq!(positions.position(&name(0)), Some(Offset(3)));
}

#[test]
fn a_time_that_the_log_has_not_reached_leads_to_the_end_as_it_was_before_the_question() {
    let time = Timestamp(9);
    for (found, position) in [(None, 9), (Some(Offset(4)), 4)] {
        let mut positions = assigned(LIMITS, &[StartPosition::Time(time)]);
        let lookup = positions.take_lookups(|_| true, NOW).pop().expect("the end is looked up");
        assert_eq!(lookup.target, LogPlace::EndBefore(time));
        assert!(positions.found(&lookup, Some(Offset(9))).is_empty());
        let lookup = positions.take_lookups(|_| true, NOW).pop().expect("the time is looked up");
        assert_eq!(lookup.target, LogPlace::Time { time, end: Offset(9) });
        assert_eq!(positions.found(&lookup, found), [Event::Assigned(name(0), Offset(position))]);
    }
}

#[test]
fn additions_and_removals_leave_the_other_partitions_as_they_are() {
    let mut positions = at_zero(LIMITS);
    fetch(&mut positions, &[batch(0, 3)]);
    positions.add(vec![(name(1), Reader(1), Begin::At(Offset(4)))]);
    assert_eq!(offsets(take(&mut positions, Reader(1), 10)), [0_i64; 0]);
    assert_eq!(offsets(take(&mut positions, ONE, 1)), [0]);
    positions.remove(&BTreeSet::from([name(1)]));
    assert_eq!(offsets(take(&mut positions, ONE, 10)), [1, 2]);
    assert_eq!(positions.position(&name(1)), None);
}

#[test]
fn without_a_reset_policy_an_offset_out_of_range_is_an_error_until_a_seek() {
    let limits = Limits { auto_reset: AutoReset::None, ..LIMITS };
    let mut positions = assigned(limits, &[StartPosition::At(Offset(50))]);
    let asked = fetches(&mut positions).pop().expect("the partition wants data");
    failed(&mut positions, &asked, Failure::OutOfRange);
    let expected = ConsumeError::OutOfRange { partition: name(0), offset: Offset(50) };
    assert_eq!(take(&mut positions, ONE, 1), Err(expected));
    positions.seek(&name(0), StartPosition::Earliest);
    assert_eq!(take(&mut positions, ONE, 1), Ok(vec![]));
}

#[test]
fn what_was_fetched_before_the_log_lost_its_end_is_delivered_before_the_reset() {
    let mut positions = at_zero(LIMITS);
    fetch(&mut positions, &[batch(0, 3)]);
    let asked = fetches(&mut positions).pop().expect("the partition wants more");
    failed(&mut positions, &asked, Failure::OutOfRange);
    assert_eq!(offsets(take(&mut positions, ONE, 10)), [0, 1, 2]);
}

#[test]
fn a_failure_waits_before_the_next_question() {
    let mut positions = at_zero(LIMITS);
    let asked = fetches(&mut positions).pop().expect("the partition wants data");
    failed(&mut positions, &asked, Failure::Transient);
    assert!(fetches(&mut positions).is_empty());
    let due = positions.next_due(|_| true, NOW).expect("it will ask again");
    assert_eq!(positions.take_fetches(|_| true, due, BUFFER).requests.len(), 1);
}

#[test]
fn an_assignment_to_an_end_is_stated_when_the_end_is_known() {
    let mut positions = Positions::new(LIMITS);
    assert!(positions.assign(vec![(name(0), StartPosition::Latest)]).is_empty());
    let lookup = positions.take_lookups(|_| true, NOW).pop().expect("the end is looked up");
    assert_eq!(positions.found(&lookup, Some(Offset(9))), [Event::Assigned(name(0), Offset(9))]);
    assert!(positions.found(&lookup, Some(Offset(9))).is_empty(), "an answer counts once");
}

/// One thing that happens to a consumer of a log.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    /// Answers the oldest request with so many bytes of the log.
    Answer(usize),
    Fail,
    Take(usize),
    Seek(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        4 => (0_usize..2_000).prop_map(Step::Answer),
        1 => Just(Step::Fail),
        4 => (1_usize..20).prop_map(Step::Take),
        1 => (0_i64..60).prop_map(Step::Seek),
    ]
}

const LOG_END: i64 = 60;

/// What a broker sends from its log of batches of five: whole batches around and behind `from`.
fn log_from(from: Offset, bytes_max: usize) -> Vec<u8> {
    let batches = (0..LOG_END / 5).map(|n| batch(n * 5, 5)).skip((from.0 / 5) as usize);
    let mut bytes = Vec::new();
    for batch in batches {
        bytes.extend(batch);
        if bytes.len() >= bytes_max {
            bytes.truncate(bytes_max.max(batch_bytes()));
            break;
        }
    }
    bytes
}

fn batch_bytes() -> usize {
    batch(0, 5).len()
}

proptest! {
    /// P18, and nothing missed: every record handed out is the next one, unless the application sought.
    #[test]
    fn delivery_is_gapless_between_seeks(steps in prop::collection::vec(step(), 1..150)) {
        let mut positions = at_zero(LIMITS);
        let mut asked: Vec<PartitionRequest<Offset>> = Vec::new();
        let mut expected = 0;
        let mut portion: Option<Portion> = None;
        for step in steps {
            match step {
                Step::Ask => asked.extend(positions.take_fetches(|_| true, NOW, 1_000).requests),
                Step::Answer(bytes_max) if !asked.is_empty() => {
                    let asked = asked.remove(0);
                    positions.fetched(&asked, log_from(asked.target, bytes_max).into(), Offset(LOG_END));
                }
                Step::Fail if !asked.is_empty() => {
                    let asked = asked.remove(0);
                    positions.failed(&asked, Failure::Transient, NOW, |_| Duration::ZERO);
                }
                Step::Answer(_) | Step::Fail => {}
                Step::Take(records_max) => {
                    if portion.as_ref().is_none_or(|portion| !portion.has_more()) {
                        positions.settle(ONE);
                        portion = positions.lease(ONE, 7).expect("nothing is stuck").portion;
                    }
                    for _ in 0..records_max {
                        let Some(record) = portion.as_mut().and_then(|p| p.next(|| NOW)) else { break };
                        prop_assert_eq!(record.offset.0, expected);
                        expected += 1;
                    }
                    prop_assert_eq!(positions.position(&name(0)), Some(Offset(expected)));
                }
                Step::Seek(to) => {
                    positions.seek(&name(0), StartPosition::At(Offset(to)));
                    expected = to;
                }
            }
        }
    }
}
