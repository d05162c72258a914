//! The simulated disk is as cruel as the crash model says, no crueller, and the same for the same seed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::time::Duration;

use seedlog::rules::{self, Rule};
use seedlog::runtime::disk::{self, File, OpenMode};
use seedlog::runtime::sim::disk as control;
use seedlog::runtime::sim::disk::{CrashInside, FailedSync, Operation, Rate, Slow};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, Death, Finished, RunConfig};
use seedlog::runtime::{clock, rng};

const EIO: Option<i32> = Some(5);

fn finished<T: Send + 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    testbed: impl FnOnce() -> F + Send + 'static,
) -> Finished<T> {
    world::run(RunConfig { seed, keep_trace: false, event_limit: 100_000, buggify: false }, testbed)
}

fn run<T: Send + 'static, F: Future<Output = T> + 'static>(
    seed: u64,
    testbed: impl FnOnce() -> F + Send + 'static,
) -> T {
    finished(seed, testbed).outcome.unwrap_or_else(|panic| panic!("seed {seed}: {panic}"))
}

/// A node whose every life runs `body` and then waits to be ended.
fn started<F: Future<Output = ()> + Send + 'static>(body: impl Fn() -> F + Send + Sync + 'static) -> NodeId {
    let node = world::add_node("disk", move || {
        let body = body();
        async move {
            body.await;
            pending::<()>().await;
        }
    });
    world::start(node);
    node
}

async fn a_second() {
    clock::sleep(Duration::from_secs(1)).await;
}

fn open(path: &str) -> File {
    disk::open(Path::new(path), OpenMode::CreateOrOpen).unwrap()
}

fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_at(&[IoSlice::new(bytes)], offset)
}

fn current(node: NodeId, path: &str) -> Option<Vec<u8>> {
    control::current_image(node, Path::new(path))
}

fn durable(node: NodeId, path: &str) -> Option<Vec<u8>> {
    control::durable_image(node, Path::new(path))
}

// -- crash model -------------------------------------------------------------------------------------

const SYNCED: &[u8] = &[b's'; 700];
const UNSYNCED: &[u8] = &[b'u'; 1300];

/// A file with a durable name: 700 synced bytes, then two unsynced appends of 1300.
async fn synced_then_appended() {
    let file = open("/data/log");
    write(&file, SYNCED, 0).unwrap();
    file.sync_data().await.unwrap();
    disk::sync_dir(Path::new("/data")).await.unwrap();
    write(&file, UNSYNCED, 700).unwrap();
    write(&file, UNSYNCED, 2000).unwrap();
}

#[test]
fn a_power_failure_keeps_the_synced_prefix_and_reaches_every_kind_of_loss() {
    let mut kinds = BTreeMap::new();
    let mut lengths = BTreeSet::new();
    let mut torn = 0;
    for seed in 0..200 {
        let (losses, image) = run(seed, || async {
            let node = started(synced_then_appended);
            a_second().await;
            assert_eq!(durable(node, "/data/log").unwrap(), SYNCED);
            world::end(node, Death::PowerFailure);
            (control::losses(node), current(node, "/data/log"))
        });
        let image = image.expect("a synced name survives");
        assert_eq!(&image[..700], SYNCED, "seed {seed}: what was synced is intact");
        torn += u32::from(image[700..].iter().any(|byte| *byte != b'u'));
        lengths.insert(image.len());
        for (kind, count) in losses {
            *kinds.entry(kind).or_insert(0) += count;
        }
    }
    for kind in ["dropped-all", "prefix", "sectors", "size-without-data"] {
        assert!(kinds.get(kind).is_some_and(|count| *count >= 10), "{kind} is rare: {kinds:?}");
    }
    assert!(torn >= 20, "the unsynced tail was torn in {torn} seeds only");
    assert!(lengths.len() >= 10, "too few lengths: {lengths:?}");
}

#[test]
fn a_kill_keeps_everything_and_a_later_power_failure_still_takes_it() {
    let mut lost = 0;
    for seed in 0..50 {
        let image = run(seed, || async {
            let node = started(synced_then_appended);
            a_second().await;
            world::end(node, Death::Kill);
            let whole = [SYNCED, UNSYNCED, UNSYNCED].concat();
            assert_eq!(current(node, "/data/log").unwrap(), whole);
            world::end(node, Death::PowerFailure);
            current(node, "/data/log").unwrap()
        });
        lost += u32::from(image.len() < 3300);
    }
    assert!(lost > 10, "the page cache of a dead process survived its machine");
}

#[test]
fn an_unsynced_name_may_vanish_though_its_data_was_synced() {
    let survived = count_seeds(100, |_| async {
        let node = started(|| async {
            let file = open("/data/new");
            write(&file, b"data", 0).unwrap();
            file.sync_data().await.unwrap();
        });
        a_second().await;
        assert_eq!(durable(node, "/data/new"), None);
        world::end(node, Death::PowerFailure);
        match current(node, "/data/new") {
            None => false,
            Some(bytes) => {
                assert_eq!(bytes, b"data", "the data was synced, whatever its name");
                true
            }
        }
    });
    assert!((20..80).contains(&survived), "{survived} of 100 unsynced names survived");
}

#[test]
fn a_directory_nobody_synced_into_its_parent_takes_its_files_along() {
    let survived = count_seeds(60, |_| async {
        let node = started(|| async {
            disk::create_dir_all(Path::new("/data/topic-0")).unwrap();
            let file = open("/data/topic-0/log");
            file.sync_data().await.unwrap();
            disk::sync_dir(Path::new("/data/topic-0")).await.unwrap();
        });
        a_second().await;
        world::end(node, Death::PowerFailure);
        current(node, "/data/topic-0/log").is_some()
    });
    assert!((10..50).contains(&survived), "{survived} of 60 survived");
}

#[test]
fn a_rename_may_become_durable_before_the_data_it_brings() {
    let torn = count_seeds(200, |_| async {
        let node = started(|| async {
            let file = open("/data/state");
            write(&file, b"old!", 0).unwrap();
            file.sync_data().await.unwrap();
            disk::sync_dir(Path::new("/data")).await.unwrap();
            write(&open("/data/state.tmp"), b"new!", 0).unwrap();
            disk::rename(Path::new("/data/state.tmp"), Path::new("/data/state")).unwrap();
        });
        a_second().await;
        world::end(node, Death::PowerFailure);
        let image = current(node, "/data/state").expect("old or new, the name is there");
        image != b"old!" && image != b"new!"
    });
    assert!(torn >= 20, "a rename brought unsynced data in {torn} of 200 seeds");
}

#[test]
fn an_unlink_nobody_synced_may_be_undone() {
    let came_back = count_seeds(100, |_| async {
        let node = started(|| async {
            let file = open("/data/old");
            write(&file, b"data", 0).unwrap();
            file.sync_data().await.unwrap();
            disk::sync_dir(Path::new("/data")).await.unwrap();
            disk::remove_file(Path::new("/data/old")).unwrap();
        });
        a_second().await;
        assert_eq!(current(node, "/data/old"), None);
        world::end(node, Death::PowerFailure);
        current(node, "/data/old").is_some_and(|bytes| bytes == b"data")
    });
    assert!((20..80).contains(&came_back), "{came_back} of 100 removed files came back");
}

#[test]
fn a_move_between_directories_survives_whole_or_not_at_all() {
    let moved = count_seeds(100, |_| async {
        let node = started(|| async {
            disk::create_dir_all(Path::new("/data/a")).unwrap();
            disk::create_dir_all(Path::new("/data/b")).unwrap();
            open("/data/a/file");
            disk::sync_dir(Path::new("/data/a")).await.unwrap();
            disk::sync_dir(Path::new("/data")).await.unwrap();
            open("/data/b/other");
            disk::rename(Path::new("/data/a/file"), Path::new("/data/b/file")).unwrap();
        });
        a_second().await;
        world::end(node, Death::PowerFailure);
        let places = ["/data/a/file", "/data/b/file"].map(|path| current(node, path).is_some());
        assert_ne!(places[0], places[1], "the file is in one place");
        places[1]
    });
    assert!((5..80).contains(&moved), "{moved} of 100 moves survived");
}

#[test]
fn what_was_synced_with_its_name_survives_whatever_else_goes_on() {
    let mut promised_bytes = 0;
    for seed in 0..100 {
        promised_bytes += run(seed, || async {
            let node = started(random_files);
            clock::sleep(Duration::from_millis(20 + rng::world_stream("test").below(300))).await;
            let promised: BTreeMap<_, _> = control::list_files(node)
                .into_iter()
                .filter_map(|path| Some((path.clone(), control::durable_image(node, &path)?)))
                .collect();
            world::end(node, Death::PowerFailure);
            for (path, synced) in &promised {
                // Files are only appended to: what was durable is a prefix of what is found.
                let image = control::current_image(node, path).expect("the name was synced");
                assert_eq!(image.get(..synced.len()), Some(synced.as_slice()), "{}", path.display());
            }
            promised.values().map(Vec::len).sum::<usize>()
        });
    }
    assert!(promised_bytes > 1 << 20, "hardly anything was synced: {promised_bytes} bytes");
}

/// Appends to a few files, syncing now and then.
async fn random_files() {
    let mut draws = rng::stream("test");
    loop {
        let path = format!("/data/{}", draws.below(4));
        let file = open(&path);
        let mut bytes = vec![1; draws.between(1, 2000) as usize];
        draws.fill(&mut bytes);
        write(&file, &bytes, file.len().unwrap()).unwrap();
        match draws.below(4) {
            0 => file.sync_data().await.unwrap(),
            1 => disk::sync_dir(Path::new("/data")).await.unwrap(),
            _ => {}
        }
    }
}

/// In how many of `seeds` the testbed's main says yes.
fn count_seeds<F: Future<Output = bool> + 'static>(
    seeds: u64,
    testbed: impl Fn(u64) -> F + Send + Copy + 'static,
) -> u32 {
    (0..seeds).map(|seed| u32::from(run(seed, move || testbed(seed)))).sum()
}

// -- lives -------------------------------------------------------------------------------------------

struct WritesWhenDropped(File);

impl Drop for WritesWhenDropped {
    fn drop(&mut self) {
        // Refused unless the rule is suspended; either way the image tells.
        if let Err(error) = write(&self.0, b"late", 0) {
            assert_eq!(error.kind(), ErrorKind::Other);
        }
    }
}

/// What the file holds after a killed life's destructor wrote into it, and the next life before it.
async fn image_after_a_late_write() -> Vec<u8> {
    let node = started(|| async {
        let file = open("/data/log");
        if file.is_empty().unwrap() {
            write(&file, b"first life", 0).unwrap();
            let _late = WritesWhenDropped(file);
            pending::<()>().await;
        }
    });
    a_second().await;
    world::end(node, Death::Kill);
    world::start(node);
    a_second().await;
    current(node, "/data/log").unwrap()
}

#[test]
fn a_dead_incarnation_writes_nothing() {
    assert_eq!(run(1, image_after_a_late_write), b"first life");
}

/// What the file holds when a killed life's task writes a moment after the next life began.
async fn image_after_a_life_that_went_on() -> Vec<u8> {
    let node = started(|| async {
        let file = open("/data/log");
        if file.is_empty().unwrap() {
            write(&file, b"first life", 0).unwrap();
            clock::sleep(Duration::from_millis(1_100)).await;
            write(&file, b"late", 0).unwrap();
        }
    });
    a_second().await;
    world::end(node, Death::Kill);
    world::start(node);
    a_second().await;
    current(node, "/data/log").unwrap()
}

#[test]
fn a_dead_incarnation_writes_into_the_new_life_when_the_rule_is_suspended() {
    assert_eq!(run(1, image_after_a_life_that_went_on), b"first life");
    let image = run(1, || async {
        rules::suspend(Rule::DeadIncarnationWritesNothing);
        image_after_a_life_that_went_on().await
    });
    assert_eq!(image, b"latet life");
}

#[test]
fn a_lock_dies_with_its_holder_and_the_boot_id_with_the_power() {
    run(1, || async {
        let node = started(|| async {
            let lock = disk::lock(Path::new("/data/.lock")).expect("the last holder is dead");
            write(&open("/data/boot"), disk::boot_id().as_bytes(), 0).unwrap();
            std::mem::forget(lock);
        });
        a_second().await;
        let first = current(node, "/data/boot").unwrap();
        world::end(node, Death::Kill);
        world::start(node);
        a_second().await;
        assert_eq!(current(node, "/data/boot").unwrap(), first);
        world::end(node, Death::PowerFailure);
        world::start(node);
        a_second().await;
        assert_ne!(current(node, "/data/boot").unwrap(), first);
    });
}

#[test]
fn two_nodes_have_two_disks_and_a_wipe_empties_one() {
    run(1, || async {
        let nodes = [started(synced_then_appended), started(synced_then_appended)];
        a_second().await;
        world::end(nodes[0], Death::Kill);
        control::wipe(nodes[0]);
        assert!(control::list_files(nodes[0]).is_empty());
        assert_eq!(control::list_files(nodes[1]), [Path::new("/data/log")]);
        world::start(nodes[0]);
        a_second().await;
        assert_eq!(durable(nodes[0], "/data/log").unwrap(), SYNCED);
    });
}

// -- crash inside an operation -----------------------------------------------------------------------

fn crash_inside(node: NodeId, operation: Operation, after: u32, death: Death) {
    control::set_faults(node, |f| f.crash_inside = Some(CrashInside { operation, after, death }));
}

#[test]
fn a_crash_inside_a_write_leaves_a_part_of_it_and_nothing_later() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let image = run(seed, || async {
            let node = started(|| async {
                a_second().await;
                let file = open("/data/log");
                write(&file, b"one.", 0).unwrap();
                write(&file, b"two.", 4).expect_err("the node dies here");
                file.truncate(0).expect_err("dead");
                write(&file, b"three", 0).expect_err("dead");
                disk::rename(Path::new("/data/log"), Path::new("/data/x")).expect_err("dead");
                disk::open(Path::new("/data/y"), OpenMode::CreateOrOpen).err().expect("dead");
            });
            crash_inside(node, Operation::Write, 1, Death::Kill);
            clock::sleep(Duration::from_secs(2)).await;
            assert!(!world::is_running(node));
            assert_eq!(control::faults_fired(node)["crash-inside"], 1);
            assert_eq!(control::list_files(node), [Path::new("/data/log")]);
            current(node, "/data/log").unwrap()
        });
        assert!(b"one.two.".starts_with(&image) && image.len() >= 4, "{image:?}");
        lengths.insert(image.len());
    }
    assert_eq!(lengths.len(), 5, "every part of the write is seen: {lengths:?}");
}

#[test]
fn a_power_failure_inside_a_sync_or_rename_comes_before_or_after_it() {
    let synced = count_seeds(50, |_| async {
        let node = started(|| async {
            let file = open("/data/log");
            write(&file, SYNCED, 0).unwrap();
            file.sync_data().await.unwrap();
            disk::sync_dir(Path::new("/data")).await.expect_err("the node dies here");
        });
        crash_inside(node, Operation::Sync, 1, Death::PowerFailure);
        a_second().await;
        assert!(!world::is_running(node));
        let image = current(node, "/data/log");
        assert!(image.is_none() || image.as_deref() == Some(SYNCED), "the data was synced, the name not");
        image.is_some()
    });
    assert!((10..=45).contains(&synced), "{synced}");

    let renamed = count_seeds(50, |_| async {
        let node = started(|| async {
            open("/data/a");
            disk::rename(Path::new("/data/a"), Path::new("/data/b")).expect_err("the node dies here");
        });
        crash_inside(node, Operation::Rename, 0, Death::Kill);
        a_second().await;
        let names = control::list_files(node);
        assert_eq!(names.len(), 1);
        names[0] == Path::new("/data/b")
    });
    assert!((10..40).contains(&renamed), "{renamed}");
}

// -- errors ------------------------------------------------------------------------------------------

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
            faults.write_errors = Rate::Next(2);
            faults.read_errors = Rate::Next(2);
            faults.rename_errors = Rate::Next(1);
            faults.sync_errors = Rate::Next(1);
        });
        clock::sleep(Duration::from_secs(2)).await;
        assert_eq!(current(node, "/data/log").unwrap(), b"basemore");
        let fired = control::faults_fired(node);
        let expected = [("read-error", 2), ("rename-error", 1), ("sync-error", 1), ("write-error", 2)];
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
        control::set_faults(node, |faults| faults.write_errors = Rate::OneIn(4));
        clock::sleep(Duration::from_secs(2)).await;
        control::heal(node);
        assert_eq!(control::faults(node).write_errors, Rate::Never);
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
            faults.sync_errors = Rate::Next(1);
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

// -- time --------------------------------------------------------------------------------------------

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

// -- determinism -------------------------------------------------------------------------------------

#[test]
fn the_same_seed_gives_the_same_trace_and_the_same_disk() {
    let once = |seed| {
        let finished = finished(seed, || async {
            let node = started(random_files);
            control::set_faults(node, |faults| {
                faults.slow = Some(Slow { factor: 10, stalls_node: false });
                faults.capacity_bytes = Some(1 << 20);
            });
            clock::sleep(Duration::from_millis(200)).await;
            world::end(node, Death::PowerFailure);
            world::start(node);
            clock::sleep(Duration::from_millis(200)).await;
            world::end(node, Death::PowerFailure);
            let images = control::list_files(node).into_iter().map(|p| control::current_image(node, &p));
            images.collect::<Vec<_>>()
        });
        assert!(finished.events > 20);
        (finished.outcome.unwrap(), finished.trace_hash)
    };
    assert_eq!(once(3), once(3));
    assert_ne!(once(3).1, once(4).1);
}
