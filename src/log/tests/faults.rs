//! A disk that fails, and what the log makes of it.

use super::*;
use crate::log::LogError;
use crate::log::names::{index_path, log_path};
use crate::rules::{self, Rule};
use crate::runtime::disk;
use crate::runtime::sim::disk::{Operation, Rate, current_image, durable_image, flip_bit, set_faults};
use crate::runtime::sim::identity;

/// Changes what is wrong with this process's disk.
fn break_disk(change: impl FnOnce(&mut crate::runtime::sim::disk::Faults)) {
    set_faults(identity::current().node, change);
}

fn heal() {
    break_disk(|faults| *faults = Default::default());
}

async fn log_of_two_batches(data: &std::path::Path) -> Log {
    let mut log = open(data, LogConfig::default()).await;
    log.append(&[batch(2, 50)], EPOCH).unwrap();
    log.append(&[batch(2, 50)], EPOCH).unwrap();
    log
}

fn stored_bytes(log: &Log) -> u64 {
    log.segments.iter().map(|segment| segment.file.len().unwrap()).sum()
}

#[test]
fn a_failed_append_leaves_the_log_as_it_was() {
    on_disk(|data| async move {
        let mut log = log_of_two_batches(&data).await;
        let size = log.size();
        for round in 0..20 {
            match round % 3 {
                0 => break_disk(|faults| faults.fail(Operation::Write, Rate::Next(1))),
                1 => break_disk(|faults| faults.short_writes = Rate::Next(1)),
                _ => break_disk(|faults| faults.capacity_bytes = Some(0)),
            }
            let refused = log.append(&[batch(2, 50), batch(2, 100)], EPOCH);
            heal();
            match refused {
                Err(LogError::NoSpace(_)) if round % 3 == 2 => {}
                Err(LogError::Io(_)) if round % 3 != 2 => {}
                other => panic!("round {round}: {other:?}"),
            }
            assert_eq!((log.log_end(), log.size(), stored_bytes(&log)), (Offset(4), size, size));
        }

        assert_eq!(log.append(&[batch(2, 50)], EPOCH).unwrap(), [Offset(4)]);
        assert_eq!(flush(&mut log).await, Offset(6));
        assert_eq!(read_all(&log, Offset(6)).len(), 3);
    });
}

#[test]
fn a_failed_append_that_cannot_be_cut_off_fails_the_log() {
    on_disk(|data| async move {
        let mut log = log_of_two_batches(&data).await;
        break_disk(|faults| {
            faults.fail(Operation::Write, Rate::Next(1));
            faults.fail(Operation::SetLen, Rate::Next(1));
        });
        let failed = log.append(&[batch(2, 50)], EPOCH);
        assert!(matches!(failed, Err(LogError::Failed { .. })), "{failed:?}");
        heal();
        let refused = log.append(&[batch(2, 50)], EPOCH);
        assert!(matches!(refused, Err(LogError::Failed { .. })), "{refused:?}");
        assert!(log.begin_flush().is_none());
        assert!(matches!(log.begin_close(), Err(LogError::Failed { .. })));
        assert_eq!(log.log_end(), Offset(4));
    });
}

#[test]
fn a_failed_roll_leaves_the_log_usable() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        log.append(&[batch(1, 1500)], EPOCH).unwrap();
        break_disk(|faults| faults.fail(Operation::SetLen, Rate::Next(1)));
        let refused = log.append(&[batch(1, 1500)], EPOCH);
        assert!(matches!(refused, Err(LogError::Io(_))), "{refused:?}");
        // The roll left an empty file; a smaller batch still fits the old segment, past that file's name.
        log.append(&[batch(1, 100)], EPOCH).unwrap();
        log.append(&[batch(1, 1500)], EPOCH).unwrap();
        assert_eq!(log.segment_count(), 2);
        let before = read_all(&log, Offset(3));
        drop(log);
        let log = open(&data, small()).await;
        assert_eq!(read_all(&log, Offset(3)), before);
    });
}

#[test]
fn a_full_device_loses_nothing_and_everything_goes_on_once_there_is_room() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        log.append(&[batch(1, 1500)], EPOCH).unwrap();
        break_disk(|faults| faults.capacity_bytes = Some(0));
        // The roll's new file does not fit, nor does a batch in the old one.
        for bytes in [1500, 100] {
            let refused = log.append(&[batch(1, bytes)], EPOCH);
            assert!(matches!(refused, Err(LogError::NoSpace(_))), "{refused:?}");
        }
        assert_eq!((log.log_end(), log.failure()), (Offset(1), None));
        assert_eq!(flush(&mut log).await, Offset(1), "what was appended before is flushed");
        let ticket = log.begin_checkpoint().expect("the checkpoint is behind");
        let error = ticket.run().await.unwrap_err();
        assert!(matches!(log.checkpoint_failed(ticket, error), LogError::NoSpace(_)));
        assert!(log.next_checkpoint_at().is_some(), "tried again later");
        drop(log);
        let mut log = open(&data, small()).await;
        assert_eq!(log.flushed_end(), Offset(1), "opens without room");
        let refused = log.append(&[batch(1, 100)], EPOCH);
        assert!(matches!(refused, Err(LogError::NoSpace(_))), "{refused:?}");

        heal();

        log.append(&[batch(1, 1500)], EPOCH).unwrap();
        assert_eq!(flush(&mut log).await, Offset(2));
        checkpoint(&mut log).await;
        log.close_clean().await.unwrap();
        assert_eq!(read_all(&open(&data, small()).await, Offset(2)).len(), 2);
    });
}

#[test]
fn no_clean_mark_is_left_unless_every_ticket_came_back_well() {
    on_disk(|data| async move {
        let mut log = log_of_two_batches(&data).await;
        let ticket = log.begin_flush().unwrap();
        assert!(matches!(log.begin_close(), Err(LogError::FlushUnderWay)), "one ticket is out");
        break_disk(|faults| faults.fail(Operation::Sync, Rate::Next(1)));
        let error = ticket.run().await.unwrap_err();
        log.flush_failed(ticket, error);

        let refused = log.close_clean().await;

        assert!(matches!(refused, Err(LogError::Failed { .. })), "{refused:?}");
        let directory = data.join(crate::log::directory_name(&partition()));
        let stored = crate::log::checkpoint::Checkpoint::load(&directory)
            .unwrap()
            .sound()
            .expect("stored when opened");
        assert_eq!((stored.clean, stored.flushed_end), (false, Offset(0)));
    });
}

#[test]
fn of_a_file_cut_off_under_the_log_whole_batches_are_read_up_to_the_cut() {
    on_disk(|data| async move {
        let log = log_of_two_batches(&data).await;
        let (end, half) = (log.log_end(), log.size() / 2);
        let read = |from| log.read(Offset(from), 1 << 20, end, true);
        let path = log_path(&log.directory, Offset(0));
        for cut in [log.size() - 1, half + 70, half + 1, half] {
            disk::open(&path, disk::OpenMode::ReadWrite).unwrap().truncate(cut).unwrap();

            let range = read(0).unwrap().expect("the first batch is whole");
            assert_eq!((range.offset, range.len), (0, half), "cut at {cut}");
            assert!(matches!(read(2), Err(LogError::Corrupt { .. })), "cut at {cut}");
        }
    });
}

#[test]
fn an_index_that_cannot_be_written_is_only_missed() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        let obstacle = index_path(&log.directory, Offset(0));
        disk::create_dir_all(&obstacle).unwrap();
        for n in 0..40 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }
        assert!(log.segment_count() > 2);
        assert_eq!(read_all(&log, Offset(80)).len(), 40);
        flush(&mut log).await;
        disk::remove_dir_all(&obstacle).unwrap();
        log.close_clean().await.unwrap();
        let log = open(&data, small()).await;
        assert_eq!(read_all(&log, Offset(80)).len(), 40);
        assert!(disk::exists(&obstacle).unwrap(), "made anew");
    });
}

#[test]
fn a_failed_sync_fails_the_log_for_good() {
    on_disk(|data| async move {
        let mut log = log_of_two_batches(&data).await;
        break_disk(|faults| faults.fail(Operation::Sync, Rate::Next(1)));
        let ticket = log.begin_flush().unwrap();
        let error = ticket.run().await.unwrap_err();
        assert!(matches!(log.flush_failed(ticket, error), LogError::Failed { .. }));

        assert!(log.begin_flush().is_none(), "a second sync would prove nothing");
        assert!(!log.needs_flush(crate::types::Instant::FAR_FUTURE));
        let refused = log.append(&[batch(1, 1)], EPOCH);
        assert!(matches!(refused, Err(LogError::Failed { .. })), "{refused:?}");
        assert_eq!((log.flushed_end(), log.readable_end()), (Offset(0), Offset(0)));
        assert!(log.failure().unwrap().contains("flush failed"));
    });
}

#[test]
fn a_flush_for_which_no_descriptor_was_left_is_put_off() {
    on_disk(|data| async move {
        let mut log = log_of_two_batches(&data).await;
        let ticket = log.begin_flush().unwrap();
        let (emfile, enfile) = (24, 23);
        let error = std::io::Error::from_raw_os_error(emfile);
        assert!(matches!(log.flush_failed(ticket, error), LogError::NoDescriptors(_)));
        assert_eq!((log.failure(), log.flushed_end()), (None, Offset(0)));
        assert_eq!(flush(&mut log).await, Offset(4));

        let ticket = log.begin_checkpoint().unwrap();
        let error = std::io::Error::from_raw_os_error(enfile);
        assert!(matches!(log.checkpoint_failed(ticket, error), LogError::NoDescriptors(_)));
        assert!(log.next_checkpoint_at().is_some());
        log.close_clean().await.unwrap();
    });
}

#[test]
fn with_its_rule_suspended_a_failed_sync_is_tried_again() {
    on_disk(|data| async move {
        rules::suspend(Rule::FailLogDirOnFailedFsync);
        let mut log = log_of_two_batches(&data).await;
        break_disk(|faults| faults.fail(Operation::Sync, Rate::Next(1)));
        let ticket = log.begin_flush().unwrap();
        let error = ticket.run().await.unwrap_err();
        assert!(matches!(log.flush_failed(ticket, error), LogError::Io(_)));
        assert_eq!(flush(&mut log).await, Offset(4), "as though nothing had happened");
    });
}

#[test]
fn a_ticket_of_an_earlier_flush_cannot_revive_a_failed_log() {
    on_disk(|data| async move {
        let mut log = log_of_two_batches(&data).await;
        let good = log.begin_flush().unwrap();
        let bad = log.begin_flush().unwrap();
        good.run().await.unwrap();
        log.flush_failed(bad, std::io::Error::other("lost"));
        assert_eq!(log.finish_flush(good), Offset(0));
    });
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_alone_is_durable_after_the_next_open() {
    on_disk(|data| async move {
        let mut log = log_of_two_batches(&data).await;
        break_disk(|faults| faults.fail(Operation::Sync, Rate::Next(1)));
        let ticket = log.begin_flush().unwrap();
        let error = ticket.run().await.unwrap_err();
        log.flush_failed(ticket, error);
        let path = log_path(&log.directory, Offset(0));
        drop(log);

        let log = open(&data, LogConfig::default()).await;

        let node = identity::current().node;
        assert_eq!(log.flushed_end(), Offset(4));
        assert_eq!(durable_image(node, &path), current_image(node, &path));
    });
}

#[test]
fn what_lies_before_damage_is_read_where_a_limit_ends_behind_it() {
    on_disk(|data| async move {
        let config = LogConfig { index_interval_bytes: 1 << 20, ..LogConfig::default() };
        let mut log = open(&data, config).await;
        for _ in 0..6 {
            log.append(&[batch(1, 100)], EPOCH).unwrap();
        }
        let size = log.size() / 6;
        let path = log_path(&log.directory, Offset(0));
        // The highest byte of the third batch's length: nobody knows where the fourth begins.
        assert!(flip_bit(identity::current().node, &path, 2 * size + 8));

        for limit in [size, 2 * size, 3 * size, 5 * size] {
            let range = log.read(Offset(0), limit, Offset(6), true).unwrap().expect("there is something");
            assert_eq!(range.len, size * (limit / size).min(2), "{limit}");
        }
        let refused = log.read(Offset(2), 2 * size, Offset(6), true);
        assert!(matches!(refused, Err(LogError::Corrupt { .. })));
    });
}

#[test]
fn with_its_rule_suspended_damage_stays_in_the_log() {
    on_disk(|data| async move {
        rules::suspend(Rule::CutTornTail);
        let log = log_of_two_batches(&data).await;
        let node = identity::current().node;
        let path = log_path(&log.directory, Offset(0));
        let size = log.size();
        drop(log);
        assert!(flip_bit(node, &path, 100));
        let log = open(&data, LogConfig::default()).await;
        assert_eq!((log.log_end(), log.size()), (Offset(4), size));
        let image = current_image(node, &path).unwrap();
        assert!(validate(&image[..size as usize / 2], usize::MAX).is_err(), "the damage is there to be seen");
    });
}

#[test]
fn a_disk_error_while_opening_is_told() {
    on_disk(|data| async move {
        drop(log_of_two_batches(&data).await);
        for change in [
            (|faults| faults.fail(Operation::Read, Rate::Next(1)))
                as fn(&mut crate::runtime::sim::disk::Faults),
            |faults| faults.fail(Operation::Write, Rate::Next(1)),
            |faults| faults.fail(Operation::Sync, Rate::Next(1)),
            |faults| faults.fail(Operation::Rename, Rate::Next(1)),
        ] {
            break_disk(change);
            let refused = try_open(&data, LogConfig::default()).await.err().expect("refused");
            assert!(matches!(refused, LogError::Io(_)), "{refused}");
            heal();
        }
        let log = open(&data, LogConfig::default()).await;
        assert_eq!(log.log_end(), Offset(4));
    });
}
