//! Disks: operations that fail, no space left, and limping. What is lost in a power failure is the crash
//! model's choice, not this file's.

use std::path::{Path, PathBuf};

use seedlog::runtime::sim::disk::{self, FailedSync, Operation, Rate, Slow};

use super::{Injector, Name};
use crate::cluster::LOG_DIR;
use crate::history::{DiskOperation, Failure, Injected};
use crate::scenario::{Damage, Place};

impl Injector {
    /// Operations of this kind fail until the disk is cured: one in so many of them, or the next one alone (0).
    pub(super) fn break_disk(
        &mut self,
        target: &Name,
        operation: DiskOperation,
        failure: Failure,
        one_in: u32,
    ) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskError { target: target.clone(), operation, failure, one_in });
        let rate = if one_in == 0 { Rate::Next(1) } else { Rate::OneIn(one_in.into()) };
        disk::set_faults(self.cluster.node(target), |faults| match operation_of(operation) {
            Operation::Read => faults.read_errors = rate,
            Operation::Write if failure == Failure::Short => faults.short_writes = rate,
            Operation::Write => faults.write_errors = rate,
            Operation::Sync => {
                faults.sync_errors = rate;
                faults.failed_sync = match failure {
                    Failure::Plain | Failure::Short => FailedSync::KeepsNewBytes,
                    Failure::Reverts => FailedSync::Reverts,
                    Failure::Late => FailedSync::ReportsNextTime,
                };
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
    pub(super) fn slow_disk(&mut self, target: &Name, factor: u32, stalls_node: bool) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskSlow { target: target.clone(), factor, stalls: stalls_node });
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

    /// A sector can no longer be read: of the file that is named, or of one of the node's logs; whether there
    /// was one.
    pub(super) fn lose_sector(&mut self, target: &Name, place: Option<&Place>) -> bool {
        let Some((path, offset)) = self.byte_of_log(target, place) else { return false };
        self.ill_disks.insert(target.clone());
        let file = path.display().to_string().into();
        self.state(Injected::DiskSectorLost { target: target.clone(), file, offset });
        disk::set_faults(self.cluster.node(target), |faults| {
            faults.lost_sectors.insert((path, offset));
        });
        true
    }

    /// A bit flips for good, in the file that is named or in one of the node's logs; whether there was one.
    pub(super) fn flip_bit(&mut self, target: &Name, place: Option<&Place>) -> bool {
        let Some((path, offset)) = self.byte_of_log(target, place) else { return false };
        let file = path.display().to_string().into();
        self.state(Injected::BitFlip { target: target.clone(), file, offset });
        disk::flip_bit(self.cluster.node(target), &path, offset)
    }

    /// Cuts a file off for good: the one that is named, or a drawn one; whether there was one.
    pub(super) fn truncate(&mut self, target: &Name, place: Option<&Place>) -> bool {
        let found = match place {
            Some(place) => self.byte_at(target, place),
            None => {
                // Without an index everything is found, and it is made anew; the rest is over budget.
                let over_budget = self.damage == Damage::Anything;
                let ends: &[&str] =
                    if over_budget { &[".log", ".index", "/checkpoint"] } else { &[".index"] };
                let end = *self.draws.pick(ends).expect("not empty");
                self.draw_byte(target, end)
            }
        };
        let Some((path, length)) = found else { return false };
        let file = path.display().to_string().into();
        self.state(Injected::FileTruncated { target: target.clone(), file, length });
        disk::truncate_file(self.cluster.node(target), &path, length)
    }

    fn byte_of_log(&mut self, target: &Name, place: Option<&Place>) -> Option<(PathBuf, u64)> {
        match place {
            Some(place) => self.byte_at(target, place),
            None => self.draw_byte(target, ".log"),
        }
    }

    /// The byte that is named, if the node has it.
    fn byte_at(&self, target: &Name, place: &Place) -> Option<(PathBuf, u64)> {
        let path = Path::new(LOG_DIR).join(&place.file);
        let image = disk::current_image(self.cluster.node(target), &path)?;
        (place.offset < image.len() as u64).then_some((path, place.offset))
    }

    /// A byte of one of the node's files whose names end like this.
    fn draw_byte(&mut self, target: &Name, end: &str) -> Option<(PathBuf, u64)> {
        let node = self.cluster.node(target);
        let mut files = disk::list_files(node);
        files.retain(|path| path.starts_with(LOG_DIR) && path.to_string_lossy().ends_with(end));
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
