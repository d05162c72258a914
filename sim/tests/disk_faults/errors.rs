//! Errors, full disks, short writes, damage, and disks that limp.

use super::*;

#[test]
fn each_operation_fails_with_an_input_output_error_and_has_no_effect() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            write(&file, b"base", 0).unwrap();
            a_second().await;
            let errors = [
                write(&file, b"more", 4).unwrap_err(),
                file.truncate(0).unwrap_err(),
                disk::open(Path::new("/data/log"), OpenMode::Read).err().unwrap(),
                disk::create_dir_all(Path::new("/data/directory")).unwrap_err(),
                disk::read_dir(Path::new("/data")).unwrap_err(),
                disk::remove_file(Path::new("/data/log")).unwrap_err(),
                file.read_at(&mut [0; 4], 0).unwrap_err(),
                file.read_range(0, 4).await.unwrap_err(),
                disk::rename(Path::new("/data/log"), Path::new("/data/x")).unwrap_err(),
                disk::sync_dir(Path::new("/data")).await.unwrap_err(),
            ];
            assert!(errors.iter().all(|error| error.raw_os_error() == EIO), "{errors:?}");
            write(&file, b"more", 4).unwrap();
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| {
            faults.fail(Operation::Write, Rate::Next(1));
            faults.fail(Operation::SetLen, Rate::Next(1));
            faults.fail(Operation::Open, Rate::Next(1));
            faults.fail(Operation::CreateDir, Rate::Next(1));
            faults.fail(Operation::ReadDir, Rate::Next(1));
            faults.fail(Operation::Remove, Rate::Next(1));
            faults.fail(Operation::Read, Rate::Next(2));
            faults.fail(Operation::Rename, Rate::Next(1));
            faults.fail(Operation::Sync, Rate::Next(1));
        });
        clock::sleep(Duration::from_secs(2)).await;
        assert_eq!(current(node, "/data/log").unwrap(), b"basemore");
        let fired = control::faults_fired(node);
        let expected = [
            ("create-dir-error", 1),
            ("open-error", 1),
            ("read-dir-error", 1),
            ("read-error", 2),
            ("remove-error", 1),
            ("rename-error", 1),
            ("set-len-error", 1),
            ("sync-error", 1),
            ("write-error", 1),
        ];
        assert_eq!(fired, BTreeMap::from(expected));
    });
}

#[test]
fn a_drawn_error_rate_fails_some_operations() {
    run(1, || async {
        let node = started(|| async {
            a_second().await;
            let file = open("/data/log");
            let failed = (0..400).filter(|_| write(&file, b"x", 0).is_err()).count();
            assert!((50..150).contains(&failed), "{failed} of 400 failed at one in four");
        });
        control::set_faults(node, |faults| faults.fail(Operation::Write, Rate::OneIn(4)));
        clock::sleep(Duration::from_secs(2)).await;
        control::heal(node);
        assert!(control::faults(node).errors.is_empty());
    });
}

/// What is there after a sync failed, more was written, the next sync succeeded, and the power went.
fn after_a_failed_sync(mode: FailedSync, first_sync: io::Result<()>) -> (Vec<u8>, Vec<u8>) {
    let fails = first_sync.is_err();
    run(1, move || async move {
        let node = started(move || async move {
            let file = open("/data/log");
            disk::sync_dir(Path::new("/data")).await.unwrap();
            a_second().await;
            write(&file, b"lost", 0).unwrap();
            assert_eq!(file.sync_data().await.is_err(), fails);
            write(&file, b"kept", 4).unwrap();
            if mode == FailedSync::ReportsNextTime {
                assert_eq!(file.sync_data().await.unwrap_err().raw_os_error(), EIO);
            }
            file.sync_data().await.unwrap();
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| {
            faults.fail(Operation::Sync, Rate::Next(1));
            faults.failed_sync = mode;
        });
        clock::sleep(Duration::from_secs(2)).await;
        let seen = current(node, "/data/log").unwrap();
        world::end(node, Death::PowerFailure);
        (seen, current(node, "/data/log").unwrap())
    })
}

#[test]
fn no_later_sync_brings_back_what_a_failed_one_lost() {
    let hole = b"\0\0\0\0kept".to_vec();
    let failed = || Err(ErrorKind::Other.into());
    assert_eq!(
        after_a_failed_sync(FailedSync::KeepsNewBytes, failed()),
        (b"lostkept".to_vec(), hole.clone())
    );
    assert_eq!(after_a_failed_sync(FailedSync::Reverts, failed()), (hole.clone(), hole.clone()));
    assert_eq!(after_a_failed_sync(FailedSync::ReportsNextTime, Ok(())), (b"lostkept".to_vec(), hole));
}

#[test]
fn an_error_that_sticks_has_its_number_until_the_disk_is_cured() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            a_second().await;
            for _ in 0..3 {
                let unmade = disk::create_dir_all(Path::new("/data/directory")).unwrap_err();
                let unopened = disk::open(Path::new("/data/log"), OpenMode::Read).err().unwrap();
                write(&file, b"x", 0).unwrap();
                let unsynced = file.sync_data().await.unwrap_err();
                let errors = [unmade, unopened, unsynced];
                assert_eq!(errors.map(|error| error.raw_os_error()), [Some(30), Some(23), Some(28)]);
            }
            a_second().await;
            disk::create_dir_all(Path::new("/data/directory")).unwrap();
            disk::open(Path::new("/data/log"), OpenMode::Read).unwrap();
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| {
            faults.fail_with(Operation::CreateDir, Rate::OneIn(1), Errno::Erofs);
            faults.fail_with(Operation::Open, Rate::OneIn(1), Errno::Enfile);
            faults.fail_with(Operation::Sync, Rate::OneIn(1), Errno::Enospc);
        });
        clock::sleep(Duration::from_secs(1)).await;
        control::heal(node);
        clock::sleep(Duration::from_secs(1)).await;
        assert_eq!(control::faults_fired(node)["create-dir-error"], 3);
    });
}

#[test]
fn what_a_sync_lost_is_told_once_to_every_open_description() {
    run(1, || async {
        let node = started(|| async {
            let (first, second) = (open("/data/log"), open("/data/log"));
            a_second().await;
            write(&first, b"lost", 0).unwrap();
            assert_eq!(first.sync_data().await.unwrap_err().raw_os_error(), EIO);
            first.sync_data().await.unwrap();
            open("/data/log").sync_data().await.unwrap();
            assert_eq!(second.sync_data().await.unwrap_err().raw_os_error(), EIO);
            second.sync_data().await.unwrap();
            write(&open("/data/done"), b"x", 0).unwrap();
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| faults.fail(Operation::Sync, Rate::Next(1)));
        clock::sleep(Duration::from_secs(2)).await;
        assert!(current(node, "/data/done").is_some());
    });
}

#[test]
fn a_sync_that_nobody_waits_for_runs_on_and_takes_the_error_along() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            disk::sync_dir(Path::new("/data")).await.unwrap();
            a_second().await;
            write(&file, b"lost", 0).unwrap();
            assert!(clock::timeout(Duration::from_millis(100), file.sync_data()).await.is_err());
            a_second().await;
            file.sync_data().await.unwrap();
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| {
            faults.fail(Operation::Sync, Rate::Next(1));
            faults.slow_syncs.insert("/data/log".into(), 1000);
        });
        clock::sleep(Duration::from_secs(5)).await;
        assert_eq!(control::faults_fired(node)["sync-error"], 1);
        assert_eq!(durable(node, "/data/log").unwrap(), b"", "the second sync proved nothing");
    });
}

#[test]
fn a_bit_that_rots_is_read_after_a_restart_of_the_process() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            if file.is_empty().unwrap() {
                write(&file, b"sound", 0).unwrap();
                file.sync_data().await.unwrap();
            }
        });
        a_second().await;
        assert!(control::rot_bit(node, Path::new("/data/log"), 0));
        assert!(!control::rot_bit(node, Path::new("/data/log"), 5));
        assert_eq!(current(node, "/data/log").unwrap(), b"sound");
        world::end(node, Death::Kill);
        world::start(node);
        a_second().await;
        assert_eq!(current(node, "/data/log").unwrap(), b"round");
    });
}

#[test]
fn a_name_has_255_bytes_at_most() {
    run(1, || async {
        let node = started(|| async {
            let path = |bytes: usize| format!("/data/{}", "n".repeat(bytes));
            open(&path(255));
            let too_long = disk::open(Path::new(&path(256)), OpenMode::CreateOrOpen).err().unwrap();
            assert_eq!(too_long.raw_os_error(), Some(36));
            let too_long = disk::create_dir_all(Path::new(&path(256))).unwrap_err();
            assert_eq!(too_long.raw_os_error(), Some(36));
            let too_long = disk::rename(Path::new(&path(255)), Path::new(&path(256))).unwrap_err();
            assert_eq!(too_long.raw_os_error(), Some(36));
        });
        a_second().await;
        assert_eq!(control::list_files(node).len(), 1);
    });
}

#[test]
fn a_disk_that_is_filled_takes_a_part_of_the_next_write() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            write(&file, b"1234", 0).unwrap();
            a_second().await;
            let error = write(&file, b"abcdef", 4).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert_eq!(file.len().unwrap(), 7);
            file.truncate(4).unwrap();
            write(&file, b"xyz", 4).unwrap();
            let error = disk::create_dir_all(Path::new("/data/directory")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::leave_free(node, 3);
        clock::sleep(Duration::from_secs(1)).await;
        assert_eq!(current(node, "/data/log").unwrap(), b"1234xyz");
    });
}

#[test]
fn a_full_disk_takes_what_fits_and_overwrites_still_work() {
    run(1, || async {
        let node = started(|| async {
            a_second().await;
            let file = open("/data/log");
            write(&file, b"12345678", 0).unwrap();
            let error = write(&file, b"abcdef", 8).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert_eq!(file.len().unwrap(), 10);
            write(&file, b"xy", 8).unwrap();
            let refused = disk::open(Path::new("/data/new"), OpenMode::CreateNew).err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::StorageFull);

            file.truncate(4).unwrap();
            write(&file, b"abcdef", 4).unwrap();
        });
        control::set_faults(node, |faults| faults.capacity_bytes = Some(10));
        clock::sleep(Duration::from_secs(2)).await;
        assert_eq!(current(node, "/data/log").unwrap(), b"1234abcdef");
        assert_eq!(control::faults_fired(node)["no-space"], 2);
    });
}

#[test]
fn a_removed_file_gives_its_room_back_when_nobody_has_it_open_synced_or_not() {
    run(1, || async {
        let node = started(|| async {
            a_second().await;
            let (old, new) = (open("/data/old"), open("/data/new"));
            write(&old, b"12345678", 0).unwrap();
            old.sync_data().await.unwrap();
            disk::sync_dir(Path::new("/data")).await.unwrap();
            disk::remove_file(Path::new("/data/old")).unwrap();
            assert_eq!(write(&new, b"abcd", 0).unwrap_err().kind(), ErrorKind::StorageFull);
            drop(old);
            write(&new, b"abcd", 0).unwrap();
        });
        control::set_faults(node, |faults| faults.capacity_bytes = Some(10));
        clock::sleep(Duration::from_secs(2)).await;
        assert_eq!(current(node, "/data/new").unwrap(), b"abcd");
    });
}

#[test]
fn a_short_write_leaves_a_part() {
    let mut lengths = BTreeSet::new();
    for seed in 0..40 {
        lengths.insert(run(seed, || async {
            let node = started(|| async {
                a_second().await;
                let error = write(&open("/data/log"), b"abcd", 0).unwrap_err();
                assert_eq!(error.raw_os_error(), EIO);
            });
            control::set_faults(node, |faults| faults.short_writes = Rate::Next(1));
            clock::sleep(Duration::from_secs(2)).await;
            current(node, "/data/log").unwrap().len()
        }));
    }
    assert_eq!(lengths, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn damage_hits_what_is_stored() {
    run(1, || async {
        let node = started(synced_then_appended);
        a_second().await;
        assert!(control::flip_bit(node, Path::new("/data/log"), 10));
        assert!(!control::flip_bit(node, Path::new("/data/log"), 1 << 40));
        assert!(control::truncate_file(node, Path::new("/data/log"), 20));
        assert!(!control::truncate_file(node, Path::new("/data/no"), 20));
        world::end(node, Death::PowerFailure);
        let mut expected = SYNCED[..20].to_vec();
        expected[10] ^= 1;
        assert_eq!(current(node, "/data/log").unwrap(), expected);
    });
}

/// How long 20 small writes with `settle`, and then a sync, take in milliseconds.
fn write_and_sync_ms(slow: Option<Slow>) -> (u64, u64) {
    run(1, move || async move {
        let node = started(|| async {
            a_second().await;
            let file = open("/data/log");
            let start = clock::now();
            (0..20).for_each(|n| write(&file, b"x", n).unwrap());
            assert_eq!(clock::now(), start, "an inline operation owes its time");
            disk::settle().await;
            let settled = clock::now();
            disk::settle().await;
            assert_eq!(clock::now(), settled, "what was paid is not owed any more");
            file.sync_data().await.unwrap();
            let times = [settled - start, clock::now() - settled];
            let text = times.map(|time| time.as_millis().to_string()).join(" ");
            write(&open("/data/times"), text.as_bytes(), 0).unwrap();
        });
        control::set_faults(node, |faults| faults.slow = slow);
        clock::sleep(Duration::from_secs(60)).await;
        let text = String::from_utf8(current(node, "/data/times").unwrap()).unwrap();
        let (write, sync) = text.split_once(' ').unwrap();
        (write.parse().unwrap(), sync.parse().unwrap())
    })
}

#[test]
fn a_limping_disk_makes_writes_and_syncs_cost_time() {
    let (write, sync) = write_and_sync_ms(None);
    assert_eq!(write, 0);
    assert!((1..10).contains(&sync), "{sync} ms");
    for stalls_node in [false, true] {
        let (write, sync) = write_and_sync_ms(Some(Slow { factor: 1000, stalls_node }));
        assert!((150..=250).contains(&write), "{write} ms");
        assert!(sync >= 200, "{sync} ms");
    }
}
