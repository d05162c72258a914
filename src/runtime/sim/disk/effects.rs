//! What faults did to a disk: which stored bytes are not what was written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::names::InodeId;
use super::tree::Tree;
use crate::runtime::sim::effects::{self, Effect};
use crate::runtime::sim::identity::NodeId;

/// `meant`: the file before; `now`: what is in the place of the bytes, as far as the file goes.
pub(super) fn damaged(
    node: NodeId,
    fault: &'static str,
    path: PathBuf,
    bytes: Range<u64>,
    meant: Vec<u8>,
    now: &[u8],
) {
    if !bytes.is_empty() {
        let is_blank = now.iter().all(|byte| *byte == 0);
        effects::note(Effect::Damaged { node, fault, path, bytes, meant, is_blank });
    }
}

/// A write that was meant for `offset` goes to `landed`.
pub(super) fn went_astray(
    node: NodeId,
    tree: &Tree,
    inode: InodeId,
    written: &[u8],
    [landed, offset]: [usize; 2],
) {
    let is_it = |path: &PathBuf| tree.resolve(path).is_ok_and(|found| found == inode);
    let (Some(path), Some(file)) = (tree.paths().into_iter().find(is_it), tree.file(inode)) else { return };
    let mut meant = file.current().to_vec();
    meant.resize(meant.len().max(offset + written.len()), 0);
    meant[offset..offset + written.len()].copy_from_slice(written);
    for place in [landed, offset] {
        let bytes = place as u64..(place + written.len()) as u64;
        damaged(node, "misdirected-write", path.clone(), bytes, meant.clone(), written);
    }
}

/// Every file that programs see.
pub(super) fn images(tree: &Tree) -> BTreeMap<PathBuf, Vec<u8>> {
    let image = |path: PathBuf| {
        let current = tree.resolve(&path).ok().and_then(|inode| tree.file(inode))?.current().to_vec();
        Some((path, current))
    };
    tree.paths().into_iter().filter_map(image).collect()
}

/// From the first byte on that is another one than before.
pub(super) fn note_losses(
    node: NodeId,
    fault: &'static str,
    before: BTreeMap<PathBuf, Vec<u8>>,
    tree: &Tree,
) {
    for (path, meant) in before {
        let now = tree.resolve(&path).ok().and_then(|inode| tree.file(inode));
        let now = now.map_or(&[][..], |file| file.current());
        let alike = now.iter().zip(&meant).take_while(|(now, before)| now == before).count();
        let bytes = alike as u64..meant.len() as u64;
        damaged(node, fault, path, bytes, meant, &now[alike..]);
    }
}
