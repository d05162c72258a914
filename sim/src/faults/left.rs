//! What the heal leaves broken.

use super::{Injector, Name};
use crate::history::{DiskOperation, Errno, Failure};
use crate::scenario::{BrokenDisk, Damage};

impl Injector {
    /// The disk is well by now, whatever befell it in the storm, and is so no more.
    pub(super) fn break_disk_for_good(&mut self, target: &Name, how: BrokenDisk) {
        match how {
            BrokenDisk::Fails => {
                self.break_disk(target, DiskOperation::Write, Failure::Plain, Errno::Eio, 1);
                if self.damage > Damage::NoLoss {
                    self.break_disk(target, DiskOperation::Fsync, Failure::Plain, Errno::Eio, 1);
                }
            }
            BrokenDisk::WritesHang => {
                self.hang_disk(target, Some(DiskOperation::Write), None);
                self.hang_disk(target, Some(DiskOperation::Fsync), None);
            }
            BrokenDisk::Hangs => self.hang_disk(target, None, None),
        }
    }
}
