//! Disks: operations that fail, no space left, and limping. What is lost in a power failure is the crash
//! model's choice, not this file's.

use std::path::PathBuf;

use seedlog::runtime::sim::disk::{self, FailedSync, Operation, Rate, Slow};

use super::{Injector, Name};
use crate::history::{DiskOperation, Injected};

impl Injector {
    /// Operations of this kind fail at `rate` until the disk is cured: writes before or after a part of them was
    /// done, fsyncs with the new bytes or the old ones left to read.
    pub(super) fn break_disk(&mut self, target: &Name, operation: DiskOperation, rate: Rate) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskError { target: target.clone(), operation });
        let is_other_kind = self.draws.chance(1, 3);
        disk::set_faults(self.cluster.node(target), |faults| match operation_of(operation) {
            Operation::Read => faults.read_errors = rate,
            Operation::Write if is_other_kind => faults.short_writes = rate,
            Operation::Write => faults.write_errors = rate,
            Operation::Sync => {
                faults.sync_errors = rate;
                faults.failed_sync =
                    if is_other_kind { FailedSync::Reverts } else { FailedSync::KeepsNewBytes };
            }
            Operation::Rename => faults.rename_errors = rate,
        });
    }

    /// Nothing that grows fits any more.
    pub(super) fn fill_disk(&mut self, target: &Name) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskFull { target: target.clone() });
        disk::set_faults(self.cluster.node(target), |faults| faults.capacity_bytes = Some(0));
    }

    /// Everything takes `factor` times as long.
    pub(super) fn slow_disk(&mut self, target: &Name, factor: u32) {
        let stalls_node = self.draws.chance(1, 2);
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskSlow { target: target.clone(), factor });
        disk::set_faults(self.cluster.node(target), |faults| {
            faults.slow = Some(Slow { factor, stalls_node })
        });
    }

    /// Fsyncs succeed, and store nothing.
    pub(super) fn lie_about_syncs(&mut self, target: &Name) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskLies { target: target.clone() });
        disk::set_faults(self.cluster.node(target), |faults| faults.sync_lies = Rate::OneIn(1));
    }

    /// The next write lands elsewhere in its file.
    pub(super) fn misdirect_write(&mut self, target: &Name) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskMisdirects { target: target.clone() });
        disk::set_faults(self.cluster.node(target), |faults| faults.misdirected_writes = Rate::Next(1));
    }

    /// A sector of one of the node's logs can no longer be read; whether there was one.
    pub(super) fn lose_sector(&mut self, target: &Name) -> bool {
        let Some((path, offset)) = self.draw_byte_of_log(target) else { return false };
        self.ill_disks.insert(target.clone());
        let file = path.display().to_string().into();
        self.state(Injected::DiskSectorLost { target: target.clone(), file, offset });
        disk::set_faults(self.cluster.node(target), |faults| {
            faults.lost_sectors.insert((path, offset));
        });
        true
    }

    /// A bit of one of the node's logs flips, for good; whether there was one.
    pub(super) fn flip_bit(&mut self, target: &Name) -> bool {
        let Some((path, offset)) = self.draw_byte_of_log(target) else { return false };
        let file = path.display().to_string().into();
        self.state(Injected::BitFlip { target: target.clone(), file, offset });
        disk::flip_bit(self.cluster.node(target), &path, offset)
    }

    /// A byte of what a log of the node holds.
    fn draw_byte_of_log(&mut self, target: &Name) -> Option<(PathBuf, u64)> {
        let node = self.cluster.node(target);
        let mut files = disk::list_files(node);
        files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        let lengths = files.into_iter().filter_map(|path| {
            let len = disk::current_image(node, &path)?.len() as u64;
            (len > 0).then_some((path, len))
        });
        let lengths: Vec<(PathBuf, u64)> = lengths.collect();
        let (path, len) = self.draws.pick(&lengths)?.clone();
        Some((path, self.draws.below(len)))
    }

    /// The disk works well again; what it lost stays lost.
    pub(super) fn cure_disk(&mut self, target: &Name) {
        self.ill_disks.remove(target);
        self.state(Injected::DiskHealthy { target: target.clone() });
        disk::heal(self.cluster.node(target));
    }
}

pub(super) fn operation_of(operation: DiskOperation) -> Operation {
    match operation {
        DiskOperation::Read => Operation::Read,
        DiskOperation::Write => Operation::Write,
        DiskOperation::Fsync => Operation::Sync,
        DiskOperation::Rename => Operation::Rename,
    }
}
