//! A range of a file that the kernel sends from the page cache: what is sent is what stands there when it is sent, not
//! when it was asked for.

use bytes::Bytes;

use super::names::InodeId;
use super::{File, while_disks_last};
use crate::runtime::sim::identity::NodeId;

/// Pages of a file, whoever has it open.
#[derive(Debug)]
pub(in crate::runtime::sim) struct Pages {
    node: NodeId,
    inode: InodeId,
    power_cycle: u32,
    offset: u64,
}

impl File {
    /// The pages behind what was read at `offset`.
    pub(in crate::runtime::sim) fn pages(&self, offset: u64) -> Pages {
        let handle = &self.0;
        Pages { node: handle.life.node, inode: handle.inode, power_cycle: handle.power_cycle, offset }
    }
}

impl Pages {
    /// Makes of `bytes`, read from these pages before, what the pages hold now. A page that was cut off the file keeps
    /// what it had.
    pub(in crate::runtime::sim) fn refresh(&self, bytes: &mut Bytes) {
        while_disks_last(self.node, |machine| {
            let file = machine.tree.file(self.inode).filter(|_| machine.power_cycle == self.power_cycle);
            let now = file.and_then(|file| file.current().get(self.offset as usize..)).unwrap_or_default();
            let now = &now[..now.len().min(bytes.len())];
            if *now != bytes[..now.len()] {
                let mut changed = bytes.to_vec();
                changed[..now.len()].copy_from_slice(now);
                *bytes = changed.into();
            }
        });
    }
}
