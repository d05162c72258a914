//! What faults did to a disk, for the testbed: operations that they struck, and stored bytes that are not what was
//! written.
//!
//! A fault that is armed and meets no operation has no effect, and is not here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::names::InodeId;
use super::tree::Tree;
use crate::runtime::sim::identity::NodeId;

/// Nobody asks for them in a run without a testbed.
const EFFECTS_MAX: usize = 10_000;

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An operation met the fault.
    Struck { node: NodeId, fault: &'static str },
    /// These bytes of the file are lost, or others.
    Damaged {
        node: NodeId,
        fault: &'static str,
        path: PathBuf,
        bytes: Range<u64>,
        /// The file as programs had reason to take it to be.
        meant: Vec<u8>,
    },
}

thread_local! {
    static EFFECTS: RefCell<Vec<Effect>> = const { RefCell::new(Vec::new()) };
}

/// A run begins.
pub(super) fn forget() {
    EFFECTS.with_borrow_mut(Vec::clear);
}

/// What happened since the last call, in order.
pub fn take_effects() -> Vec<Effect> {
    EFFECTS.with_borrow_mut(std::mem::take)
}

fn note(effect: Effect) {
    EFFECTS.with_borrow_mut(|effects| {
        if effects.len() < EFFECTS_MAX {
            effects.push(effect);
        }
    });
}

pub(super) fn struck(node: NodeId, fault: &'static str) {
    note(Effect::Struck { node, fault });
}

/// `meant`: the file before.
pub(super) fn damaged(node: NodeId, fault: &'static str, path: PathBuf, bytes: Range<u64>, meant: Vec<u8>) {
    if !bytes.is_empty() {
        note(Effect::Damaged { node, fault, path, bytes, meant });
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
        damaged(node, "misdirected-write", path.clone(), bytes, meant.clone());
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
        damaged(node, fault, path, bytes, meant);
    }
}
