use std::time::Duration;

use super::*;
use crate::record::header::{CRC_START, SIZE_BYTES};
use crate::record::{BatchBuilder, RecordHeader, records};

const SIZE_MAX: usize = 1 << 20;
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const RULES: RecordRules = RecordRules {
    validation: Validation::Records,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max: None,
    timestamp_after_max: None,
};
const HEADER_ONLY: RecordRules = RecordRules { validation: Validation::Header, ..RULES };

fn batch_of(codec: Compression, count: i64) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    for n in 0..count {
        let headers = [RecordHeader { key: Bytes::from_static(b"trace"), value: None }];
        builder.push(Timestamp(NOW.0 + n), Some(b"key"), Some(&[b'x'; 40]), &headers);
    }
    builder.build()
}

/// Changes the batch, then makes its length and CRC right again.
fn forged(batch: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let length = (bytes.len() - SIZE_BYTES) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_START..]);
    bytes[17..CRC_START].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

/// The batch with other records under the same header.
fn with_records(batch: &[u8], plain: &[u8]) -> Bytes {
    forged(batch, |bytes| {
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(plain);
    })
}

fn with_counts(batch: &[u8], count: i32) -> Bytes {
    forged(batch, |bytes| {
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
    })
}

fn refusal(batch: Bytes) -> BatchError {
    admit(batch, SIZE_MAX, &RULES, NOW).expect_err("the batch is to be refused")
}

/// One record with these bytes behind its length.
fn record(body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len() * 2).expect("a short record");
    [&[length], body].concat()
}

/// Attributes, timestamp delta, offset delta, no key, an empty value, no headers.
const PLAIN_RECORD: &[u8] = &[0, 0, 0, 1, 0, 0];

#[test]
fn what_clients_build_is_admitted_unchanged_in_every_codec() {
    for codec in Compression::ALL {
        let batch = batch_of(codec, 50);
        let admitted = admit(batch.clone(), SIZE_MAX, &RULES, NOW).expect("a sound batch");
        assert_eq!(admitted.bytes, batch, "{codec}");
        assert_eq!(admitted.header, BatchHeader::parse(&batch).expect("a header"));
        assert!(admitted.walked_bytes > 50 * 40, "{codec}: {}", admitted.walked_bytes);
    }
}

#[test]
fn counts_that_the_records_do_not_bear_out_are_refused() {
    for codec in Compression::ALL {
        let batch = batch_of(codec, 3);
        for count in [4, 1_000, i32::MAX] {
            let refused = refusal(with_counts(&batch, count));
            assert!(
                matches!(refused, BatchError::InvalidRecord { index: 3, .. }),
                "{codec}, {count}: {refused}"
            );
        }
        let refused = refusal(with_counts(&batch, 2));
        assert_eq!(refused, BatchError::Invalid("bytes follow the last record"), "{codec}");
    }
}

#[test]
fn where_only_the_header_counts_a_number_that_its_bytes_cannot_hold_is_refused() {
    let batch = batch_of(Compression::None, 3);
    let judged = |count| admit(with_counts(&batch, count), SIZE_MAX, &HEADER_ONLY, NOW);
    let most = (batch.len() - HEADER_BYTES) / 7;

    assert!(judged(most as i32).is_ok(), "only a walk would tell");
    for count in [most as i32 + 1, i32::MAX] {
        let refused = judged(count).expect_err("more than seven bytes each allow");
        assert_eq!(refused, BatchError::Invalid("more records than its bytes can hold"));
    }
}

#[test]
fn garbage_and_no_payload_at_all_are_refused() {
    let batch = batch_of(Compression::None, 1);
    assert!(matches!(refusal(with_records(&batch, b"")), BatchError::InvalidRecord { index: 0, .. }));
    for garbage in [&[0xff; 300][..], &[0; 300], &[0x80; 5], b"not a record at all"] {
        refusal(with_records(&batch, garbage));
    }
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let said = forged(&batch, |bytes| bytes[22] = codec as u8);
        let refused = refusal(said);
        assert!(
            matches!(refused, BatchError::Unpack(_) | BatchError::UnpackLimit { .. }),
            "{codec}: {refused}"
        );
    }
}

#[test]
fn a_record_whose_fields_do_not_fit_is_refused_with_its_number() {
    let batch = batch_of(Compression::None, 2);
    let sound = record(PLAIN_RECORD);
    let second = record(&[0, 0, 2, 1, 0, 0]);
    assert!(admit(with_records(&batch, &[&sound[..], &second].concat()), SIZE_MAX, &RULES, NOW).is_ok());
    for (what, body) in [
        ("no attributes", &[][..]),
        ("an offset delta that repeats", &[0, 0, 0, 1, 0, 0]),
        ("an offset delta that leaves a gap", &[0, 0, 4, 1, 0, 0]),
        ("a negative offset delta", &[0, 0, 1, 1, 0, 0]),
        ("a key length below -1", &[0, 0, 2, 3, 0, 0]),
        ("a key longer than the record", &[0, 0, 2, 40, 0, 0]),
        ("a value longer than the record", &[0, 0, 2, 1, 40, 0]),
        ("a negative number of headers", &[0, 0, 2, 1, 0, 1]),
        ("headers that are not there", &[0, 0, 2, 1, 0, 2]),
        ("a header without a key", &[0, 0, 2, 1, 0, 2, 1, 1]),
        ("a header key below -1", &[0, 0, 2, 1, 0, 2, 3, 1]),
        ("bytes behind the headers", &[0, 0, 2, 1, 0, 0, 0]),
        ("a varint that does not end", &[0, 0x80, 0x80]),
    ] {
        let refused = refusal(with_records(&batch, &[sound.clone(), record(body)].concat()));
        assert!(matches!(refused, BatchError::InvalidRecord { index: 1, .. }), "{what}: {refused}");
    }
    let negative = with_records(&batch, &[&sound[..], &[1]].concat());
    assert!(matches!(refusal(negative), BatchError::InvalidRecord { index: 1, .. }));
}

#[test]
fn a_false_largest_timestamp_is_corrected() {
    for codec in Compression::ALL {
        let sound = batch_of(codec, 3);
        for false_max in [0, NOW.0, NOW.0 + 1_000, i64::MAX] {
            let lie = forged(&sound, |bytes| bytes[35..43].copy_from_slice(&false_max.to_be_bytes()));
            let admitted = admit(lie, SIZE_MAX, &RULES, NOW).expect("corrected");
            assert_eq!(admitted.bytes, sound, "{codec}");
            assert_eq!(admitted.header.max_timestamp, Timestamp(NOW.0 + 2));
        }
    }
}

#[test]
fn timestamps_are_held_against_the_topics_bounds() {
    let rules = RecordRules {
        timestamp_before_max: Some(Duration::from_millis(100)),
        timestamp_after_max: Some(Duration::from_millis(1)),
        ..RULES
    };
    let at = |timestamps: &[i64]| {
        let mut builder = BatchBuilder::new(Compression::None);
        timestamps.iter().for_each(|at| builder.push(Timestamp(*at), None, None, &[]));
        admit(builder.build(), SIZE_MAX, &rules, NOW)
    };
    assert!(at(&[NOW.0 - 100, NOW.0, NOW.0 + 1, -1]).is_ok());
    for (timestamps, guilty) in [([NOW.0 - 101, NOW.0], 0), ([NOW.0, NOW.0 + 2], 1), ([NOW.0, -2], 1)] {
        let refused = at(&timestamps).expect_err("out of range");
        assert!(
            matches!(refused, BatchError::InvalidTimestamp { index, .. } if index == guilty),
            "{refused}"
        );
    }
    let header_only = RecordRules { validation: Validation::Header, ..rules };
    let late = batch_of(Compression::None, 3);
    assert!(admit(late, SIZE_MAX, &header_only, NOW).is_err(), "the largest timestamp is in the header");
}

#[test]
fn a_producer_sets_neither_the_time_of_the_append_nor_an_offset() {
    let batch = batch_of(Compression::None, 3);
    let stamped = stamp(&batch, NOW).1;
    let elsewhere = forged(&batch, |bytes| bytes[7] = 9);
    for rules in [RULES, HEADER_ONLY] {
        let refused = admit(stamped.clone(), SIZE_MAX, &rules, NOW).expect_err("refused");
        assert_eq!(refused, BatchError::LogAppendTimeOfProducer);
        assert!(matches!(admit(elsewhere.clone(), SIZE_MAX, &rules, NOW), Err(BatchError::Invalid(_))));
    }
}

#[test]
fn a_stamped_batch_is_sound_and_all_its_records_have_the_time_of_the_append() {
    for codec in Compression::ALL {
        let append = Timestamp(NOW.0 + 77);
        let (header, bytes) = stamp(&batch_of(codec, 3), append);
        assert_eq!(validate(&bytes, SIZE_MAX), Ok(header), "{codec}");
        for record in records(&bytes, SIZE_MAX).expect("readable") {
            assert_eq!(record.expect("readable").timestamp, append);
        }
    }
}

#[test]
fn with_the_header_alone_nothing_inside_is_looked_at() {
    let garbage = with_records(&batch_of(Compression::None, 1), b"garbage");
    let admitted = admit(garbage.clone(), SIZE_MAX, &HEADER_ONLY, NOW).expect("taken");
    assert_eq!((admitted.bytes, admitted.walked_bytes), (garbage, 0));
}

#[test]
fn a_bomb_is_refused_at_the_bound() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let mut builder = BatchBuilder::new(codec);
        builder.push(NOW, None, Some(&vec![0; 4 << 20]), &[]);
        let bomb = builder.build();
        assert!(bomb.len() < 256 << 10, "{codec}: {}", bomb.len());
        let limit = unpacked_bytes_max(bomb.len());
        let refused = admit(bomb.clone(), bomb.len(), &RULES, NOW);
        if limit < 4 << 20 {
            assert_eq!(refused.expect_err("too large"), BatchError::UnpackLimit { limit }, "{codec}");
        }
        assert!(admit(bomb, SIZE_MAX, &RULES, NOW).is_ok(), "{codec}: within the bound of larger batches");
    }
}
