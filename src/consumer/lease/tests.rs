use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::types::Timestamp;

const NOW: Instant = Instant::START;
const END: Offset = Offset(1_000);

/// Of records at these offsets, and behind them a gap until 1,000.
pub(crate) fn portion(partition: TopicPartition, offsets: &[i64]) -> Portion {
    let records = offsets.iter().map(|offset| Record {
        offset: Offset(*offset),
        timestamp: Timestamp(0),
        key: None,
        value: None,
        headers: Vec::new(),
    });
    Portion::new(partition, records.collect(), END, 0)
}

fn of(offsets: &[i64]) -> Portion {
    portion(TopicPartition::new("t", 0), offsets)
}

fn next(portion: &mut Portion) -> Option<i64> {
    portion.next(|| NOW).map(|record| record.offset.0)
}

#[test]
fn the_position_is_the_next_record_and_behind_the_last_one_the_end() {
    let mut portion = of(&[3, 4, 9]);
    let mut positions = vec![portion.lease.position().0];
    while next(&mut portion).is_some() {
        positions.push(portion.lease.position().0);
    }
    assert_eq!(positions, [3, 4, 9, 1_000]);
    assert!(portion.lease.is_exhausted() && !portion.has_more());
}

#[test]
fn nothing_comes_out_of_a_lease_that_ended() {
    let mut portion = of(&[3, 4]);
    assert_eq!(next(&mut portion), Some(3));
    portion.lease.end();
    assert!(!portion.has_more());
    assert_eq!((next(&mut portion), portion.lease.position()), (None, Offset(4)));
    assert_eq!(portion.lease.delivered().end(), Some(Offset(4)));
}

#[test]
fn the_last_record_of_a_lease_that_ended_can_still_be_finished() {
    let mut portion = of(&[3, 4]);
    next(&mut portion);
    portion.lease.end();
    assert_eq!(portion.finish_last(), Some(Offset(3)));
}

#[test]
fn marks_of_a_forgotten_lease_do_not_count_and_its_records_still_come() {
    let mut portion = of(&[3, 4]);
    next(&mut portion);
    portion.lease.forget();
    assert_eq!(portion.finish_last(), None);
    assert_eq!(next(&mut portion), Some(4));
}

#[test]
fn a_record_is_finished_once_and_only_after_it_was_handed_out() {
    let mut portion = of(&[3, 4]);
    assert!(!portion.lease.finish(Offset(3)));
    next(&mut portion);
    assert!(portion.lease.finish(Offset(3)));
    assert!(!portion.lease.finish(Offset(3)));
    assert_eq!(portion.finish_last(), None);
    assert!(!portion.lease.finish(Offset(5)), "there is no such record");
}

#[test]
fn records_wait_while_the_gate_is_closed() {
    let mut portion = of(&[3, 4]);
    let later = NOW + Duration::from_secs(1);
    portion.open(Some(later));
    assert_eq!(next(&mut portion), Some(3));
    assert_eq!(portion.next(|| later), None);
    assert!(portion.has_more());
    portion.open(None);
    assert_eq!(portion.next(|| later).map(|record| record.offset), Some(Offset(4)));
}

#[test]
fn no_more_records_come_than_are_allowed() {
    let mut portion = of(&[3, 4, 5]);
    portion.allow(1);
    assert_eq!((next(&mut portion), next(&mut portion)), (Some(3), None));
    portion.allow(1);
    assert_eq!((next(&mut portion), next(&mut portion)), (Some(4), None));
}

/// What becomes of a lease.
#[derive(Clone, Debug)]
enum Step {
    Next,
    Finish(i64),
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Next),
        8 => (0_i64..200).prop_map(Step::Finish),
        1 => Just(Step::End),
    ]
}

proptest! {
    /// Against a list of what was handed out and a list of what was finished.
    #[test]
    fn a_lease_counts_as_two_lists_do(steps in prop::collection::vec(step(), 1..400)) {
        let offsets: Vec<i64> = (0..150).map(|n| n + n / 7).collect();
        let mut portion = of(&offsets);
        let (mut out, mut finished, mut has_ended) = (Vec::new(), Vec::new(), false);
        for step in steps {
            match step {
                Step::Next => {
                    let expected = offsets.get(out.len()).copied().filter(|_| !has_ended);
                    prop_assert_eq!(next(&mut portion), expected);
                    out.extend(expected);
                }
                Step::Finish(offset) => {
                    let is_news = out.contains(&offset) && !finished.contains(&offset);
                    prop_assert_eq!(portion.lease.finish(Offset(offset)), is_news);
                    finished.extend(Some(offset).filter(|_| is_news));
                }
                Step::End => {
                    portion.lease.end();
                    has_ended = true;
                }
            }
            let left: Vec<i64> = portion.lease.delivered().unfinished().map(|offset| offset.0).collect();
            let expected: Vec<i64> = out.iter().copied().filter(|offset| !finished.contains(offset)).collect();
            prop_assert_eq!(left, expected);
            prop_assert_eq!(portion.lease.delivered().end().map(|end| end.0 - 1), out.last().copied());
        }
    }
}
