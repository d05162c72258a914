//! Hostile batches: what the broker admits every consumer can read; nothing panics, and nothing holds more memory
//! than the batch and what it may unpack to.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use seedlog::record::{
    self, BatchBuilder, BatchHeader, CRC_START, Compression, HEADER_BYTES, Record, RecordHeader, RecordRules,
    SIZE_BYTES, admit, records, unpacked_bytes_max,
};
use seedlog::types::{Offset, Timestamp};

mod counting_allocator;

use counting_allocator::peak_of;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Batches of the tests are smaller.
const BATCH_BYTES_MAX: usize = 64 << 10;
/// A copy of the batch (a corrected timestamp), what is unpacked (a buffer that doubles holds one and a half), and what
/// the codecs need of their own: lz4 blocks of 4 MiB, in and out, and the 64 KiB before them.
const CODEC_BYTES_MAX: usize = 13 << 20;
const HELD_BYTES_MAX: usize = BATCH_BYTES_MAX + BATCH_BYTES_MAX * 16 * 3 / 2 + CODEC_BYTES_MAX;
/// Without compression nothing but that copy, and an error's text.
const HELD_BYTES_PLAIN: usize = 1024;

type Parts = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn parts() -> impl Strategy<Value = Vec<Parts>> {
    let bytes = || option::of(vec(any::<u8>(), 0..150));
    let headers = vec(("[a-c]{0,2}", option::of(vec(any::<u8>(), 0..8))), 0..4);
    vec((0_i64..1_000, bytes(), bytes(), headers), 1..12)
}

fn built(codec: Compression, parts: &[Parts]) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    for (later, key, value, headers) in parts {
        let headers: Vec<RecordHeader> = headers
            .iter()
            .map(|(key, value)| RecordHeader {
                key: Bytes::from(key.clone()),
                value: value.clone().map(Bytes::from),
            })
            .collect();
        builder.push(Timestamp(NOW.0 + later), key.as_deref(), value.as_deref(), &headers);
    }
    builder.build()
}

/// Makes length and CRC right again.
fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let length = (bytes.len() - SIZE_BYTES) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_START..]);
    bytes[17..CRC_START].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// Where the lengths, counts and deltas of an uncompressed batch stand: of the header's counts, and of every record.
fn places_of_numbers(batch: &[u8]) -> Vec<usize> {
    let mut places: Vec<usize> = (23..27).chain(57..61).collect();
    let mut at = HEADER_BYTES;
    let varint = |at: &mut usize, places: &mut Vec<usize>| {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = batch[*at];
            places.push(*at);
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return (value >> 1) as i64 ^ -((value & 1) as i64);
            }
        }
    };
    while at < batch.len() {
        varint(&mut at, &mut places);
        at += 1; // Attributes.
        for _ in 0..2 {
            varint(&mut at, &mut places);
        }
        for _ in 0..2 {
            at += varint(&mut at, &mut places).max(0) as usize;
        }
        for _ in 0..varint(&mut at, &mut places) * 2 {
            at += varint(&mut at, &mut places).max(0) as usize;
        }
    }
    places
}

/// Asks the broker's check, and holds what it admits against what consumers read.
fn judge(batch: &Bytes) -> bool {
    let is_plain = BatchHeader::parse(batch).is_ok_and(|h| h.compression() == Ok(Compression::None));
    let rules = RecordRules::default();
    let (held, admitted) = peak_of(|| admit(batch.clone(), BATCH_BYTES_MAX, &rules, NOW));
    let allowed = if is_plain { batch.len() + HELD_BYTES_PLAIN } else { HELD_BYTES_MAX };
    assert!(held <= allowed, "{held} bytes held, {allowed} allowed, for a batch of {}", batch.len());
    let Ok(admitted) = admitted else { return false };
    let unpacked_max = unpacked_bytes_max(BATCH_BYTES_MAX);
    let read: Vec<Record> = records(&admitted.bytes, unpacked_max)
        .expect("an admitted batch unpacks")
        .collect::<Result<_, _>>()
        .expect("every record of an admitted batch can be read");
    let header = admitted.header;
    assert_eq!(read.len() as i64, i64::from(header.record_count), "as many as the header says");
    let offsets: Vec<Offset> = read.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (0..read.len() as i64).map(Offset).collect::<Vec<_>>(), "without a gap");
    let largest = read.iter().map(|record| record.timestamp).max();
    assert_eq!(largest, Some(header.max_timestamp), "look-ups by time find it");
    record::check_crc(&header, &admitted.bytes).expect("what is stored has a true CRC");
    let found = record::first_record_at(&admitted.bytes, &header, header.max_timestamp, unpacked_max);
    let first = read.iter().find(|record| record.timestamp == header.max_timestamp);
    assert_eq!(found, Ok(first.map(|record| (record.offset, record.timestamp))));
    true
}

fn codec() -> impl Strategy<Value = Compression> {
    select(&Compression::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn sound_batches_are_admitted(codec in codec(), parts in parts()) {
        prop_assert!(judge(&built(codec, &parts)));
    }

    #[test]
    fn a_false_number_is_refused_or_all_read_the_same(
        parts in parts(), at: Index, change in 1_u8..=255, packed_by in codec(),
    ) {
        let sound = built(Compression::None, &parts);
        let places = places_of_numbers(&sound);
        let mut bytes = sound.to_vec();
        bytes[places[at.index(places.len())]] ^= change;
        judge(&sealed(bytes.clone()));
        // The same lie, packed.
        judge(&packed(&bytes, packed_by));
    }

    #[test]
    fn flipped_bits_of_packed_records_are_refused_or_all_read_the_same(
        codec in codec(), parts in parts(), flips in vec((any::<Index>(), 0_u8..8), 1..4),
    ) {
        let mut bytes = built(codec, &parts).to_vec();
        for (at, bit) in flips {
            let at = CRC_START + at.index(bytes.len() - CRC_START);
            bytes[at] ^= 1 << bit;
        }
        judge(&sealed(bytes));
    }

    #[test]
    fn arbitrary_records_are_refused_or_all_read_the_same(
        codec in codec(), count in 1_i32..4, body in vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = built(Compression::None, &[(0, None, None, vec![])])[..HEADER_BYTES].to_vec();
        bytes[22] = codec as u8;
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&body);
        judge(&sealed(bytes));
    }
}

/// The same header and records, the records packed by `codec`.
fn packed(batch: &[u8], codec: Compression) -> Bytes {
    let plain = &batch[HEADER_BYTES..];
    let mut bytes = batch[..HEADER_BYTES].to_vec();
    bytes[22] = codec as u8;
    bytes.extend_from_slice(&packed_bytes(codec, plain));
    sealed(bytes)
}

fn packed_bytes(codec: Compression, plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    match codec {
        Compression::None => plain.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(plain).expect("memory takes it");
            encoder.finish().expect("memory takes it")
        }
        Compression::Snappy => snap::raw::Encoder::new().compress_vec(plain).expect("small enough"),
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(plain).expect("memory takes it");
            encoder.finish().expect("memory takes it")
        }
        Compression::Zstd => zstd::stream::encode_all(plain, 1).expect("memory takes it"),
    }
}

#[test]
fn a_claim_of_two_billion_records_costs_nothing() {
    for codec in Compression::ALL {
        let mut bytes = built(codec, &[(0, None, Some(vec![7; 100]), vec![])]).to_vec();
        bytes[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(!judge(&sealed(bytes)), "{codec}");
    }
}

#[test]
fn lengths_that_lie_about_gigabytes_cost_nothing() {
    let two_gigabytes = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let record = [&two_gigabytes[..], &[0; 6]].concat();
    let key = [&[24][..], &[0, 0, 0], &two_gigabytes, &[0; 4]].concat();
    for plain in [record, key] {
        let mut bytes = built(Compression::None, &[(0, None, None, vec![])])[..HEADER_BYTES].to_vec();
        bytes.extend_from_slice(&plain);
        assert!(!judge(&sealed(bytes)));
    }
}
