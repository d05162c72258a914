//! What a power failure leaves of data and names.

use super::*;

pub const SYNCED: &[u8] = &[b's'; 700];
const UNSYNCED: &[u8] = &[b'u'; 1300];

/// A file with a durable name: 700 synced bytes, then two unsynced appends of 1300.
pub async fn synced_then_appended() {
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
pub async fn random_files() {
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
pub fn count_seeds<F: Future<Output = bool> + 'static>(
    seeds: u64,
    testbed: impl Fn(u64) -> F + Send + Copy + 'static,
) -> u32 {
    (0..seeds).map(|seed| u32::from(run(seed, move || testbed(seed)))).sum()
}
