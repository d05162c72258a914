//! The crash model of a file: what a power failure leaves of changes that no sync had made durable.
//!
//! Pure: durable image and pending changes in, the image found after the power is back out. Sectors are
//! written whole except for one that may be torn; the file's size travels apart from its data.

use super::data::Change;
use crate::runtime::random::Rng;

/// What a device writes at once, in bytes.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Which of the ways to lose pending changes a crash took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileSurvival {
    DroppedAll,
    Prefix,
    Sectors,
    SizeWithoutData,
}

impl FileSurvival {
    pub(super) fn name(self) -> &'static str {
        match self {
            FileSurvival::DroppedAll => "dropped-all",
            FileSurvival::Prefix => "prefix",
            FileSurvival::Sectors => "sectors",
            FileSurvival::SizeWithoutData => "size-without-data",
        }
    }
}

/// Draws what `durable` with `pending` on top becomes.
pub(super) fn survive(durable: &[u8], pending: &[Change], draws: &mut Rng) -> (Vec<u8>, FileSurvival) {
    match draws.below(10) {
        0..3 => (durable.to_vec(), FileSurvival::DroppedAll),
        3..6 => (prefix(durable, pending, draws), FileSurvival::Prefix),
        6..8 => (sectors(durable, pending, draws), FileSurvival::Sectors),
        _ => (size_without_data(durable, pending, draws), FileSurvival::SizeWithoutData),
    }
}

fn applied(durable: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut image = durable.to_vec();
    for change in changes {
        change.apply(&mut image);
    }
    image
}

/// Some changes from the first on; of the next, if it is a write, perhaps its beginning.
fn prefix(durable: &[u8], pending: &[Change], draws: &mut Rng) -> Vec<u8> {
    let whole = draws.below(pending.len() as u64 + 1) as usize;
    let mut image = applied(durable, &pending[..whole]);
    if let Some(Change::Write { offset, bytes }) = pending.get(whole)
        && draws.chance(1, 2)
    {
        let kept = draws.below(bytes.len() as u64) as usize;
        Change::Write { offset: *offset, bytes: bytes[..kept].to_vec() }.apply(&mut image);
    }
    image
}

/// Every changed sector for itself is found as it was, as it was at some moment in between, or as it is; one
/// is torn between old and new.
fn sectors(durable: &[u8], pending: &[Change], draws: &mut Rng) -> Vec<u8> {
    let halfway = draws.below(pending.len() as u64 + 1) as usize;
    let between = applied(durable, &pending[..halfway]);
    let newest = applied(&between, &pending[halfway..]);
    let versions = [durable, &between, &newest, &newest];
    let mut draw = |of: &[&[u8]]| draws.below(of.len() as u64) as usize;

    let longest = versions.iter().map(|version| version.len()).max().unwrap_or_default();
    let mut image = durable.to_vec();
    image.resize(longest, 0);
    let mut changed = Vec::new();
    for start in (0..longest).step_by(SECTOR_BYTES as usize) {
        let end = longest.min(start + SECTOR_BYTES as usize);
        let [old, .., new] = versions.map(|version| within(version, start, end));
        if old == new && within(&between, start, end) == old {
            continue;
        }
        copy_into(&mut image[start..end], within(versions[draw(&versions)], start, end));
        changed.push((start, end));
    }
    let len = versions[draw(&versions)].len();
    if let Some(&(start, end)) = draws.pick(&changed) {
        let torn_at = start + draws.below((end - start) as u64) as usize;
        copy_into(&mut image[start..torn_at], within(&newest, start, torn_at));
        copy_into(&mut image[torn_at..end], within(durable, torn_at, end));
    }
    image.truncate(len);
    image
}

/// The part of `image` in `start..end` that exists.
fn within(image: &[u8], start: usize, end: usize) -> &[u8] {
    &image[start.min(image.len())..end.min(image.len())]
}

/// What the source does not have reads as zeros.
fn copy_into(target: &mut [u8], source: &[u8]) {
    let (head, tail) = target.split_at_mut(source.len());
    head.copy_from_slice(source);
    tail.fill(0);
}

/// The size made it, the bytes did not: what was added is zeros, or whatever the blocks held before.
fn size_without_data(durable: &[u8], pending: &[Change], draws: &mut Rng) -> Vec<u8> {
    let len = applied(durable, pending).len();
    let mut image = durable.to_vec();
    image.resize(len, 0);
    if draws.chance(1, 2) && len > durable.len() {
        draws.fill(&mut image[durable.len()..]);
    }
    image
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    fn change() -> impl Strategy<Value = Change> {
        let write = (0_usize..3000, prop::collection::vec(1_u8..=255, 1..1500))
            .prop_map(|(offset, bytes)| Change::Write { offset, bytes });
        let truncate = (0_usize..3000).prop_map(|len| Change::Truncate { len });
        prop_oneof![5 => write, 1 => truncate]
    }

    proptest! {
        #[test]
        fn whatever_survives_each_untouched_byte_is_as_synced(
            durable in prop::collection::vec(any::<u8>(), 0..2000),
            pending in prop::collection::vec(change(), 1..6),
            seed in any::<u64>(),
        ) {
            let (image, _) = survive(&durable, &pending, &mut Rng::from_seed_u64(seed));
            let mut touched = vec![false; durable.len()];
            for change in &pending {
                let (from, to) = match change {
                    Change::Write { offset, bytes } => (*offset, offset + bytes.len()),
                    Change::Truncate { len } => (*len, usize::MAX),
                };
                touched.iter_mut().take(to).skip(from).for_each(|t| *t = true);
            }
            for (at, byte) in durable.iter().enumerate().filter(|(at, _)| !touched[*at]) {
                prop_assert_eq!(image.get(at), Some(byte), "byte {} was synced and never touched", at);
            }
        }

        #[test]
        fn sectors_hold_old_or_new_bytes(
            durable in prop::collection::vec(any::<u8>(), 0..2000),
            bytes in prop::collection::vec(any::<u8>(), 1..3000),
            seed in any::<u64>(),
        ) {
            let offset = durable.len();
            let pending = [Change::Write { offset, bytes }];
            let newest = applied(&durable, &pending);
            let image = sectors(&durable, &pending, &mut Rng::from_seed_u64(seed));
            for (at, byte) in image.iter().enumerate() {
                let old = durable.get(at).copied().unwrap_or_default();
                prop_assert!(*byte == old || *byte == newest[at]);
            }
        }
    }
}
