//! Disks that say that it is done: fsyncs that store nothing, writes that go astray, sectors that are gone.

use super::*;

#[test]
fn a_sync_that_lies_reports_success_and_a_power_failure_takes_what_it_covered() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            disk::sync_dir(Path::new("/data")).await.unwrap();
            write(&file, b"honest", 0).unwrap();
            file.sync_data().await.unwrap();
            a_second().await;
            write(&file, b" sham", 6).unwrap();
            file.sync_data().await.unwrap();
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| faults.sync_lies = Rate::OneIn(1));
        clock::sleep(Duration::from_secs(2)).await;
        assert_eq!(current(node, "/data/log").unwrap(), b"honest sham");
        assert_eq!(durable(node, "/data/log").unwrap(), b"honest");
        assert_eq!(control::faults_fired(node), BTreeMap::from([("lying-sync", 1)]));
    });
}

#[test]
fn what_a_lie_covered_is_stored_by_the_next_honest_sync() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            disk::sync_dir(Path::new("/data")).await.unwrap();
            a_second().await;
            write(&file, b"late", 0).unwrap();
            file.sync_data().await.unwrap();
            a_second().await;
            file.sync_data().await.unwrap();
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| faults.sync_lies = Rate::OneIn(1));
        clock::sleep(Duration::from_secs(1)).await;
        assert_eq!(durable(node, "/data/log").unwrap(), b"");
        control::heal(node);
        clock::sleep(Duration::from_secs(2)).await;
        assert_eq!(durable(node, "/data/log").unwrap(), b"late");
    });
}

#[test]
fn a_misdirected_write_leaves_its_place_as_it_was_and_the_size_right() {
    for seed in 0..20 {
        run(seed, || async {
            let node = started(|| async {
                let file = open("/data/log");
                write(&file, &[b'.'; 64], 0).unwrap();
                a_second().await;
                write(&file, b"lost", 64).unwrap();
                write(&file, b"kept", 68).unwrap();
            });
            clock::sleep(Duration::from_millis(500)).await;
            control::set_faults(node, |faults| faults.misdirected_writes = Rate::Next(1));
            clock::sleep(Duration::from_secs(2)).await;
            assert_eq!(control::faults_fired(node), BTreeMap::from([("misdirected-write", 1)]));
            assert_eq!(current(node, "/data/log").unwrap().len(), 72);
            assert_eq!(current(node, "/data/log").unwrap()[68..], *b"kept");
        });
    }
}

#[test]
fn a_lost_sector_cannot_be_read_until_the_disk_is_well_and_its_neighbours_can() {
    run(1, || async {
        let node = started(|| async {
            let file = open("/data/log");
            write(&file, &[7; 2048], 0).unwrap();
            a_second().await;
            let mut sector = [0; 512];
            assert_eq!(file.read_at(&mut sector, 512).unwrap_err().raw_os_error(), EIO);
            assert_eq!(file.read_at(&mut [0; 1024], 0).unwrap_err().raw_os_error(), EIO);
            assert_eq!(file.read_at(&mut sector, 0).unwrap(), 512);
            assert_eq!(file.read_at(&mut sector, 1024).unwrap(), 512);
            a_second().await;
            assert_eq!(file.read_at(&mut sector, 512).unwrap(), 512);
        });
        clock::sleep(Duration::from_millis(500)).await;
        control::set_faults(node, |faults| {
            faults.lost_sectors.insert(("/data/log".into(), 700));
        });
        clock::sleep(Duration::from_secs(1)).await;
        control::heal(node);
        clock::sleep(Duration::from_secs(2)).await;
        assert!(world::is_running(node));
        assert_eq!(control::faults_fired(node), BTreeMap::from([("sector-lost", 2)]));
    });
}
