//! Syncs: what one covers, how long it takes, and what it leaves when it fails.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::data::Mark;
use super::super::faults::{FailedSync, Operation, Verdict};
use super::super::names::InodeId;
use super::hang::On;
use super::{Effect, Machine, stale_handle};
use crate::runtime::sim::effects::{NOTICEABLE, struck};
use crate::runtime::sim::identity::Identity;

const SYNC_NANOS_LEAST: u64 = 200_000;
const SYNC_NANOS_MEAN_MORE: u64 = 1_000_000;

/// What a sync covers.
#[derive(Clone, Copy)]
pub(in super::super) enum Covered {
    Data(InodeId, Mark),
    Names(InodeId, Mark),
}

impl Machine {
    /// What a sync that starts now covers.
    pub(in super::super) fn covered_data(&self, inode: InodeId) -> io::Result<Covered> {
        if let Some(mark) = self.tree.names_mark(inode) {
            return Ok(Covered::Names(inode, mark));
        }
        let file = self.tree.file(inode).ok_or_else(stale_handle)?;
        Ok(Covered::Data(inode, file.mark()))
    }

    pub(in super::super) fn covered_names(&self, path: &Path) -> io::Result<Covered> {
        // What a path leads to is synced, whatever it is.
        self.covered_data(self.tree.resolve(path)?)
    }

    /// How long a sync takes.
    pub(in super::super) fn draw_sync_time(&mut self, covered: Covered) -> Duration {
        let healthy = SYNC_NANOS_LEAST + self.latency_draws.exponential(SYNC_NANOS_MEAN_MORE);
        let (Covered::Data(inode, _) | Covered::Names(inode, _)) = covered;
        let slow = self.faults.slow_syncs.iter();
        let slow = slow.filter(|(path, _)| self.tree.resolve(path).is_ok_and(|found| found == inode));
        let factor: u64 = slow.map(|(_, factor)| u64::from(*factor)).product();
        let time = Duration::from_nanos(healthy * self.faults.slowness() * factor);
        if time > Duration::from_nanos(healthy) + NOTICEABLE {
            struck(self.node, "slow");
        }
        time
    }

    /// Whether the sync waits for a device that does not answer.
    pub(in super::super) fn sync_hangs(&self, covered: Covered) -> bool {
        let (Covered::Data(inode, _) | Covered::Names(inode, _)) = covered;
        self.is_hung(Operation::Sync, &On::Inode(inode))
    }

    /// What a description that is opened now counts as told of lost writes.
    pub(in super::super) fn told_at_open(&self, inode: InodeId) -> u32 {
        self.tree.file(inode).map_or(0, |file| file.lost_writes.told_at_open())
    }

    /// A sync has waited for the device and comes to its end. `told` is how much the description that it was asked of
    /// was told of lost writes.
    pub(in super::super) fn finish_sync(
        &mut self,
        life: Identity,
        covered: Covered,
        told: &mut u32,
    ) -> Effect<()> {
        match (self.judge(life, Operation::Sync), covered) {
            // Half of the time the crash comes after the device has done its work.
            (Verdict::Crash(death), _) => {
                if self.fault_draws.chance(1, 2) {
                    self.harden(covered);
                }
                return Effect::Ends(death);
            }
            (Verdict::Fail(errno), Covered::Names(..)) => return Effect::errno(errno),
            (Verdict::Fail(errno), Covered::Data(inode, mark)) => {
                let failed_sync = self.faults.failed_sync;
                let Some(file) = self.tree.file_mut(inode) else { return Effect::Done(Err(stale_handle())) };
                match failed_sync {
                    FailedSync::Reverts => file.revert(mark),
                    FailedSync::KeepsNewBytes => file.forget(mark),
                    FailedSync::ReportsNextTime => {
                        file.claim(mark);
                        file.forget(mark);
                    }
                }
                file.lost_writes.add(errno);
                if failed_sync == FailedSync::ReportsNextTime {
                    return Effect::Done(Ok(()));
                }
            }
            (Verdict::SilentFailure, _) => {
                self.claim(covered);
                return Effect::Done(Ok(()));
            }
            (Verdict::Proceed | Verdict::Short, _) => {}
        }
        if let Covered::Data(inode, _) = covered
            && let Some(file) = self.tree.file_mut(inode)
            && let Some(errno) = file.lost_writes.tell(told)
        {
            struck(self.node, "lost-write-told");
            return Effect::errno(errno);
        }
        self.harden(covered);
        Effect::Done(Ok(()))
    }

    /// The device says that it has stored what it has not.
    fn claim(&mut self, covered: Covered) {
        match covered {
            Covered::Data(inode, mark) => {
                if let Some(file) = self.tree.file_mut(inode) {
                    file.claim(mark);
                }
            }
            Covered::Names(directory, mark) => self.tree.claim_names(directory, mark),
        }
    }

    fn harden(&mut self, covered: Covered) {
        match covered {
            Covered::Data(inode, mark) => {
                if let Some(file) = self.tree.file_mut(inode) {
                    file.harden(mark);
                }
            }
            Covered::Names(directory, mark) => self.tree.harden_names(directory, mark),
        }
    }
}
