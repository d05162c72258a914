//! One log, used as intended.

use super::*;
use crate::log::LogError;
use crate::log::names::{index_path, log_path};
use crate::record::records;
use crate::runtime::disk::{self, OpenMode};
use crate::runtime::{Instant, clock};
use crate::types::{Durability, Expose};

#[test]
fn offsets_are_consecutive_and_batches_are_patched() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;

        let bases = log.append(&[batch(3, 10), batch(1, 10)], EPOCH).unwrap();
        let more = log.append(&[batch(2, 10)], LeaderEpoch(2)).unwrap();

        assert_eq!((bases, more), (vec![Offset(0), Offset(3)], vec![Offset(4)]));
        assert_eq!(
            (log.log_start(), log.log_end(), log.last_epoch()),
            (Offset(0), Offset(6), LeaderEpoch(2))
        );
        let headers = read_all(&log, Offset(6));
        let epochs: Vec<_> = headers.iter().map(|header| header.leader_epoch.0).collect();
        assert_eq!(epochs, [1, 1, 2]);
    });
}

#[test]
fn large_appends_are_written_without_copying_and_read_the_same() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        let sent: Vec<_> = (0..5).map(|n| batch_at(n, 4, 10_000)).collect();

        log.append(&sent, EPOCH).unwrap();

        let range = log.read(Offset(0), ALL, Offset(20), false).unwrap().unwrap();
        let stored: Vec<_> = batches_exact(bytes_of(&range)).map(Result::unwrap).collect();
        assert_eq!(stored.len(), sent.len());
        for (stored, sent) in stored.iter().zip(&sent) {
            assert_eq!(stored[16..], sent.bytes[16..]);
            validate(stored, usize::MAX).unwrap();
        }
    });
}

#[test]
fn a_reader_gets_the_whole_batch_that_holds_its_offset() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch(10, 10), batch(10, 10), batch(10, 10)], EPOCH).unwrap();
        let size = batch(10, 10).bytes.len() as u64;
        let read = |from, bytes_max, bound, at_least_one| {
            let range = log.read(Offset(from), bytes_max, Offset(bound), at_least_one).unwrap();
            range.map(|range| (range.offset, range.len))
        };

        assert_eq!(read(15, ALL, 30, false), Some((size, 2 * size)));
        assert_eq!(read(15, ALL, 29, false), Some((size, size)), "the bound cuts no batch");
        assert_eq!(read(15, ALL, 19, false), None);
        assert_eq!(read(0, 2 * size, 30, false), Some((0, 2 * size)));
        assert_eq!(read(0, 2 * size - 1, 30, false), Some((0, size)));
        assert_eq!(read(0, size - 1, 30, false), None);
        assert_eq!(read(0, 1, 30, true), Some((0, size)), "one batch, of any size");
        assert_eq!(read(30, ALL, 30, true), None, "nothing yet");
        for outside in [-1, 31] {
            let error = log.read(Offset(outside), ALL, Offset(30), true).err().unwrap();
            assert!(matches!(error, LogError::OutOfRange { .. }), "{error}");
        }
    });
}

#[test]
fn segments_roll_by_size_and_a_range_never_spans_two() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..40 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }

        assert!(log.segment_count() > 3);
        assert!(log.segments.iter().all(|segment| segment.size <= 2000));
        assert_eq!(read_all(&log, Offset(80)).len(), 40);
        for pair in log.segments.windows(2) {
            let range = log.read(pair[1].base.plus(-1), ALL, Offset(80), false).unwrap().unwrap();
            assert_eq!(range.offset + range.len, pair[0].size);
        }
    });
}

#[test]
fn segments_roll_by_age() {
    on_disk(|data| async move {
        let config = LogConfig { segment_ms: Some(Duration::from_millis(20)), ..LogConfig::default() };
        let mut log = open(&data, config).await;
        log.append(&[batch(1, 10)], EPOCH).unwrap();
        log.append(&[batch(1, 10)], EPOCH).unwrap();
        assert_eq!(log.segment_count(), 1);

        clock::sleep(Duration::from_millis(30)).await;
        log.append(&[batch(1, 10)], EPOCH).unwrap();

        assert_eq!(log.segment_count(), 2);
    });
}

#[test]
fn what_was_closed_cleanly_opens_without_a_scan() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..30 {
            log.append(&[batch_at(n, 2, 50)], LeaderEpoch(n as i32)).unwrap();
        }
        let before = read_all(&log, Offset(60));
        let segments = log.segment_count();
        log.close_clean().await.unwrap();

        let mut log = open(&data, small()).await;

        assert_eq!((log.log_end(), log.flushed_end()), (Offset(60), Offset(60)));
        assert_eq!((log.segment_count(), log.last_epoch()), (segments, LeaderEpoch(29)));
        assert_eq!(read_all(&log, Offset(60)), before);
        log.append(&[batch(5, 10)], LeaderEpoch(29)).unwrap();
        assert_eq!(read_all(&log, Offset(65)).len(), before.len() + 1);
    });
}

#[test]
fn what_was_not_closed_opens_the_same_after_a_scan() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..30 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }
        let before = read_all(&log, Offset(60));
        drop(log);

        for _ in 0..2 {
            let log = open(&data, small()).await;
            assert_eq!((log.log_end(), log.flushed_end()), (Offset(60), Offset(60)));
            assert_eq!(log.last_epoch(), EPOCH);
            assert_eq!(read_all(&log, Offset(60)), before);
        }
    });
}

#[test]
fn a_closed_log_takes_nothing() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        let ticket = log.begin_close().unwrap();
        assert!(matches!(log.append(&[batch(1, 1)], EPOCH), Err(LogError::Closed)));
        ticket.run().await.unwrap();
        assert!(matches!(log.begin_close(), Err(LogError::Closed)));
    });
}

#[test]
fn an_append_in_an_earlier_epoch_is_refused() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        log.append(&[batch(1, 1)], LeaderEpoch(5)).unwrap();
        let refused = log.append(&[batch(1, 1)], LeaderEpoch(4));
        assert!(matches!(refused, Err(LogError::StaleEpoch { .. })), "{refused:?}");
        assert_eq!(log.log_end(), Offset(1));
    });
}

#[test]
fn nothing_is_readable_before_it_is_flushed() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch(3, 10)], EPOCH).unwrap();
        assert_eq!((log.readable_end(), log.flushed_end()), (Offset(0), Offset(0)));

        let ticket = log.begin_flush().unwrap();
        ticket.run().await.unwrap();
        log.append(&[batch(3, 10)], EPOCH).unwrap();
        assert_eq!(log.readable_end(), Offset(0), "not before the ticket is back");
        assert_eq!(log.finish_flush(ticket), Offset(3));

        assert_eq!((log.readable_end(), log.log_end()), (Offset(3), Offset(6)));
        assert_eq!(flush(&mut log).await, Offset(6));
        assert!(log.begin_flush().is_none());
    });
}

#[test]
fn exposure_never_exceeds_what_durability_promises() {
    on_disk(|data| async move {
        use {Durability::*, Expose::*};
        for (durability, expose, readable) in
            [(Fsync, Flushed, 0), (Fsync, Replicated, 0), (PageCache, Flushed, 0), (PageCache, Replicated, 1)]
        {
            let config = LogConfig { durability, expose, ..LogConfig::default() };
            let place = data.join(format!("{durability:?}{expose:?}"));
            let mut log = open(&place, config).await;
            log.append(&[batch(1, 1)], EPOCH).unwrap();
            assert_eq!(log.readable_end(), Offset(readable), "{durability:?} {expose:?}");
        }
    });
}

#[test]
fn a_flush_is_due_by_count_by_time_or_after_a_roll() {
    on_disk(|data| async move {
        let config = LogConfig {
            durability: Durability::PageCache,
            flush_messages: 5,
            flush_interval: Some(Duration::from_secs(3600)),
            ..small()
        };
        let mut log = open(&data, config).await;
        let now = clock::now();
        assert!(!log.needs_flush(Instant::FAR_FUTURE), "nothing to flush");
        log.append(&[batch(4, 10)], EPOCH).unwrap();
        assert!(!log.needs_flush(now));
        assert!(log.needs_flush(clock::now() + Duration::from_secs(3600)));
        log.append(&[batch(1, 10)], EPOCH).unwrap();
        assert!(log.needs_flush(clock::now()), "by count");
        flush(&mut log).await;
        assert!(!log.needs_flush(clock::now()));
        log.append(&[batch(1, 1000)], EPOCH).unwrap();
        assert!(!log.needs_flush(clock::now()));
        log.append(&[batch(1, 1000)], EPOCH).unwrap();
        assert_eq!(log.segment_count(), 2);
        assert!(log.needs_flush(clock::now()), "after a roll");
        flush(&mut log).await;
        assert!(!log.needs_flush(clock::now()));
    });
}

#[test]
fn a_timestamp_resolves_to_the_record() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..30 {
            log.append(&[batch_at(n * 100, 5, 20)], EPOCH).unwrap();
        }
        let find = |log: &Log, at, bound| {
            look_up(log, TimeTarget::AtOrAfter(Timestamp(at)), Offset(bound)).unwrap().map(place)
        };

        assert_eq!(find(&log, 0, 150), Some((Offset(0), Timestamp(0))));
        assert_eq!(find(&log, 702, 150), Some((Offset(37), Timestamp(702))));
        assert_eq!(find(&log, 750, 150), Some((Offset(40), Timestamp(800))));
        assert_eq!(find(&log, 2904, 150), Some((Offset(149), Timestamp(2904))));
        assert_eq!(find(&log, 2905, 150), None);
        assert_eq!(find(&log, 702, 35), None, "below the bound only");
        assert_eq!(find(&log, 702, 40), Some((Offset(37), Timestamp(702))));
        log.close_clean().await.unwrap();
        let log = open(&data, small()).await;
        assert_eq!(find(&log, 702, 150), Some((Offset(37), Timestamp(702))));
    });
}

#[test]
fn the_largest_timestamp_is_found_where_it_is_reached_first() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        assert_eq!(look_up(&log, TimeTarget::Largest, log.log_end()).unwrap(), None, "an empty log has none");
        for (epoch, first) in [(1, 100), (1, 900), (2, 300), (3, 900), (3, 500)] {
            log.append(&[batch_at(first, 5, 200)], LeaderEpoch(epoch)).unwrap();
        }
        assert!(log.segment_count() > 2, "the search crosses segments");
        let largest = |bound| look_up(&log, TimeTarget::Largest, Offset(bound)).unwrap().map(place);

        assert_eq!(largest(25), Some((Offset(9), Timestamp(904))), "the earlier of two");
        assert_eq!(largest(5), Some((Offset(4), Timestamp(104))), "below the bound only");
    });
}

#[test]
fn a_record_found_by_its_time_tells_its_own_epoch() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for (epoch, first) in [(1, 100), (4, 200), (7, 300)] {
            log.append(&[batch_at(first, 5, 20)], LeaderEpoch(epoch)).unwrap();
        }
        for (at, epoch) in [(0, 1), (104, 1), (150, 4), (300, 7)] {
            let found = look_up(&log, TimeTarget::AtOrAfter(Timestamp(at)), log.log_end()).unwrap();
            assert_eq!(found.map(|record| record.epoch), Some(LeaderEpoch(epoch)), "at {at}");
        }
    });
}

#[test]
fn a_look_up_goes_by_bounded_steps() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        for n in 0..2_000 {
            log.append(&[batch_at(n, 1, 1)], EPOCH).unwrap();
        }
        let mut lookup = log.time_lookup(TimeTarget::AtOrAfter(Timestamp(1_999)), log.log_end());
        log.append(&[batch_at(9_000, 1, 1)], EPOCH).unwrap();
        let mut steps = 1;
        let found = loop {
            match lookup.step().unwrap() {
                LookupStep::Unfinished => steps += 1,
                LookupStep::Done(found) => break found,
            }
        };
        assert_eq!(found.map(|record| record.offset), Some(Offset(1_999)));
        assert!((4..10).contains(&steps), "{steps} steps");
    });
}

#[test]
fn a_damaged_index_costs_time_and_nothing_else() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig { index_interval_bytes: 1, ..small() }).await;
        for n in 0..40 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }
        let directory = log.directory.clone();
        let path = index_path(&directory, log.segments[1].base);
        let index = disk::open(&path, OpenMode::ReadWrite).unwrap();
        for at in (60..index.len().unwrap()).step_by(5) {
            index.write_at(&[std::io::IoSlice::new(&[0xaa])], at).unwrap();
        }

        assert_eq!(read_all(&log, Offset(80)).len(), 40);
        for offset in 0..80 {
            assert!(log.read(Offset(offset), 1, Offset(80), true).unwrap().is_some());
        }
        log.close_clean().await.unwrap();
        let log = open(&data, small()).await;
        assert_eq!(read_all(&log, Offset(80)).len(), 40);
    });
}

#[test]
fn missing_indexes_are_made_anew() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..40 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }
        let directory = log.directory.clone();
        let bases: Vec<_> = log.segments.iter().map(|segment| segment.base).collect();
        log.close_clean().await.unwrap();
        for base in &bases {
            disk::remove_file(&index_path(&directory, *base)).unwrap();
        }

        let log = open(&data, small()).await;

        assert_eq!(log.log_end(), Offset(80));
        assert_eq!(read_all(&log, Offset(80)).len(), 40);
        let closed = &bases[..bases.len() - 1];
        assert!(closed.iter().all(|base| disk::exists(&index_path(&directory, *base)).unwrap()));
    });
}

#[test]
fn truncation_forgets_the_end_and_appends_go_on_there() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..40 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }
        flush(&mut log).await;
        checkpoint(&mut log).await;

        let refused = log.truncate(Offset(21));
        assert!(matches!(refused, Err(LogError::BelowCheckpoint { .. })), "{refused:?}");
        let ticket = log.begin_truncate(Offset(21)).unwrap().expect("a checkpoint to lower");
        ticket.run().await.unwrap();
        log.checkpoint_lowered(ticket);
        log.truncate(Offset(21)).unwrap();

        assert_eq!((log.log_end(), log.flushed_end()), (Offset(20), Offset(20)), "no half batch stays");
        log.append(&[batch(7, 30)], EPOCH).unwrap();
        let before = read_all(&log, Offset(27));
        assert_eq!(before.len(), 11);
        drop(log);
        let log = open(&data, small()).await;
        assert_eq!(read_all(&log, Offset(27)), before);
    });
}

#[test]
fn a_torn_tail_is_cut_and_damage_below_the_checkpoint_is_refused() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch(2, 50), batch(2, 50)], EPOCH).unwrap();
        let path = log_path(&log.directory, Offset(0));
        drop(log);
        // The next open finds all of it, makes it durable and says so in the checkpoint.
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch(2, 50)], EPOCH).unwrap();
        drop(log);
        let file = disk::open(&path, OpenMode::ReadWrite).unwrap();
        let whole = file.len().unwrap();
        file.truncate(whole - 3).unwrap();

        let log = open(&data, LogConfig::default()).await;
        assert_eq!(log.log_end(), Offset(4));
        assert_eq!(file.len().unwrap(), whole / 3 * 2);
        drop(log);

        file.write_at(&[std::io::IoSlice::new(b"!")], 100).unwrap();
        let refused = try_open(&data, LogConfig::default()).await.err().expect("refused");
        let LogError::CorruptBelowFlushed { at, flushed, .. } = refused else { panic!("{refused}") };
        assert_eq!((at, flushed), (Offset(0), Offset(4)));
        assert_eq!(file.len().unwrap(), whole / 3 * 2, "nothing was cut");
    });
}

#[test]
fn a_missing_segment_below_the_checkpoint_is_refused() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..40 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }
        flush(&mut log).await;
        checkpoint(&mut log).await;
        let (directory, first, second) = (log.directory.clone(), log.segments[0].base, log.segments[1].base);
        drop(log);
        let path = log_path(&directory, second);
        let aside = directory.join("aside");
        disk::rename(&path, &aside).unwrap();
        let refused = try_open(&data, small()).await.err().expect("refused");
        assert!(matches!(refused, LogError::CorruptBelowFlushed { .. }), "{refused}");
        disk::rename(&aside, &path).unwrap();
        disk::remove_file(&log_path(&directory, first)).unwrap();
        let refused = try_open(&data, small()).await.err().expect("refused");
        assert!(matches!(refused, LogError::CorruptBelowFlushed { .. }), "{refused}");
    });
}

#[test]
fn records_come_back_as_they_were_sent() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch_at(7, 3, 10)], EPOCH).unwrap();
        log.append(&[batch_at(9, 2, 10)], EPOCH).unwrap();
        let range = log.read(Offset(3), ALL, Offset(5), false).unwrap().unwrap();
        let read: Vec<_> = records(&bytes_of(&range), 1000).unwrap().map(Result::unwrap).collect();
        let places: Vec<_> = read.iter().map(|record| (record.offset.0, record.timestamp.0)).collect();
        assert_eq!(places, [(3, 9), (4, 10)]);
    });
}
