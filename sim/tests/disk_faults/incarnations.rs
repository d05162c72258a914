//! Handles belong to an incarnation; a crash may strike inside an operation.

use super::*;

struct WritesWhenDropped(File);

impl Drop for WritesWhenDropped {
    fn drop(&mut self) {
        // Refused unless the rule is suspended; either way the image tells.
        if let Err(error) = write(&self.0, b"late", 0) {
            assert_eq!(error.kind(), ErrorKind::Other);
        }
    }
}

/// What the file holds after a killed incarnation's destructor wrote into it, and the next incarnation before it.
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

/// What the file holds when a killed incarnation's task writes a moment after the next incarnation began.
async fn image_after_an_incarnation_that_went_on() -> Vec<u8> {
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
fn a_dead_incarnation_writes_into_the_new_incarnation_when_the_rule_is_suspended() {
    assert_eq!(run(1, image_after_an_incarnation_that_went_on), b"first life");
    let image = run(1, || async {
        rules::suspend(Rule::DeadIncarnationWritesNothing);
        image_after_an_incarnation_that_went_on().await
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
