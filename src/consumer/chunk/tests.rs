use proptest::prelude::*;

use super::*;
use crate::record::{BatchBuilder, Compression};
use crate::types::{LeaderEpoch, Timestamp};

const FAR: Offset = Offset(1_000);

/// A batch of `count` records at `base`.
pub(crate) fn batch(base: i64, count: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    for offset in base..base + count {
        builder.push(Timestamp(1_000), None, Some(&offset.to_be_bytes()), &[]);
    }
    let mut bytes = builder.build().to_vec();
    record::patch(&mut bytes, Offset(base), LeaderEpoch(0));
    bytes
}

/// Flips a bit of the last record.
pub(crate) fn damaged(mut batch: Vec<u8>) -> Vec<u8> {
    *batch.last_mut().expect("a batch is not empty") ^= 1;
    batch
}

fn read(parts: &[Vec<u8>], from: i64) -> Chunk {
    verify(parts.concat().into(), Offset(from), FAR)
}

fn bases(chunk: &Chunk) -> Vec<i64> {
    let bases = chunk.parts.iter().filter_map(|part| match part {
        Part::Batch(batch) => Some(batch.header.base_offset.0),
        Part::Damage(_) => None,
    });
    bases.collect()
}

/// From where to where.
fn damages(chunk: &Chunk) -> Vec<(i64, i64)> {
    let damages = chunk.parts.iter().filter_map(|part| match part {
        Part::Batch(_) => None,
        Part::Damage(damage) => Some((damage.offset.0, damage.resume.0)),
    });
    damages.collect()
}

fn reason(chunk: &Chunk) -> &str {
    let reasons = chunk.parts.iter().find_map(|part| match part {
        Part::Batch(_) => None,
        Part::Damage(damage) => Some(damage.reason.as_str()),
    });
    reasons.expect("damage is seen")
}

/// States another base offset, which no CRC covers.
fn moved(mut batch: Vec<u8>, base: i64) -> Vec<u8> {
    batch[..8].copy_from_slice(&base.to_be_bytes());
    batch
}

#[test]
fn whole_batches_are_taken_and_a_partial_one_is_left_for_the_next_fetch() {
    let partial = batch(5, 5)[..40].to_vec();
    let chunk = read(&[batch(0, 3), batch(3, 2), partial], 0);
    assert_eq!((bases(&chunk), chunk.next, damages(&chunk)), (vec![0, 3], Offset(5), vec![]));
}

#[test]
fn the_batch_around_the_offset_asked_for_is_taken_and_earlier_ones_are_not() {
    let chunk = read(&[batch(0, 3), batch(3, 4)], 5);
    assert_eq!((bases(&chunk), chunk.next), (vec![3], Offset(7)));
}

#[test]
fn nothing_new_is_no_damage() {
    let chunk = verify(Bytes::new(), Offset(7), FAR);
    assert_eq!((chunk.next, damages(&chunk)), (Offset(7), vec![]));
}

#[test]
fn a_gap_is_no_damage() {
    let chunk = read(&[batch(2, 3), batch(9, 1)], 0);
    assert_eq!((bases(&chunk), chunk.next, damages(&chunk)), (vec![2, 9], Offset(10), vec![]));
}

#[test]
fn behind_damage_the_sound_batches_of_the_response_go_on() {
    let chunk = read(&[batch(0, 3), damaged(batch(3, 4)), batch(7, 1)], 0);
    assert_eq!((bases(&chunk), damages(&chunk), chunk.next), (vec![0, 7], vec![(3, 7)], Offset(8)));
    assert!(reason(&chunk).contains("CRC"), "{}", reason(&chunk));
}

#[test]
fn each_damaged_batch_is_told_apart() {
    let chunk = read(&[damaged(batch(0, 3)), damaged(batch(3, 4)), batch(7, 1)], 0);
    assert_eq!((bases(&chunk), damages(&chunk)), (vec![7], vec![(0, 3), (3, 7)]));
}

#[test]
fn at_the_end_of_a_chunk_the_damaged_header_tells_if_its_fields_agree() {
    assert_eq!(damages(&read(&[damaged(batch(3, 4))], 4)), [(4, 7)]);
}

#[test]
fn a_damaged_header_is_not_believed() {
    let mut bytes = batch(3, 4);
    bytes[26] = 200; // The last offset delta, and not the record count.
    assert_eq!(damages(&read(&[bytes.clone()], 3)), [(3, 4)]);

    bytes[60] = 201; // Both agree, and point behind the high watermark.
    assert_eq!(damages(&verify(bytes.into(), Offset(3), Offset(10))), [(3, 4)]);
}

#[test]
fn where_no_header_is_left_reading_goes_on_at_the_next_sound_batch() {
    for garbage in [vec![0; 30], vec![0; 300], vec![0xff; 300], vec![2; 300]] {
        let chunk = read(&[batch(0, 3), garbage.clone(), batch(7, 1), batch(8, 2)], 0);
        if chunk.next == Offset(3) {
            // It looks like a batch that did not fit: the next fetch begins there.
            let chunk = read(&[garbage, batch(7, 1), batch(8, 2)], 3);
            assert_eq!((bases(&chunk), damages(&chunk), chunk.next), (vec![7, 8], vec![(3, 7)], Offset(10)));
        } else {
            assert_eq!((bases(&chunk), damages(&chunk)), (vec![0, 7, 8], vec![(3, 7)]));
        }
    }
}

#[test]
fn a_length_that_is_wrong_hides_no_sound_batch() {
    let mut short = batch(3, 4);
    short[11] -= 5;
    let chunk = read(&[batch(0, 3), short, batch(7, 1)], 0);
    assert_eq!((bases(&chunk), damages(&chunk)), (vec![0, 7], vec![(3, 7)]));
}

#[test]
fn a_base_offset_that_leaves_its_place_is_damage_between_its_neighbours() {
    for (wrong, from) in [(1, 0), (500, 0), (FAR.0 + 3, 0), (-5, 0), (5, 0)] {
        let chunk = read(&[batch(0, 3), moved(batch(3, 4), wrong), batch(7, 1)], from);
        assert_eq!((bases(&chunk), damages(&chunk)), (vec![0, 7], vec![(3, 7)]), "moved to {wrong}");
    }
}

#[test]
fn damage_before_a_batch_that_cannot_be_there_leads_nobody_beyond_the_log() {
    let far_away = moved(batch(1, 1), 3_327_647_949_776_748_657);
    let mut unreadable = batch(0, 1);
    unreadable[60] = 9;
    let chunk = read(&[unreadable.clone(), far_away.clone(), batch(2, 1)], 0);
    assert_eq!((bases(&chunk), damages(&chunk)), (vec![2], vec![(0, 2)]));

    let chunk = read(&[unreadable, far_away], 0);
    assert_eq!((chunk.next, damages(&chunk)), (Offset(2), vec![(0, 1), (1, 2)]));
}

#[test]
fn as_much_damage_as_there_may_be_ends_with_the_log() {
    let parts = [damaged(batch(0, 1)), damaged(batch(1, 1)), damaged(batch(7, 1)), damaged(batch(8, 1))];
    let chunk = verify(parts.concat().into(), Offset(0), Offset(2));
    assert_eq!((chunk.next, damages(&chunk)), (Offset(2), vec![(0, 1), (1, 2)]));
}

#[test]
fn a_last_batch_whose_offsets_were_delivered_before_or_do_not_exist_yet_is_damage() {
    for wrong in [1, FAR.0, FAR.0 + 3] {
        let chunk = read(&[batch(0, 3), moved(batch(3, 4), wrong)], 0);
        assert_eq!((bases(&chunk), damages(&chunk)), (vec![0], vec![(3, 4)]), "moved to {wrong}");
    }
}

#[test]
fn a_batch_that_follows_the_one_before_without_a_gap_is_believed_before_the_one_behind_it() {
    let chunk = read(&[batch(0, 3), batch(3, 4), moved(batch(7, 1), 5), batch(8, 1)], 0);
    assert_eq!((bases(&chunk), damages(&chunk)), (vec![0, 3, 8], vec![(7, 8)]));
}

#[test]
fn a_response_without_a_whole_batch_is_damage_or_the_fetch_would_repeat_for_ever() {
    let truncated = batch(5, 5)[..40].to_vec();
    let mut negative = batch(5, 5);
    negative[8] = 0xff;
    let early = batch(0, 5);
    for bytes in [truncated, negative, early] {
        assert_eq!(damages(&read(&[bytes], 5)), [(5, 6)]);
    }
}

proptest! {
    /// Nobody goes on behind the log's end, to be reset from there, however much is damaged; and reading goes on.
    #[test]
    fn damage_leads_nobody_beyond_the_log(
        hits in proptest::collection::vec((0_usize..2_000, any::<u8>()), 0..12),
        from in 0_i64..40,
    ) {
        let mut bytes = (from / 5..8).flat_map(|n| batch(n * 5, 5)).collect::<Vec<u8>>();
        for (hit, value) in hits {
            let at = hit % bytes.len();
            bytes[at] = value;
        }
        let chunk = verify(bytes.into(), Offset(from), Offset(40));
        prop_assert!((from + 1..=40).contains(&chunk.next.0), "{:?}", chunk.next);
    }

    /// P19: whatever became of one byte, what is taken is in order, inside of the range asked for, and nothing
    /// that is sound and in its place is left out.
    #[test]
    fn nothing_sound_is_left_out_and_nothing_is_taken_twice(
        hit in 0_usize..2_000,
        mask in any::<u8>(),
        first in 0_i64..3,
    ) {
        let from = first * 5;
        let log: Vec<Vec<u8>> = (first..8).map(|n| batch(n * 5, 5)).collect();
        let mut bytes = log.concat();
        let hit = hit % bytes.len();
        bytes[hit] ^= mask;
        let starts = log.iter().scan(0, |at, batch| { *at += batch.len(); Some(*at - batch.len()) });
        let intact: Vec<i64> = starts
            .zip(&log)
            .enumerate()
            .filter(|(_, (at, batch))| bytes[*at..*at + batch.len()] == batch[..])
            .map(|(n, _)| (first + n as i64) * 5)
            .collect();
        let chunk = verify(bytes.into(), Offset(from), Offset(40));
        let mut next = from;
        for part in &chunk.parts {
            match part {
                Part::Batch(batch) => {
                    prop_assert!(batch.header.next_offset().0 > next);
                    prop_assert!(batch.header.base_offset.0 >= next || next == from);
                    next = batch.header.next_offset().0;
                }
                Part::Damage(damage) => {
                    prop_assert_eq!(damage.offset.0, next);
                    prop_assert!(damage.resume.0 > next);
                    next = damage.resume.0;
                }
            }
        }
        prop_assert_eq!(chunk.next.0, next);
        let taken = bases(&chunk);
        for base in intact.iter().filter(|base| **base < next) {
            prop_assert!(taken.contains(base), "{} of {:?} is left out: {:?}", base, intact, chunk.parts);
        }
    }
}

#[test]
fn at_the_last_offset_there_is_no_answer_that_could_be_true() {
    let last = Offset(i64::MAX);
    for chunk in [unreadable(last), verify(Bytes::from_static(b"nonsense"), last, last)] {
        assert_eq!(chunk.next, last);
        assert!(chunk.parts.is_empty());
    }
}
