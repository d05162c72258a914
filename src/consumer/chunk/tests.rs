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
    chunk.batches.iter().map(|batch| batch.header.base_offset.0).collect()
}

#[test]
fn whole_batches_are_taken_and_a_partial_one_is_left_for_the_next_fetch() {
    let partial = batch(5, 5)[..40].to_vec();
    let chunk = read(&[batch(0, 3), batch(3, 2), partial], 0);
    assert_eq!((bases(&chunk), chunk.next, chunk.damage), (vec![0, 3], Offset(5), None));
}

#[test]
fn the_batch_around_the_offset_asked_for_is_taken_and_earlier_ones_are_not() {
    let chunk = read(&[batch(0, 3), batch(3, 4)], 5);
    assert_eq!((bases(&chunk), chunk.next), (vec![3], Offset(7)));
}

#[test]
fn nothing_new_is_no_damage() {
    let chunk = verify(Bytes::new(), Offset(7), FAR);
    assert_eq!((chunk.next, chunk.damage), (Offset(7), None));
}

#[test]
fn damage_ends_the_chunk_and_the_next_sound_batch_tells_where_it_ends() {
    let chunk = read(&[batch(0, 3), damaged(batch(3, 4)), batch(7, 1)], 0);
    let damage = chunk.damage.as_ref().expect("damage is seen");
    assert_eq!((bases(&chunk), damage.offset, damage.resume), (vec![0], Offset(3), Offset(7)));
    assert!(damage.reason.contains("CRC"), "{}", damage.reason);
}

#[test]
fn at_the_end_of_a_chunk_the_damaged_header_tells_if_its_fields_agree() {
    let damage = read(&[damaged(batch(3, 4))], 4).damage.expect("damage is seen");
    assert_eq!((damage.offset, damage.resume), (Offset(4), Offset(7)));
}

#[test]
fn a_damaged_header_is_not_believed() {
    let mut bytes = batch(3, 4);
    bytes[26] = 200; // The last offset delta, and not the record count.
    let damage = read(&[bytes.clone()], 3).damage.expect("damage is seen");
    assert_eq!((damage.offset, damage.resume), (Offset(3), Offset(4)));

    bytes[60] = 201; // Both agree, and point behind the high watermark.
    let damage = verify(bytes.into(), Offset(3), Offset(10)).damage.expect("damage is seen");
    assert_eq!(damage.resume, Offset(4));
}

#[test]
fn a_response_without_a_whole_batch_is_damage_or_the_fetch_would_repeat_for_ever() {
    let truncated = batch(5, 5)[..40].to_vec();
    let mut negative = batch(5, 5);
    negative[8] = 0xff;
    let early = batch(0, 5);
    for bytes in [truncated, negative, early] {
        let damage = read(&[bytes], 5).damage.expect("damage is seen");
        assert_eq!((damage.offset, damage.resume), (Offset(5), Offset(6)));
    }
}
