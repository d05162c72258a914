//! The offset index on its own: in memory and in a file it finds the same.

use super::*;
use crate::log::index::offset::{Entry, OffsetIndex, Summary};

const BASE: Offset = Offset(1_000);

/// Entries whose distances come from `distance`, and what a segment would say that has them.
fn entries(count: u32, distance: impl Fn(u32) -> (i64, u32)) -> (Vec<Entry>, Summary) {
    let (mut offset, mut position) = (BASE, 0);
    let mut all = Vec::new();
    for number in 0..count {
        let (offsets, bytes) = distance(number);
        offset = Offset(offset.0 + offsets);
        position += bytes;
        all.push(Entry { offset, position });
    }
    let summary = Summary {
        base: BASE,
        next_offset: Offset(offset.0 + 1),
        log_bytes: u64::from(position) + 100,
        max_timestamp: Timestamp(0),
        last_epoch: EPOCH,
    };
    (all, summary)
}

fn in_memory(entries: &[Entry]) -> OffsetIndex {
    let mut index = OffsetIndex::empty();
    entries.iter().for_each(|entry| index.push(*entry));
    index
}

#[test]
fn a_stored_index_finds_what_it_found_in_memory() {
    on_disk(|directory| async move {
        crate::runtime::disk::create_dir_all(&directory).expect("a directory");
        let evenly = |_| (10, 4096);
        // Nearly all offsets in the first quarter, and nearly all bytes in the last.
        let unevenly = |number| if number % 4 == 0 { (9_000, 1) } else { (1, 200 + number * 3) };
        for count in [0, 1, 340, 341, 342, 343, 700, 3_000] {
            for (shape, (all, summary)) in
                [entries(count, evenly), entries(count, unevenly)].into_iter().enumerate()
            {
                let path = directory.join(format!("{count}-{shape}.index"));
                let memory = in_memory(&all);
                let mut stored = in_memory(&all);
                stored.store(&path, &summary).expect("there is room");

                let around = all.iter().flat_map(|entry| [-1, 0, 1].map(|by| entry.offset.0 + by));
                for offset in around.chain([0, BASE.0, i64::MAX]).map(Offset) {
                    assert_eq!(stored.floor_of_offset(offset), memory.floor_of_offset(offset), "{offset:?}");
                }
                let around = all.iter().flat_map(|entry| [-1, 0, 1].map(|by| i64::from(entry.position) + by));
                for position in around.chain([0, i64::MAX]).filter_map(|at| u64::try_from(at).ok()) {
                    let found = stored.floor_of_position(position);
                    assert_eq!(found, memory.floor_of_position(position), "{position}");
                }
                assert!(stored.load(), "nothing is damaged");
                assert_eq!(stored.floor_of_offset(Offset(i64::MAX)), all.last().copied());
            }
        }
    });
}
