//! What recovery makes of damage above the flushed point, with the page cache and without.

use super::*;
use crate::log::LogError;
use crate::log::checkpoint::{Boot, Checkpoint, Loaded};
use crate::log::names::log_path;
use crate::log::recovery;
use crate::runtime::disk::{self, OpenMode};
use crate::runtime::sim::disk::{Errno, FailedSync, Operation, Rate, flip_bit, set_faults};
use crate::runtime::sim::identity;

/// Five batches in one segment, of which the first two were flushed and are below the checkpoint; nobody has
/// the log open. Returns its directory and a batch's size.
async fn abandoned_log(data: &std::path::Path) -> (PathBuf, u64) {
    let mut log = open(data, LogConfig::default()).await;
    log.append(&[batch(2, 50), batch(2, 50)], EPOCH).unwrap();
    flush(&mut log).await;
    checkpoint(&mut log).await;
    log.append(&[batch(2, 50), batch(2, 50), batch(2, 50)], EPOCH).unwrap();
    (log.directory.clone(), log.size() / 5)
}

fn flip(directory: &std::path::Path, byte: u64) {
    assert!(flip_bit(identity::current().node, &log_path(directory, Offset(0)), byte));
}

/// As though the machine had been restarted since.
async fn another_boot(directory: &std::path::Path) {
    let known = Checkpoint::load(directory).unwrap().sound().expect("stored when the log was opened");
    let before = Checkpoint { boot: Some(Boot::named("the boot before")), ..known };
    before.store(directory, 99).await.unwrap();
}

fn size_on_disk(directory: &std::path::Path) -> u64 {
    disk::open(&log_path(directory, Offset(0)), OpenMode::Read).unwrap().len().unwrap()
}

fn kept_aside(directory: &std::path::Path) -> Vec<(String, u64)> {
    let entries = disk::read_dir(directory).unwrap().into_iter();
    entries.filter(|entry| entry.name.starts_with("cut-")).map(|entry| (entry.name, entry.len)).collect()
}

#[test]
fn a_flipped_bit_after_a_kill_is_damage_wherever_a_sound_batch_lies_behind_it() {
    // In the base offset, the length, the magic, the CRC and the records of the first unflushed batch.
    for byte in [3, 8, 10, 16, 18, 100] {
        on_disk(move |data| async move {
            let (directory, size) = abandoned_log(&data).await;
            flip(&directory, 2 * size + byte);

            for _ in 0..2 {
                let refused = try_open(&data, LogConfig::default()).await.err().expect("refused");

                let LogError::CorruptAmidst { at, position, .. } = refused else { panic!("{refused}") };
                assert_eq!((at, position), (Offset(4), 2 * size), "byte {byte}");
                assert_eq!(size_on_disk(&directory), 5 * size, "nothing was cut");
            }
        });
    }
}

#[test]
fn after_a_kill_a_torn_tail_with_nothing_behind_it_is_cut() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        let file = disk::open(&log_path(&directory, Offset(0)), OpenMode::ReadWrite).unwrap();
        file.truncate(5 * size - 7).unwrap();

        let log = open(&data, LogConfig::default()).await;

        assert_eq!((log.log_end(), size_on_disk(&directory)), (Offset(8), 4 * size));
        assert_eq!(kept_aside(&directory).len(), 1);
    });
}

/// The CRC of a batch does not cover its base offset: what is cut here is whole, and may be what somebody was told is safe.
#[test]
fn of_a_last_batch_that_went_bad_after_a_kill_nothing_is_destroyed() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        flip(&directory, 4 * size + 3);

        let log = open(&data, LogConfig::default()).await;

        assert_eq!((log.log_end(), size_on_disk(&directory)), (Offset(8), 4 * size));
        assert!(matches!(kept_aside(&directory)[..], [(_, len)] if len == size));
    });
}

/// A backup tool stores batches as values. One that lies whole inside of a torn batch is no sign that anything was written
/// behind that.
#[test]
fn after_a_kill_a_torn_batch_that_holds_a_whole_one_as_a_value_is_cut() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        let mut log = open(&data, LogConfig::default()).await;
        let mut inner = batch(2, 50).bytes.to_vec();
        inner[..8].copy_from_slice(&10_i64.to_be_bytes());
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(Timestamp(1), None, Some(&inner), &[]);
        builder.push(Timestamp(2), None, Some(&[7; 100]), &[]);
        let bytes = builder.build();
        let header = validate(&bytes, usize::MAX).unwrap();
        log.append(&[AppendBatch { header, bytes }], EPOCH).unwrap();
        drop(log);
        let whole = size_on_disk(&directory);
        disk::open(&log_path(&directory, Offset(0)), OpenMode::ReadWrite)
            .unwrap()
            .truncate(whole - 50)
            .unwrap();

        let log = open(&data, LogConfig::default()).await;

        assert_eq!((log.log_end(), size_on_disk(&directory)), (Offset(10), 5 * size));
    });
}

#[test]
fn a_gap_between_segments_after_a_kill_is_damage() {
    on_disk(|data| async move {
        let mut log = open(&data, small()).await;
        for n in 0..40 {
            log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        }
        let (directory, second) = (log.directory.clone(), log.segments[1].base);
        drop(log);
        disk::rename(&log_path(&directory, second), &directory.join("elsewhere")).unwrap();

        let refused = try_open(&data, small()).await.err().expect("refused");

        assert!(matches!(refused, LogError::CorruptAmidst { at, .. } if at == second), "{refused}");
    });
}

#[test]
fn after_a_power_failure_the_log_is_cut_at_the_first_unsound_batch_and_the_rest_is_kept_aside() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        another_boot(&directory).await;
        flip(&directory, 3 * size + 100);
        let before = bytes_of(&FileRange {
            file: disk::open(&log_path(&directory, Offset(0)), OpenMode::Read).unwrap(),
            offset: 3 * size,
            len: 2 * size,
        });

        let log = open(&data, LogConfig::default()).await;

        assert_eq!((log.log_end(), size_on_disk(&directory)), (Offset(6), 3 * size));
        let name = "cut-000000-at-00000000000000000006.bytes".to_owned();
        assert_eq!(kept_aside(&directory), [(name.clone(), 2 * size)]);
        let file = disk::open(&directory.join(name), OpenMode::Read).unwrap();
        assert_eq!(bytes_of(&FileRange { file, offset: 0, len: 2 * size }), before);
    });
}

#[test]
fn what_is_kept_aside_is_bounded_and_the_oldest_goes_first() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        for round in 0..7 {
            another_boot(&directory).await;
            let end = size_on_disk(&directory);
            let file = disk::open(&log_path(&directory, Offset(0)), OpenMode::ReadWrite).unwrap();
            file.write_at(&[std::io::IoSlice::new(&[7; 200])], end).unwrap();
            drop(open(&data, LogConfig::default()).await);
            assert_eq!(size_on_disk(&directory), 5 * size, "round {round}");
        }

        let kept = kept_aside(&directory);

        let serials: Vec<&str> = kept.iter().map(|(name, _)| &name[4..10]).collect();
        assert_eq!(serials, ["000003", "000004", "000005", "000006"]);
        assert!(kept.iter().all(|(_, len)| *len == 200));
    });
}

#[test]
fn damage_below_the_checkpoint_is_never_cut_whatever_boot_it_is() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        flip(&directory, size + 100);
        for _ in 0..2 {
            let refused = try_open(&data, LogConfig::default()).await.err().expect("refused");
            assert!(matches!(refused, LogError::CorruptBelowFlushed { .. }), "{refused}");
            assert_eq!(size_on_disk(&directory), 5 * size);
            another_boot(&directory).await;
        }
    });
}

/// Overwrites a byte of the checkpoint, which then says nothing any more.
fn damage_checkpoint(directory: &std::path::Path) {
    let file = disk::open(&directory.join("checkpoint"), OpenMode::ReadWrite).unwrap();
    file.write_at(&[std::io::IoSlice::new(&[9])], 20).unwrap();
    assert_eq!(Checkpoint::load(directory).unwrap(), Loaded::Damaged);
}

#[test]
fn a_damaged_checkpoint_costs_nothing_of_a_sound_log() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        damage_checkpoint(&directory);

        let log = open(&data, LogConfig::default()).await;

        assert_eq!((log.log_end(), size_on_disk(&directory)), (Offset(10), 5 * size));
        assert_eq!(read_all(&log, log.log_end()).len(), 5);
        let stored = Checkpoint::load(&directory).unwrap().sound().expect("stored anew");
        assert_eq!((stored.flushed_end, stored.clean), (Offset(10), false));
    });
}

#[test]
fn without_the_checkpoints_word_only_a_torn_tail_is_cut() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        another_boot(&directory).await;
        damage_checkpoint(&directory);
        flip(&directory, 4 * size + 100);

        let log = open(&data, LogConfig::default()).await;

        assert_eq!((log.log_end(), kept_aside(&directory).len()), (Offset(8), 1));
        drop(log);
        damage_checkpoint(&directory);
        flip(&directory, size + 100);
        let refused = try_open(&data, LogConfig::default()).await.err().expect("refused");
        assert!(matches!(refused, LogError::CorruptAmidst { at: Offset(2), .. }), "{refused}");
        assert_eq!(size_on_disk(&directory), 4 * size, "what may have been acknowledged is not cut");
    });
}

/// A file system may drop what it could not write (btrfs): the page cache is there, what was written is not.
#[test]
fn after_a_failed_sync_the_page_cache_is_not_relied_upon() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch(2, 50)], EPOCH).unwrap();
        flush(&mut log).await;
        let node = identity::current().node;
        set_faults(node, |faults| {
            faults.failed_sync = FailedSync::Reverts;
            faults.fail(Operation::Sync, Rate::Next(1));
        });
        log.append(&[batch(2, 50)], EPOCH).unwrap();
        let ticket = log.begin_flush().unwrap();
        log.append(&[batch(2, 50)], EPOCH).unwrap();
        let running = ticket.run();
        let error = running.await.unwrap_err();
        let directory = log.directory.clone();
        assert!(matches!(log.flush_failed(ticket, error), LogError::Failed { .. }));
        drop(log);
        set_faults(node, |faults| *faults = Default::default());

        let log = open(&data, LogConfig::default()).await;

        assert!(log.log_end() >= Offset(2), "what was flushed is there");
        drop(log);
        flip(&directory, 100);
        let refused = try_open(&data, LogConfig::default()).await.err().expect("refused");
        assert!(matches!(refused, LogError::CorruptBelowFlushed { .. }), "relied upon again: {refused}");
    });
}

/// Where no file can be opened and nothing has room, what the failed sync took is still not taken for damage.
#[test]
fn a_failed_sync_leaves_its_sign_without_descriptors_and_without_room() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch(2, 50)], EPOCH).unwrap();
        flush(&mut log).await;
        checkpoint(&mut log).await;
        let node = identity::current().node;
        set_faults(node, |faults| {
            for operation in [Operation::Open, Operation::CreateDir] {
                faults.fail_with(operation, Rate::OneIn(1), Errno::Enospc);
            }
        });
        log.append(&[batch(2, 50), batch(2, 50)], EPOCH).unwrap();
        let directory = log.directory.clone();
        recovery::note_failed_sync(&directory);
        let second = log.size() / 3;
        drop(log);
        set_faults(node, |faults| *faults = Default::default());
        flip(&directory, second + 70);

        let log = open(&data, LogConfig::default()).await;

        assert_eq!(log.log_end(), Offset(2), "a sound batch behind what is gone makes no damage of it");
        drop(log);
        assert!(!Checkpoint::is_distrusted(&directory).unwrap());
    });
}

#[test]
fn a_checkpoint_of_the_version_before_opens() {
    on_disk(|data| async move {
        let (directory, size) = abandoned_log(&data).await;
        let known = Checkpoint::load(&directory).unwrap().sound().expect("stored");
        Checkpoint { boot: None, ..known }.store(&directory, 99).await.unwrap();

        let log = open(&data, LogConfig::default()).await;

        assert_eq!((log.log_end(), log.size()), (Offset(10), 5 * size));
        let stored = Checkpoint::load(&directory).unwrap().sound().expect("stored anew");
        assert_eq!(stored.boot, Some(Boot::current()));
    });
}

#[test]
fn the_checkpoint_follows_the_flushed_end_within_a_second() {
    on_disk(|data| async move {
        use crate::runtime::clock;
        let mut log = open(&data, LogConfig::default()).await;
        assert_eq!(log.next_checkpoint_at(), None, "opened, it is up to date");
        log.append(&[batch(1, 10)], EPOCH).unwrap();
        flush(&mut log).await;
        let due = log.next_checkpoint_at().expect("the checkpoint is behind");
        assert!(due < clock::now() + Duration::from_secs(1));
        log.append(&[batch(1, 10)], EPOCH).unwrap();
        flush(&mut log).await;
        assert_eq!(log.next_checkpoint_at(), Some(due), "later flushes do not put it off");

        let ticket = log.begin_checkpoint().unwrap();
        assert!(log.begin_checkpoint().is_none(), "one at a time");
        log.append(&[batch(1, 10)], EPOCH).unwrap();
        flush(&mut log).await;
        ticket.run().await.unwrap();
        log.finish_checkpoint(ticket);

        let stored = Checkpoint::load(&log.directory).unwrap().sound().expect("stored");
        assert_eq!(stored.flushed_end, Offset(2));
        assert!(log.next_checkpoint_at().is_some(), "behind again");
    });
}
