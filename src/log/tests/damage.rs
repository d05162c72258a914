//! Files that somebody damaged, or wrote on purpose: an answer or an error, never a panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::log::LogError;
use crate::log::names::log_path;
use crate::record::CRC_START;
use crate::runtime::disk::{self, OpenMode};

#[derive(Clone, Debug)]
enum Damage {
    Overwrite {
        file: prop::sample::Index,
        at: prop::sample::Index,
        bytes: Vec<u8>,
    },
    Cut {
        file: prop::sample::Index,
        at: prop::sample::Index,
    },
    Remove {
        file: prop::sample::Index,
    },
    Copy {
        from: prop::sample::Index,
        to: prop::sample::Index,
    },
    /// Overwrites, and makes the CRC over it right.
    Forge {
        file: prop::sample::Index,
        at: prop::sample::Index,
        bytes: Vec<u8>,
    },
}

/// Numbers that checks are likely to forget, and any others.
fn number() -> impl Strategy<Value = Vec<u8>> {
    let long = prop_oneof![
        Just(i64::MAX),
        Just(i64::MIN),
        Just(-1),
        Just(0),
        Just(1 << 31),
        Just(1 << 32),
        any::<i64>()
    ];
    let short = prop_oneof![Just(i32::MAX), Just(i32::MIN), Just(-1), Just(0), any::<i32>()];
    prop_oneof![
        long.prop_map(|number| number.to_be_bytes().to_vec()),
        short.prop_map(|number| number.to_be_bytes().to_vec()),
        vec(any::<u8>(), 1..20),
    ]
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let index = any::<prop::sample::Index>;
    let damage = prop_oneof![
        4 => (index(), index(), vec(any::<u8>(), 1..20))
            .prop_map(|(file, at, bytes)| Damage::Overwrite { file, at, bytes }),
        2 => (index(), index()).prop_map(|(file, at)| Damage::Cut { file, at }),
        1 => index().prop_map(|file| Damage::Remove { file }),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Copy { from, to }),
        8 => (index(), index(), number())
            .prop_map(|(file, at, bytes)| Damage::Forge { file, at, bytes }),
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
        Damage::Forge { file, at, bytes } => {
            let path = path(file);
            let file = open(&path);
            let mut content =
                bytes_of(&FileRange { len: file.len().unwrap(), file: file.clone(), offset: 0 }).to_vec();
            forge(&path, &mut content, at, bytes);
            file.truncate(0).unwrap();
            file.write_at(&[std::io::IoSlice::new(&content)], 0).unwrap();
        }
    }
}

/// Half of the time where structure is dense: the header of a batch, the summary of an index.
fn forge(path: &std::path::Path, content: &mut [u8], at: &prop::sample::Index, bytes: &[u8]) {
    let name = path.file_name().unwrap().to_string_lossy();
    let parts: Vec<std::ops::Range<usize>> = match name.rsplit('.').next() {
        Some("log") => batches_in(content),
        Some("index") => index_parts(content),
        _ => std::iter::once(0..content.len()).collect(),
    };
    let Some(last) = parts.len().checked_sub(1) else { return };
    let part = parts[at.index(last + 1)].clone();
    let at = part.start + at.index(part.len().max(1)).min(at.index(64));
    let end = (at + bytes.len()).min(part.end);
    content[at..end].copy_from_slice(&bytes[..end - at]);
    let part = &mut content[part];
    match name.rsplit('.').next() {
        Some("log") if part.len() > CRC_START => {
            let crc = crc32c::crc32c(&part[CRC_START..]);
            part[CRC_START - 4..CRC_START].copy_from_slice(&crc.to_be_bytes());
        }
        Some("index") if part.len() == INDEX_ENTRY_BYTES => {
            let base: i64 = name.split('.').next().unwrap().parse().unwrap();
            let crc = crc32fast::hash(&[&base.to_be_bytes(), &part[..8]].concat());
            part[8..].copy_from_slice(&crc.to_be_bytes());
        }
        _ if part.len() > 4 => {
            let (body, crc) = part.split_last_chunk_mut::<4>().unwrap();
            *crc = crc32fast::hash(body).to_be_bytes();
        }
        _ => {}
    }
}

const INDEX_SUMMARY_BYTES: usize = 52;
const INDEX_ENTRY_BYTES: usize = 12;

/// Where the batches of a segment lie, as far as they can be followed.
fn batches_in(content: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(Ok(header)) = content.get(at..).map(BatchHeader::parse)
        && at + header.size() <= content.len()
    {
        parts.push(at..at + header.size());
        at += header.size();
    }
    parts
}

fn index_parts(content: &[u8]) -> Vec<std::ops::Range<usize>> {
    if content.len() < INDEX_SUMMARY_BYTES {
        return Vec::new();
    }
    let summary = std::iter::repeat_n(0..INDEX_SUMMARY_BYTES, 8);
    let entries = (INDEX_SUMMARY_BYTES..content.len()).step_by(INDEX_ENTRY_BYTES);
    summary.chain(entries.map(|at| at..(at + INDEX_ENTRY_BYTES).min(content.len()))).collect()
}

/// What is left of a range whose file somebody may have cut off: a connection that sends it closes there.
fn bytes_still_there(range: &FileRange) -> Bytes {
    let len = range.file.len().unwrap().saturating_sub(range.offset).min(range.len);
    bytes_of(&FileRange { len, ..range.clone() })
}

/// Uses everything; how it ends is all the same.
async fn use_it(mut log: Log, cut_at: i64) {
    let mut at = log.log_start();
    while let Ok(Some(range)) = log.read(at, 700, log.log_end(), true) {
        let bytes = bytes_still_there(&range);
        let last = batches_exact(bytes).filter_map(Result::ok).last();
        let next = last.and_then(|batch| BatchHeader::parse(&batch).ok()).map(|header| header.next_offset());
        at = next.filter(|next| *next > at).unwrap_or(at.next());
    }
    for at in [0, 10, i64::MAX] {
        let found = look_up(&log, TimeTarget::AtOrAfter(Timestamp(at)), log.log_end());
        assert!(found.is_ok() || found.is_err());
    }
    let found = look_up(&log, TimeTarget::Largest, log.log_end());
    assert!(found.is_ok() || found.is_err());
    if cut_at % 3 == 0 && truncate(&mut log, Offset(cut_at)).await.is_err() {
        return;
    }
    if log.append(&[batch(2, 100), batch(1, 3000)], LeaderEpoch(i32::MAX)).is_ok() {
        assert_eq!(flush(&mut log).await, log.log_end());
        log.close_clean().await.unwrap();
    }
}

async fn truncate(log: &mut Log, end: Offset) -> Result<(), LogError> {
    if let Some(ticket) = log.begin_truncate(end)? {
        ticket.run().await?;
        log.checkpoint_lowered(ticket);
    }
    log.truncate(end)
}

/// How the log is while its files are damaged.
#[derive(Clone, Copy, Debug)]
enum Use {
    ClosedCleanly,
    Abandoned,
    Open,
}

fn uses() -> impl Strategy<Value = Use> {
    prop_oneof![Just(Use::ClosedCleanly), Just(Use::Abandoned), Just(Use::Open)]
}

async fn play(data: PathBuf, during: Use, damages: Vec<Damage>, cut_at: i64) {
    let mut log = open(&data, small()).await;
    for n in 0..30 {
        log.append(&[batch_at(n, 2, 50)], EPOCH).unwrap();
        if n == 20 {
            flush(&mut log).await;
            checkpoint(&mut log).await;
        }
    }
    let directory = log.directory.clone();
    let mut open = None;
    match during {
        Use::ClosedCleanly => log.close_clean().await.unwrap(),
        Use::Abandoned => drop(log),
        Use::Open => open = Some(log),
    }
    damages.iter().for_each(|damage| inflict(&directory, damage));
    if let Some(log) = open {
        use_it(log, cut_at).await;
    }
    for _ in 0..2 {
        if let Ok(log) = try_open(&data, small()).await {
            use_it(log, cut_at).await;
        }
    }
}

/// No CRC covers an epoch. What other batches say of it is all there is.
#[test]
fn an_epoch_that_cannot_be_is_not_answered() {
    on_disk(|data| async move {
        let mut log = open(&data, LogConfig::default()).await;
        log.append(&[batch_at(1_000, 1, 10), batch_at(2_000, 1, 10)], EPOCH).unwrap();
        let path = log_path(&log.directory, Offset(0));
        let second_epoch = log.size() / 2 + 12;
        let file = disk::open(&path, OpenMode::ReadWrite).unwrap();
        file.write_at(&[std::io::IoSlice::new(&[0x40])], second_epoch).unwrap();

        let found = |target| {
            let found = look_up(&log, target, log.log_end()).unwrap().expect("a record");
            (found.offset, found.epoch)
        };
        assert_eq!(found(TimeTarget::AtOrAfter(Timestamp(1_000))), (Offset(0), EPOCH));
        assert_eq!(found(TimeTarget::AtOrAfter(Timestamp(2_000))), (Offset(1), LeaderEpoch::UNKNOWN));
        assert_eq!(found(TimeTarget::Largest), (Offset(1), LeaderEpoch::UNKNOWN));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(during in uses(), damages in damages(), cut_at in -1_i64..70) {
        on_disk(move |data| play(data, during, damages, cut_at));
    }
}
