//! Batches that claim what they do not hold: refused or stored, and whatever was stored opens again.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::log::LogError;
use crate::log::append::SEGMENT_OFFSETS_MAX;

/// A batch that claims to hold one more record than `last_offset_delta`. Marked as compressed, only unpacking
/// could tell that it lies.
fn claiming(last_offset_delta: i32, compressed: bool, bytes: usize) -> AppendBatch {
    let honest = batch(1, bytes);
    let mut lying = honest.bytes.to_vec();
    let attributes = if compressed { Compression::Zstd as i16 } else { 0 };
    lying[21..23].copy_from_slice(&attributes.to_be_bytes());
    lying[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
    lying[57..61].copy_from_slice(&last_offset_delta.wrapping_add(1).to_be_bytes());
    let crc = crc32c::crc32c(&lying[21..]);
    lying[17..21].copy_from_slice(&crc.to_be_bytes());
    let header = BatchHeader { last_offset_delta, attributes, crc, ..honest.header };
    AppendBatch { header, bytes: lying.into() }
}

fn assert_spans_fit(log: &Log) {
    for segment in &log.segments {
        assert!(segment.end.since(segment.base) <= SEGMENT_OFFSETS_MAX, "relative offsets fit");
    }
}

#[test]
fn four_batches_that_claim_two_billion_records_each_end_nothing() {
    on_disk(|data| async move {
        let config = LogConfig { index_interval_bytes: 4096, ..LogConfig::default() };
        let mut log = open(&data, config.clone()).await;
        let four: Vec<_> = (0..4).map(|_| claiming(i32::MAX - 1, true, 4900)).collect();

        let refused = log.append(&four, EPOCH);
        assert!(matches!(refused, Err(LogError::InvalidBatch { .. })), "{refused:?}");
        assert_eq!((log.log_end(), log.size()), (Offset(0), 0));
        for batch in &four {
            log.append(std::slice::from_ref(batch), EPOCH).unwrap();
        }

        assert_eq!(log.segment_count(), 4, "each in a segment of its own");
        assert_spans_fit(&log);
        let before = read_all(&log, log.log_end());
        log.close_clean().await.unwrap();
        let log = open(&data, config).await;
        assert_eq!(read_all(&log, log.log_end()), before);
    });
}

#[test]
fn more_records_than_its_bytes_can_hold_are_refused_where_they_can_be_counted() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        for delta in [100, i32::MAX, -1, i32::MIN] {
            let refused = log.append(&[claiming(delta, false, 100)], EPOCH);
            assert!(matches!(refused, Err(LogError::InvalidBatch { .. })), "{delta}: {refused:?}");
        }
        let mut cut_short = batch(1, 100);
        cut_short.bytes = cut_short.bytes.slice(..50);
        let refused = log.append(&[batch(1, 1), cut_short], EPOCH);
        assert!(matches!(refused, Err(LogError::InvalidBatch { .. })), "{refused:?}");
        assert_eq!(log.log_end(), Offset(0));
    });
}

/// Before the bound, a log could come to hold a segment whose offsets do not fit in 32 bits.
#[test]
fn a_segment_that_spans_more_than_32_bits_opens_and_is_read() {
    on_disk(|data| async move {
        let config = LogConfig { index_interval_bytes: 1, ..LogConfig::default() };
        let log = open(&data, config.clone()).await;
        let file = log.segments[0].file.clone();
        drop(log);
        let (mut at, mut end) = (0, Offset(0));
        for _ in 0..5 {
            let batch = claiming(i32::MAX, true, 100);
            let mut bytes = batch.bytes.to_vec();
            crate::record::patch(&mut bytes, end, EPOCH);
            file.write_at(&[std::io::IoSlice::new(&bytes)], at).unwrap();
            (at, end) = (at + bytes.len() as u64, end.plus(1 << 31));
        }

        for _ in 0..2 {
            let mut log = open(&data, config.clone()).await;
            assert_eq!(read_all(&log, end).len(), 5);
            for offset in [0, 1 << 31, 1 << 32, end.0 - 1] {
                assert!(log.read(Offset(offset), 1, end, true).unwrap().is_some(), "{offset}");
            }
            log.append(&[batch(1, 10)], EPOCH).unwrap();
            assert_eq!(log.segment_count(), 2);
            truncate(&mut log, end).await;
            log.close_clean().await.unwrap();
        }
    });
}

async fn truncate(log: &mut Log, end: Offset) {
    if let Some(ticket) = log.begin_truncate(end).unwrap() {
        ticket.run().await.unwrap();
        log.checkpoint_lowered(ticket);
    }
    log.truncate(end).unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<(i32, bool, usize)>),
    Truncate(prop::sample::Index),
    Reopen { clean: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let delta = prop_oneof![
        3 => Just(i32::MAX),
        3 => Just(i32::MAX - 1),
        1 => Just(i32::MIN),
        3 => 0_i32..40,
        2 => any::<i32>()
    ];
    let batches = vec((delta, prop::bool::weighted(0.8), 0_usize..300), 1..6);
    let step = prop_oneof![
        8 => batches.prop_map(Step::Append),
        1 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        2 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
    ];
    vec(step, 1..15)
}

async fn play(data: PathBuf, steps: Vec<Step>) {
    let config = LogConfig { index_interval_bytes: 1, ..small() };
    let mut log = open(&data, config.clone()).await;
    for step in steps {
        let end = log.log_end();
        match step {
            Step::Append(claims) => {
                let batches: Vec<_> = claims.iter().map(|(d, c, b)| claiming(*d, *c, *b)).collect();
                match log.append(&batches, EPOCH) {
                    Ok(bases) => assert_eq!(bases[0], end),
                    Err(LogError::InvalidBatch { .. }) => assert_eq!(log.log_end(), end),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Truncate(index) => {
                let to = Offset(index.index((end.0 as usize).saturating_add(1)) as i64);
                truncate(&mut log, to).await;
            }
            Step::Reopen { clean } => {
                if clean {
                    log.close_clean().await.unwrap();
                } else {
                    drop(log);
                }
                log = open(&data, config.clone()).await;
                assert_eq!(log.log_end(), end);
            }
        }
        assert_spans_fit(&log);
        read_all(&log, log.log_end());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn batches_that_lie_never_panic(steps in steps()) {
        on_disk(move |data| play(data, steps));
    }
}
