//! Files that somebody damaged: an answer or an error, never a panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::runtime::disk::{self, OpenMode};

#[derive(Clone, Debug)]
enum Damage {
    Overwrite { file: prop::sample::Index, at: prop::sample::Index, bytes: Vec<u8> },
    Cut { file: prop::sample::Index, at: prop::sample::Index },
    Remove { file: prop::sample::Index },
    Copy { from: prop::sample::Index, to: prop::sample::Index },
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let index = any::<prop::sample::Index>;
    let damage = prop_oneof![
        4 => (index(), index(), vec(any::<u8>(), 1..20))
            .prop_map(|(file, at, bytes)| Damage::Overwrite { file, at, bytes }),
        2 => (index(), index()).prop_map(|(file, at)| Damage::Cut { file, at }),
        1 => index().prop_map(|file| Damage::Remove { file }),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Copy { from, to }),
    ];
    vec(damage, 1..4)
}

fn inflict(directory: &std::path::Path, damage: &Damage) {
    let files: Vec<_> = disk::read_dir(directory).unwrap().into_iter().map(|entry| entry.name).collect();
    let Some(last) = files.len().checked_sub(1) else { return };
    let path = |file: &prop::sample::Index| directory.join(&files[file.index(last + 1)]);
    let open = |path: &std::path::Path| disk::open(path, OpenMode::ReadWrite).unwrap();
    match damage {
        Damage::Overwrite { file, at, bytes } => {
            let file = open(&path(file));
            let at = at.index(file.len().unwrap() as usize + 1) as u64;
            file.write_at(&[std::io::IoSlice::new(bytes)], at).unwrap();
        }
        Damage::Cut { file, at } => {
            let file = open(&path(file));
            file.truncate(at.index(file.len().unwrap() as usize + 1) as u64).unwrap();
        }
        Damage::Remove { file } => disk::remove_file(&path(file)).unwrap(),
        Damage::Copy { from, to } => {
            let from = open(&path(from));
            let bytes = bytes_of(&FileRange { len: from.len().unwrap(), file: from, offset: 0 });
            let to = open(&path(to));
            to.truncate(0).unwrap();
            to.write_at(&[std::io::IoSlice::new(&bytes)], 0).unwrap();
        }
    }
}

/// Uses everything; how it ends is all the same.
async fn use_it(mut log: Log) {
    let mut at = log.log_start();
    while let Ok(Some(range)) = log.read(at, 700, log.log_end(), true) {
        let bytes = bytes_of(&range);
        let last = batches_exact(bytes).filter_map(Result::ok).last();
        let next = last.and_then(|batch| BatchHeader::parse(&batch).ok()).map(|header| header.next_offset());
        at = next.filter(|next| *next > at).unwrap_or(at.next());
    }
    let found = log.lookup_timestamp(Timestamp(10), log.log_end());
    assert!(found.is_ok() || found.is_err());
    if log.append(&[batch(2, 100), batch(1, 3000)], LeaderEpoch(i32::MAX)).is_ok() {
        assert_eq!(flush(&mut log).await, log.log_end());
        log.close_clean().await.unwrap();
    }
}

async fn play(data: PathBuf, clean: bool, damages: Vec<Damage>) {
    let mut log = open(&data, small()).await;
    for n in 0..30 {
        log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        if n == 20 {
            flush(&mut log).await;
        }
    }
    let directory = log.directory.clone();
    if clean {
        log.close_clean().await.unwrap();
    } else {
        drop(log);
    }
    damages.iter().for_each(|damage| inflict(&directory, damage));
    if let Ok(log) = try_open(&data, small()).await {
        use_it(log).await;
        // What was accepted once, and has been appended to, is accepted again.
        use_it(open(&data, small()).await).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(clean: bool, damages in damages()) {
        on_disk(move |data| play(data, clean, damages));
    }
}
