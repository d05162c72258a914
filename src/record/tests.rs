//! Batches as a whole: what is built reads back, what is broken is refused.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::types::{LeaderEpoch, Offset, ProducerId, Timestamp};

const SIZE_MAX: usize = 1 << 20;
const UNPACKED_MAX: usize = 4 << 20;

fn batch_of(compression: Compression, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for n in 0..count {
        let value = format!("value number {n}");
        builder.push(Timestamp(1000 + n as i64), Some(b"key"), Some(value.as_bytes()), &[]);
    }
    builder.build()
}

/// Changes the batch and makes its CRC right again.
fn forged(batch: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[CRC_START..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

fn refusal(batch: &Bytes) -> BatchError {
    validate(batch, SIZE_MAX).expect_err("the batch is to be refused")
}

#[test]
fn golden_bytes_of_a_batch_of_one() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp(0x0102), Some(b"k"), Some(b"v"), &[]);
    let batch = builder.build();
    let expected = [
        "0000000000000000", // base offset
        "0000003a",         // length: 70 bytes in all
        "ffffffff",         // leader epoch
        "02",               // magic
        "CRC",
        "0000",             // attributes
        "00000000",         // last offset delta
        "0000000000000102", // base timestamp
        "0000000000000102", // max timestamp
        "ffffffffffffffff", // producer id
        "ffff",             // producer epoch
        "ffffffff",         // base sequence
        "00000001",         // record count
        "10",               // record length 8
        "00000002",         // attributes, timestamp delta, offset delta, key length
        "6b",
        "02",
        "76",
        "00",
    ];
    let crc = format!("{:08x}", crc32c::crc32c(&batch[21..]));
    let expected = expected.concat().replace("CRC", &crc);
    let actual: String = batch.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(actual, expected);
}

#[test]
fn a_patched_batch_keeps_its_crc() {
    let mut batch = batch_of(Compression::None, 3).to_vec();
    let prefix = patched_prefix(&batch, Offset(77), LeaderEpoch(5));
    patch(&mut batch, Offset(77), LeaderEpoch(5));
    assert_eq!(batch[..PREFIX_BYTES], prefix);
    let header = validate(&batch, SIZE_MAX).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (Offset(77), LeaderEpoch(5)));
    assert_eq!((header.last_offset(), header.next_offset()), (Offset(79), Offset(80)));
}

#[test]
fn a_batch_with_a_wrong_field_is_refused() {
    let good = batch_of(Compression::None, 3);
    assert!(validate(&good, SIZE_MAX).is_ok());
    let set = |at: usize, bytes: &[u8]| forged(&good, |b| b[at..at + bytes.len()].copy_from_slice(bytes));
    let minus_one = [0xff; 4];

    assert_eq!(refusal(&good.slice(..60)), BatchError::Truncated { need: 61, have: 60 });
    let (size, short) = (good.len(), good.len() - 1);
    assert_eq!(refusal(&good.slice(..short)), BatchError::Truncated { need: size, have: short });
    assert_eq!(refusal(&[&good[..], b"x"].concat().into()), BatchError::TrailingBytes { extra: 1 });
    assert_eq!(validate(&good, size - 1), Err(BatchError::TooLarge { size, limit: size - 1 }));
    assert_eq!(refusal(&set(16, &[1])), BatchError::UnsupportedMagic(1));
    assert!(matches!(refusal(&set(8, &minus_one)), BatchError::Invalid(_)), "length");
    assert!(matches!(refusal(&set(57, &[0; 4])), BatchError::Invalid(_)), "no records");
    assert!(matches!(refusal(&set(57, &minus_one)), BatchError::Invalid(_)), "negative count");
    assert!(matches!(refusal(&set(23, &[0, 0, 0, 9])), BatchError::Invalid(_)), "delta");
    assert!(matches!(refusal(&set(23, &minus_one)), BatchError::Invalid(_)), "negative delta");
    assert_eq!(refusal(&set(21, &[0, 7])), BatchError::UnknownCompression(7));
    assert!(matches!(refusal(&set(21, &[0, 0x20])), BatchError::Invalid(_)), "control");
    assert!(matches!(refusal(&set(21, &[0, 0x10])), BatchError::Invalid(_)), "transaction of nobody");
    assert!(matches!(refusal(&set(43, &[0; 8])), BatchError::Invalid(_)), "producer without epoch");
    assert!(matches!(refusal(&set(43, &[0x80; 8])), BatchError::Invalid(_)), "negative producer");
}

#[test]
fn an_idempotent_producers_batch_is_accepted() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp(1), None, None, &[]);
    builder.producer(ProducerId(9), 0, 41);
    let header = validate(&builder.build(), SIZE_MAX).unwrap();
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (ProducerId(9), 0, 41));
}

#[test]
fn a_changed_byte_anywhere_under_the_crc_is_noticed() {
    let good = batch_of(Compression::None, 2);
    for at in CRC_START..good.len() {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x10;
        assert!(validate(&bytes, SIZE_MAX).is_err(), "byte {at}");
    }
}

#[test]
fn batches_are_cut_apart_and_a_partial_tail_ends_them() {
    let (a, b) = (batch_of(Compression::None, 1), batch_of(Compression::Lz4, 50));
    let both: Bytes = [&a[..], &b[..]].concat().into();
    let whole: Vec<_> = batches(both.clone()).collect::<Result<_, _>>().unwrap();
    assert_eq!(whole, [a.clone(), b.clone()]);
    for cut in [both.len() - 1, a.len() + 61, a.len() + 60, a.len() + 5] {
        let partial = both.slice(..cut);
        assert_eq!(batches(partial.clone()).collect::<Vec<_>>(), [Ok(a.clone())]);
        let exact: Vec<_> = batches_exact(partial).collect();
        assert_eq!(exact[0], Ok(a.clone()));
        assert!(matches!(exact[1], Err(BatchError::Truncated { .. })), "{exact:?}");
    }
}

#[test]
fn duplicate_header_keys_are_kept_in_order() {
    let header = |key: &'static [u8], value: Option<&'static [u8]>| RecordHeader {
        key: Bytes::from_static(key),
        value: value.map(Bytes::from_static),
    };
    let headers = [header(b"a", Some(b"1")), header(b"b", None), header(b"a", Some(b"2"))];
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.push(Timestamp(1), None, Some(b"v"), &headers);
    let read: Vec<_> = records(&builder.build(), UNPACKED_MAX).unwrap().collect();
    assert_eq!(read[0].as_ref().unwrap().headers, headers);
}

#[test]
fn log_append_time_replaces_every_timestamp() {
    let batch = forged(&batch_of(Compression::None, 3), |bytes| bytes[22] |= 0x08);
    for record in records(&batch, UNPACKED_MAX).unwrap() {
        assert_eq!(record.unwrap().timestamp, Timestamp(1002));
    }
}

#[test]
fn records_that_lie_about_their_number_are_refused() {
    let good = batch_of(Compression::None, 3);
    for count in [2_i32, 4, i32::MAX] {
        let batch = forged(&good, |bytes| bytes[57..61].copy_from_slice(&count.to_be_bytes()));
        let read: Vec<_> = records(&batch, UNPACKED_MAX).unwrap().collect();
        assert!(read.last().unwrap().is_err(), "{count}");
    }
}

#[test]
fn a_batch_that_unpacks_beyond_the_limit_is_refused() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    builder.push(Timestamp(1), None, Some(&vec![0; 10 << 20]), &[]);
    let batch = builder.build();
    assert!(batch.len() < 10_000);
    assert_eq!(records(&batch, SIZE_MAX).err(), Some(BatchError::UnpackLimit { limit: SIZE_MAX }));
    let plain = batch_of(Compression::None, 3);
    assert_eq!(records(&plain, 10).err(), Some(BatchError::UnpackLimit { limit: 10 }));
}

type Parts = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn record_parts() -> impl Strategy<Value = Parts> {
    let bytes = || option::of(vec(any::<u8>(), 0..300));
    (any::<i64>(), bytes(), bytes(), vec(("[a-c]{0,2}", option::of(vec(any::<u8>(), 0..8))), 0..4))
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(&Compression::ALL[..])
}

fn headers_of(parts: &Parts) -> Vec<RecordHeader> {
    let header = |(key, value): &(String, Option<Vec<u8>>)| RecordHeader {
        key: Bytes::from(key.clone()),
        value: value.clone().map(Bytes::from),
    };
    parts.3.iter().map(header).collect()
}

/// Reads everything that can be read; only a panic is wrong.
fn read_all(bytes: &Bytes) -> usize {
    let mut seen = usize::from(validate(bytes, SIZE_MAX).is_ok());
    for batch in batches(bytes.clone()).chain(batches_exact(bytes.clone())).flatten() {
        if let Ok(records) = records(&batch, 1 << 18) {
            seen += records.filter(|record| record.is_ok()).count();
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_is_read(codec in codec(), parts in vec(record_parts(), 1..40)) {
        let mut builder = BatchBuilder::new(codec);
        for part in &parts {
            let headers = headers_of(part);
            builder.push(Timestamp(part.0), part.1.as_deref(), part.2.as_deref(), &headers);
        }
        let batch = builder.build();
        let header = validate(&batch, SIZE_MAX).unwrap();
        prop_assert_eq!(header.record_count as usize, parts.len());
        prop_assert_eq!(header.max_timestamp.0, parts.iter().map(|p| p.0).max().unwrap());
        let read: Vec<Record> = records(&batch, UNPACKED_MAX).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), parts.len());
        for (n, (record, part)) in read.iter().zip(&parts).enumerate() {
            prop_assert_eq!(record.offset, Offset(n as i64));
            prop_assert_eq!(record.timestamp, Timestamp(part.0));
            prop_assert_eq!(record.key.as_deref(), part.1.as_deref());
            prop_assert_eq!(record.value.as_deref(), part.2.as_deref());
            prop_assert_eq!(&record.headers, &headers_of(part));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        read_all(&bytes.into());
    }

    #[test]
    fn arbitrary_records_under_a_good_header_never_panic(
        codec in codec(), count in 1_i32..5, body in vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = batch_of(Compression::None, 1)[..HEADER_BYTES].to_vec();
        bytes.extend_from_slice(&body);
        let batch = forged(&bytes.into(), |bytes| {
            let length = (bytes.len() - SIZE_BYTES) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[21..23].copy_from_slice(&codec.to_attributes().to_be_bytes());
            bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
            bytes[57..61].copy_from_slice(&count.to_be_bytes());
        });
        prop_assert!(validate(&batch, SIZE_MAX).is_ok());
        read_all(&batch);
    }

    #[test]
    fn flipped_bits_never_panic(
        codec in codec(), flips in vec((any::<prop::sample::Index>(), 0_u8..8), 1..6), fix_crc: bool,
    ) {
        let good = batch_of(codec, 200);
        let flip = |bytes: &mut Vec<u8>| for (at, bit) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        };
        let bad = if fix_crc { forged(&good, flip) } else {
            let mut bytes = good.to_vec();
            flip(&mut bytes);
            bytes.into()
        };
        read_all(&bad);
    }
}
