//! The testbed's side of the disks: faults, damage, and a look at what is stored.
//!
//! Nothing here belongs to a process: it works on a node's disk whoever lives there, or nobody.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::effects;
use super::faults::{Faults, Operation, Tally};
use super::on_machine;
use crate::runtime::Instant;
use crate::runtime::sim::identity::{Identity, NodeId};
use crate::runtime::sim::trace::{self, Kind, mix};
use crate::runtime::sim::world;

fn trace_damage(node: NodeId, what: &str, payload: u64) {
    let nobody = Identity { node, incarnation: 0 };
    trace::event_of(nobody, Kind::Fault, mix(trace::hash_bytes(what.as_bytes()), payload));
}

/// What is wrong with the node's disk now; counts that ran down are at what is left.
pub fn faults(node: NodeId) -> Faults {
    on_machine(node, |machine| machine.faults.clone())
}

/// Changes what is wrong with the node's disk, from the next operation on.
pub fn set_faults(node: NodeId, change: impl FnOnce(&mut Faults)) {
    on_machine(node, |machine| change(&mut machine.faults));
}

/// The disk works well from now on; what it lost stays lost.
pub fn heal(node: NodeId) {
    set_faults(node, |faults| *faults = Faults::default());
}

/// How often each kind of fault has struck an operation.
pub fn faults_fired(node: NodeId) -> Tally {
    on_machine(node, |machine| machine.faults_fired.clone())
}

/// When a process of the node last did such an operation.
pub fn last_performed(node: NodeId, operation: Operation) -> Option<Instant> {
    on_machine(node, |machine| machine.performed.get(&operation).copied())
}

/// How often power failures dealt with a file (or a directory) in each way of the crash model.
pub fn losses(node: NodeId) -> Tally {
    on_machine(node, |machine| machine.losses.clone())
}

/// Puts an empty disk into the machine. Panics if its process runs.
pub fn wipe(node: NodeId) {
    assert!(!world::is_running(node), "node {node} is running and would lose its disk under its feet");
    trace_damage(node, "wipe", 0);
    on_machine(node, |machine| {
        let before = effects::images(&machine.tree);
        machine.wipe();
        effects::note_losses(node, "wipe", before, &machine.tree);
    });
}

/// Flips the lowest bit of the byte at `offset`, in page cache and storage. False if there is no such byte.
pub fn flip_bit(node: NodeId, path: &Path, offset: u64) -> bool {
    trace_damage(node, "flip-bit", offset);
    note_damage(node, "flip-bit", path, |len| offset..len.min(offset + 1));
    damage(node, path, |image| {
        if let Some(byte) = usize::try_from(offset).ok().and_then(|offset| image.get_mut(offset)) {
            *byte ^= 1;
        }
    })
    .is_some_and(|len| offset < len)
}

/// Flips the lowest bit of the byte at `offset` on the device. Programs read what is in the page cache until their
/// process, or the machine, begins anew. False if the device has no such byte.
pub fn rot_bit(node: NodeId, path: &Path, offset: u64) -> bool {
    trace_damage(node, "rot-bit", offset);
    // From now on: nobody can say when the page cache goes.
    note_damage(node, "flip-bit", path, |len| offset..len.min(offset + 1));
    on_machine(node, |machine| {
        let file = machine.tree.resolve(path).ok().and_then(|inode| machine.tree.file_mut(inode));
        file.zip(usize::try_from(offset).ok()).is_some_and(|(file, offset)| file.rot(offset))
    })
}

/// Leaves so many bytes free on the disk.
pub fn leave_free(node: NodeId, free_bytes: u64) {
    on_machine(node, |machine| {
        machine.tree.sweep();
        machine.faults.capacity_bytes = Some(machine.tree.used_bytes() + free_bytes);
    });
}

/// Cuts a file to at most `len` bytes, in page cache and storage. False if there is no such file.
pub fn truncate_file(node: NodeId, path: &Path, len: u64) -> bool {
    trace_damage(node, "truncate-file", len);
    note_damage(node, "truncate-file", path, |before| len..before);
    damage(node, path, |image| image.truncate(usize::try_from(len).unwrap_or(usize::MAX))).is_some()
}

/// Removes a file, in page cache and storage. False if there is no such file.
pub fn delete_file(node: NodeId, path: &Path) -> bool {
    trace_damage(node, "remove-file", 0);
    note_damage(node, "remove-file", path, |before| 0..before);
    on_machine(node, |machine| {
        let is_removed = machine.tree.remove_file(path).is_ok();
        let parent = path.parent().unwrap_or(Path::new("/"));
        if let Ok((directory, mark)) = machine.tree.directory_mark(parent) {
            machine.tree.harden_names(directory, mark);
        }
        is_removed
    })
}

/// Says which bytes of the file will be damaged; given its length.
fn note_damage(node: NodeId, fault: &'static str, path: &Path, bytes: impl FnOnce(u64) -> Range<u64>) {
    if let Some(before) = current_image(node, path) {
        let bytes = bytes(before.len() as u64);
        on_machine(node, |machine| {
            let inode = machine.tree.resolve(path).ok();
            machine.damaged.extend(inode.map(|inode| (inode, bytes.clone())));
        });
        // What is cut off is not there; a bit that flips leaves its byte's others.
        let now = if fault == "flip-bit" { before.clone() } else { Vec::new() };
        effects::damaged(node, fault, path.to_owned(), bytes, before, &now);
    }
}

/// The file's length before, if there is such a file.
fn damage(node: NodeId, path: &Path, damage: impl Fn(&mut Vec<u8>)) -> Option<u64> {
    on_machine(node, |machine| {
        let inode = machine.tree.resolve(path).ok()?;
        let file = machine.tree.file_mut(inode)?;
        let len = file.current().len() as u64;
        file.damage(damage);
        Some(len)
    })
}

/// The bytes that programs see at `path`.
pub fn current_image(node: NodeId, path: &Path) -> Option<Vec<u8>> {
    on_machine(node, |machine| {
        let inode = machine.tree.resolve(path).ok()?;
        Some(machine.tree.file(inode)?.current().to_vec())
    })
}

/// The bytes that would be at `path` if the power failed and nothing unsynced survived, names included.
pub fn durable_image(node: NodeId, path: &Path) -> Option<Vec<u8>> {
    on_machine(node, |machine| {
        let inode = machine.tree.resolve_durable(path).ok()?;
        Some(machine.tree.file(inode)?.durable().to_vec())
    })
}

/// Where a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As programs see it.
    Current,
    /// What is there if the power fails and nothing unsynced survives, names included.
    Durable,
    /// The same, if the device had never lied about a sync.
    Claimed,
}

/// The bytes at `path` from byte `from` on; `None` where no such name is there.
pub fn bytes_from(node: NodeId, path: &Path, view: View, from: u64) -> Option<Vec<u8>> {
    on_machine(node, |machine| {
        let tree = &machine.tree;
        let inode = match view {
            View::Current => tree.resolve(path),
            View::Durable => tree.resolve_durable(path),
            View::Claimed => tree.resolve_claimed(path),
        };
        let file = tree.file(inode.ok()?)?;
        let bytes = match view {
            View::Current => file.current(),
            View::Durable => file.durable(),
            View::Claimed => file.claimed(),
        };
        Some(bytes.get(from as usize..).unwrap_or_default().to_vec())
    })
}

/// Where the last write to the file at `path` went; nowhere if there was none.
pub fn last_write(node: NodeId, path: &Path) -> Range<u64> {
    on_machine(node, |machine| {
        let file = machine.tree.resolve(path).ok().and_then(|inode| machine.tree.file(inode));
        file.map_or(0..0, |file| file.last_write.clone())
    })
}

/// Every file that programs see, sorted.
pub fn list_files(node: NodeId) -> Vec<PathBuf> {
    on_machine(node, |machine| machine.tree.paths())
}
