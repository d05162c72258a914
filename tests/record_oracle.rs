//! Our record batches against those of the `kafka-protocol` crate: each reads what the other wrote, and
//! uncompressed batches are the same bytes. Header keys are unique here: the crate loses duplicates.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use seedlog::record::{self, BatchBuilder, Compression, Record, RecordHeader, RecordRules};
use seedlog::types::{Offset, ProducerId, Timestamp};

const UNPACKED_MAX: usize = 16 << 20;

/// A batch's producer fields and records.
#[derive(Clone, Debug)]
struct Story {
    producer: Option<(i64, i16, i32)>,
    records: Vec<Record>,
}

fn stories() -> impl Strategy<Value = Story> {
    let bytes = || option::of(vec(any::<u8>(), 0..2000).prop_map(Bytes::from));
    let headers = btree_map("[a-z]{0,8}", option::of(vec(any::<u8>(), 0..20)), 0..4);
    let record = (0_i64..100_000, bytes(), bytes(), headers);
    let producer = option::of((0_i64..1 << 40, 0_i16..100, 0_i32..1000));
    (producer, 0_i64..1 << 50, vec(record, 1..60)).prop_map(|(producer, start, parts)| {
        let mut timestamp = start;
        let mut records = Vec::new();
        for (n, (later, key, value, headers)) in parts.into_iter().enumerate() {
            // Rising timestamps: the crate takes the smallest as the base, we (as Java does) the first.
            timestamp += later;
            let headers = headers
                .into_iter()
                .map(|(key, value)| RecordHeader { key: Bytes::from(key), value: value.map(Bytes::from) });
            let headers = headers.collect();
            records.push(Record {
                offset: Offset(n as i64),
                timestamp: Timestamp(timestamp),
                key,
                value,
                headers,
            });
        }
        Story { producer, records }
    })
}

fn built_by_us(story: &Story, codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    if let Some((id, epoch, sequence)) = story.producer {
        builder.producer(ProducerId(id), epoch, sequence);
    }
    for record in &story.records {
        builder.push(record.timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
    }
    builder.build()
}

fn their_codec(codec: Compression) -> theirs::Compression {
    match codec {
        Compression::None => theirs::Compression::None,
        Compression::Gzip => theirs::Compression::Gzip,
        Compression::Snappy => theirs::Compression::Snappy,
        Compression::Lz4 => theirs::Compression::Lz4,
        Compression::Zstd => theirs::Compression::Zstd,
    }
}

fn their_records(story: &Story) -> Vec<theirs::Record> {
    let (producer_id, producer_epoch, base_sequence) = story.producer.unwrap_or((-1, -1, -1));
    let text = |key: &Bytes| StrBytes::from_string(String::from_utf8(key.to_vec()).unwrap());
    let convert = |record: &Record| theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch,
        timestamp_type: theirs::TimestampType::Creation,
        offset: record.offset.0,
        sequence: base_sequence + record.offset.0 as i32,
        timestamp: record.timestamp.0,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().map(|h| (text(&h.key), h.value.clone())).collect::<IndexMap<_, _>>(),
    };
    story.records.iter().map(convert).collect()
}

fn built_by_them(story: &Story, codec: Compression) -> Bytes {
    let options = theirs::RecordEncodeOptions { version: 2, compression: their_codec(codec) };
    let mut out = BytesMut::new();
    theirs::RecordBatchEncoder::encode(&mut out, &their_records(story), &options).unwrap();
    out.freeze()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn uncompressed_batches_are_the_same_bytes(story in stories()) {
        prop_assert_eq!(built_by_us(&story, Compression::None), built_by_them(&story, Compression::None));
    }

    #[test]
    fn they_read_what_we_build(story in stories(), codec in proptest::sample::select(&Compression::ALL[..])) {
        let mut batch = built_by_us(&story, codec);
        let set = theirs::RecordBatchDecoder::decode(&mut batch).unwrap();
        prop_assert_eq!(set.compression, their_codec(codec));
        prop_assert_eq!(set.records, their_records(&story));
    }

    #[test]
    fn we_read_what_they_build(story in stories(), codec in proptest::sample::select(&Compression::ALL[..])) {
        let batch = built_by_them(&story, codec);
        let rules = RecordRules::default();
        let admitted = record::admit(batch.clone(), UNPACKED_MAX, &rules, Timestamp(0)).unwrap();
        prop_assert_eq!(&admitted.bytes, &batch, "nothing had to be corrected");
        let header = admitted.header;
        prop_assert_eq!(header.compression(), Ok(codec));
        let expected_producer = story.producer.unwrap_or((-1, -1, -1));
        let producer = (header.producer_id.0, header.producer_epoch, header.base_sequence);
        prop_assert_eq!(producer, expected_producer);
        let read: Vec<Record> = record::records(&batch, UNPACKED_MAX).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read, story.records);
    }

    #[test]
    fn whatever_is_admitted_of_a_batch_with_a_false_byte_they_read_as_we_do(
        story in stories(), at: prop::sample::Index, change in 1_u8..=255,
    ) {
        let mut bytes = built_by_them(&story, Compression::None).to_vec();
        let at = record::HEADER_BYTES + at.index(bytes.len() - record::HEADER_BYTES);
        bytes[at] ^= change;
        let crc = crc32c::crc32c(&bytes[record::CRC_START..]);
        bytes[17..record::CRC_START].copy_from_slice(&crc.to_be_bytes());
        let rules = RecordRules::default();
        if let Ok(admitted) = record::admit(bytes.into(), UNPACKED_MAX, &rules, Timestamp(0)) {
            let ours = record::records(&admitted.bytes, UNPACKED_MAX).unwrap();
            let ours: Vec<Record> = ours.collect::<Result<_, _>>().unwrap();
            // The crate refuses a header's key that is no text, which Kafka does not look at.
            if let Ok(set) = theirs::RecordBatchDecoder::decode(&mut admitted.bytes.clone()) {
                prop_assert_eq!(set.records.len(), ours.len());
                for (their, our) in set.records.iter().zip(&ours) {
                    prop_assert_eq!((their.offset, their.timestamp), (our.offset.0, our.timestamp.0));
                    prop_assert_eq!((&their.key, &their.value), (&our.key, &our.value));
                }
            } else {
                prop_assert!(ours.iter().any(|record| !record.headers.is_empty()));
            }
        }
    }
}
