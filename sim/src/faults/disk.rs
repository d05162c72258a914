//! Disks: operations that fail, no space left, and limping. What is lost in a power failure is the crash
//! model's choice, not this file's.

use std::path::{Path, PathBuf};

use seedlog::runtime::sim::disk::{self, FailedSync, Hang, Operation, Rate, Slow};

use super::script::Later;
use super::storm::Due;
use super::{Injector, Name};
use crate::cluster::LOG_DIR;
use crate::history::{DiskOperation, Errno, Failure, Injected};
use crate::scenario::{CrashPoint, Damage, Place};
use crate::survey::partition_of_log;

/// How many times as long as others some hangs last.
const LONG_HANG: u32 = 4;

impl Injector {
    /// One fault of the class, drawn: of this kind, at some broker.
    pub(super) fn strike_disk(&mut self, kind: &str) -> Later {
        let target = self.broker_that(operation_met_by(kind));
        match kind {
            "disk-slow" => {
                let factor = *self.draws.pick(&[10, 100, 1000]).expect("not empty");
                let stalls_node = self.draws.chance(1, 2);
                self.slow_disk(&target, factor, stalls_node);
            }
            "disk-hangs" => return self.hang_some(),
            "disk-full" => {
                let free_bytes =
                    *self.draws.pick(&[0, 0, 1, 200, 200, 1_500, 1_500, 20_000]).expect("not empty");
                self.fill_disk(&target, free_bytes);
                self.perhaps_keep_pieces(&target);
                if self.draws.chance(1, 4) {
                    self.expire_session(&target);
                }
            }
            "disk-lies" => self.lie_about_syncs(&target),
            "disk-misdirects" => self.misdirect_write(&target),
            "bit-flip" => {
                self.flip_bit(&target, None);
                return Later::new();
            }
            "bit-rot" => {
                self.rot_bit(&target, None);
                return self.restart_to_read(target);
            }
            "file-truncated" => {
                self.truncate(&target, None);
                return self.restart_to_read(target);
            }
            "disk-sector-lost" if self.lose_sector(&target, None) => {
                let cure = (self.draw_lasting(), Due::CureDisk(target.clone()));
                let mut later = self.restart_to_read(target);
                later.push(cure);
                return later;
            }
            _ => return self.break_some_disk(),
        }
        vec![(self.draw_lasting(), Due::CureDisk(target))]
    }

    /// At a broker that does such operations; one that has not for a while does when it starts.
    fn break_some_disk(&mut self) -> Later {
        self.drawn_as = "disk-error";
        let (target, operation) = self.aimed(
            |injector| (injector.some_broker(), injector.draw_failing_operation()),
            |injector, (target, operation)| {
                *operation == DiskOperation::ReadDir || injector.does(target, operation_of(*operation))
            },
        );
        // What is done when a log is opened is hardly done twice in a row.
        let is_done = self.does(&target, operation_of(operation)) && operation != DiskOperation::ReadDir;
        let comes_often =
            [DiskOperation::Read, DiskOperation::Write, DiskOperation::Fsync].contains(&operation);
        let rates: &[u32] = if comes_often { &[0, 0, 4, 1] } else { &[0, 0, 0, 4, 1, 1, 1] };
        let one_in = *self.draws.pick(rates).expect("not empty");
        let failure = self.draw_failure(operation);
        let errno = match failure {
            Failure::Plain => *self.draws.pick(operation.errnos()).expect("each has one"),
            _ => Errno::Eio,
        };
        self.break_disk(&target, operation, failure, errno, one_in);
        if self.draws.chance(1, 2) {
            self.worsen(&target, operation, failure, one_in);
        }
        let mut later = vec![(self.draw_lasting(), Due::CureDisk(target.clone()))];
        if !is_done {
            later.extend(self.restart_to_read(target));
        }
        later
    }

    /// What is damaged is read when the broker starts: mostly it dies now, and does.
    fn restart_to_read(&mut self, target: Name) -> Later {
        if self.stated.is_empty() || !self.is_running(&target) || self.draws.chance(1, 4) {
            return Later::new();
        }
        self.kill(&target);
        vec![(self.draw_downtime(), Due::Start(target))]
    }

    /// A device that fails to write something back has tried for long, and what breaks off writes does not cut them off
    /// either.
    fn worsen(&mut self, target: &Name, operation: DiskOperation, failure: Failure, one_in: u32) {
        match (operation, failure) {
            (DiskOperation::Fsync, _) => {
                let factor = *self.draws.pick(&[100, 1_000]).expect("not empty");
                self.slow_disk(target, factor, false);
            }
            (_, Failure::Short) => {
                self.break_disk(target, DiskOperation::SetLen, Failure::Plain, Errno::Eio, one_in);
            }
            _ => {}
        }
    }

    /// Now and then, what a full disk has taken of a write cannot be cut off: the next time, always, or at times.
    fn perhaps_keep_pieces(&mut self, target: &Name) {
        if self.draws.chance(1, 4) {
            let one_in = *self.draws.pick(&[0, 1, 2]).expect("not empty");
            self.break_disk(target, DiskOperation::SetLen, Failure::Plain, Errno::Eio, one_in);
        }
    }

    /// A failed fsync may take what it was to store out of the page cache.
    fn draw_failing_operation(&mut self) -> DiskOperation {
        match self.draws.below(12) {
            0..=1 => DiskOperation::Write,
            2..=4 if self.damage > Damage::NoLoss => DiskOperation::Fsync,
            5 => DiskOperation::Rename,
            6 => DiskOperation::SetLen,
            7..=8 => DiskOperation::Open,
            9 => *self.draws.pick(&[DiskOperation::Unlink, DiskOperation::Mkdir]).expect("not empty"),
            10 => DiskOperation::ReadDir,
            _ => DiskOperation::Read,
        }
    }

    /// An fsync that reports the loss at the next one has acknowledged what was lost: over budget.
    fn draw_failure(&mut self, operation: DiskOperation) -> Failure {
        let is_usual = !self.draws.chance(1, 2);
        match operation {
            _ if is_usual => Failure::Plain,
            DiskOperation::Write => Failure::Short,
            DiskOperation::Fsync if self.damage == Damage::Anything && self.draws.chance(1, 2) => {
                Failure::Late
            }
            DiskOperation::Fsync => Failure::Reverts,
            _ => Failure::Plain,
        }
    }

    /// Operations of this kind fail until the disk is cured: one in so many of them, or the next one alone (0).
    pub(super) fn break_disk(
        &mut self,
        target: &Name,
        operation: DiskOperation,
        failure: Failure,
        errno: Errno,
        one_in: u32,
    ) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskError { target: target.clone(), operation, failure, errno, one_in });
        let rate = if one_in == 0 { Rate::Next(1) } else { Rate::OneIn(one_in.into()) };
        disk::set_faults(self.cluster.node(target), |faults| {
            if failure == Failure::Short {
                faults.short_writes = rate;
                return;
            }
            faults.fail_with(operation_of(operation), rate, errno);
            faults.failed_sync = match failure {
                Failure::Reverts => FailedSync::Reverts,
                Failure::Late => FailedSync::ReportsNextTime,
                Failure::Plain | Failure::Short => FailedSync::KeepsNewBytes,
            };
        });
    }

    /// No more than so many bytes fit any more.
    pub(super) fn fill_disk(&mut self, target: &Name, free_bytes: u64) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskFull { target: target.clone(), free_bytes });
        disk::leave_free(self.cluster.node(target), free_bytes);
    }

    /// Everything takes `factor` times as long.
    pub(super) fn slow_disk(&mut self, target: &Name, factor: u32, stalls_node: bool) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskSlow { target: target.clone(), factor, stalls: stalls_node });
        disk::set_faults(self.cluster.node(target), |faults| {
            faults.slow = Some(Slow { factor, stalls_node })
        });
    }

    /// Some operation, or each, mostly of a broker that does it. One that has not for a while does when it starts.
    fn hang_some(&mut self) -> Later {
        let (target, operation) = self.aimed(
            |injector| (injector.some_broker(), injector.draw_hanging_operation()),
            |injector, (target, operation)| injector.does(target, operation_of(met_first(*operation))),
        );
        let is_done = self.does(&target, operation_of(met_first(operation)));
        let of_a_file = operation.is_none_or(DiskOperation::is_of_a_log);
        let file = if of_a_file { self.draw_hung_file(&target) } else { None };
        self.hang_disk(&target, operation, file.as_deref());
        let mut later = match self.draws.below(4) {
            // Until the heal.
            0 => Later::new(),
            1 => vec![(self.draw_lasting() * LONG_HANG, Due::CureDisk(target.clone()))],
            _ => vec![(self.draw_lasting(), Due::CureDisk(target.clone()))],
        };
        if !is_done {
            later.extend(self.restart_to_read(target));
        }
        later
    }

    fn draw_hanging_operation(&mut self) -> Option<DiskOperation> {
        match self.draws.below(8) {
            0..=1 => Some(DiskOperation::Fsync),
            2 => Some(DiskOperation::Write),
            3 => Some(DiskOperation::Read),
            4..=5 => None,
            _ => self.draws.pick(&DiskOperation::ALL).copied(),
        }
    }

    /// One of its logs, mostly one that is written to, or any file.
    fn draw_hung_file(&mut self, target: &Name) -> Option<String> {
        let logs = disk::list_files(self.cluster.node(target));
        let logs: Vec<_> = logs.iter().filter(|path| partition_of_log(path).is_some()).collect();
        let any = self.draws.pick(&logs).map(|path| path.to_path_buf());
        let written = self.draw_end_of_log(target).map(|(path, _)| path);
        let path = if self.draws.chance(7, 8) { written.or(any) } else { any };
        let one = path.as_deref().and_then(|path| path.strip_prefix(LOG_DIR).ok()?.to_str());
        one.filter(|_| self.draws.chance(2, 3)).map(str::to_owned)
    }

    /// Operations on the file below the log directory, or on any, do not come to their end.
    pub(super) fn hang_disk(&mut self, target: &Name, operation: Option<DiskOperation>, file: Option<&str>) {
        self.ill_disks.insert(target.clone());
        self.state(Injected::DiskHangs { target: target.clone(), operation, file: file.map(Into::into) });
        let hang = Hang {
            operation: operation.map(operation_of),
            file: file.map(|file| Path::new(LOG_DIR).join(file)),
        };
        disk::set_faults(self.cluster.node(target), |faults| {
            faults.hung.insert(hang);
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
        let is_end = place.is_none() && self.draws.chance(7, 8);
        let found = if is_end { self.draw_end_of_log(target) } else { self.byte_of_log(target, place) };
        let Some((path, offset)) = found else { return false };
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

    /// A bit flips on the device for good, below the page cache; whether there was one.
    pub(super) fn rot_bit(&mut self, target: &Name, place: Option<&Place>) -> bool {
        let Some((path, offset)) = self.byte_of_log(target, place) else { return false };
        let file = path.display().to_string().into();
        self.state(Injected::BitRot { target: target.clone(), file, offset });
        disk::rot_bit(self.cluster.node(target), &path, offset)
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
        let lengths = self.files_with_bytes(target, end);
        let (path, len) = self.draws.pick(&lengths)?.clone();
        Some((path, self.draws.below(len)))
    }

    fn files_with_bytes(&self, target: &Name, end: &str) -> Vec<(PathBuf, u64)> {
        let node = self.cluster.node(target);
        let mut files = disk::list_files(node);
        files.retain(|path| path.starts_with(LOG_DIR) && path.to_string_lossy().ends_with(end));
        let lengths = files.into_iter().filter_map(|path| {
            let len = disk::current_image(node, &path)?.len() as u64;
            (len > 0).then_some((path, len))
        });
        lengths.collect()
    }

    /// The sector that is written to and read from next: the last one of a partition's last segment.
    fn draw_end_of_log(&mut self, target: &Name) -> Option<(PathBuf, u64)> {
        let segments = self.files_with_bytes(target, ".log");
        let is_last = |at: &usize| {
            segments.get(at + 1).is_none_or(|(next, _)| next.parent() != segments[*at].0.parent())
        };
        let last: Vec<usize> = (0..segments.len()).filter(is_last).collect();
        let (path, len) = segments[*self.draws.pick(&last)?].clone();
        Some((path, len - 1))
    }

    /// The disk works well again; what it lost stays lost.
    pub(super) fn cure_disk(&mut self, target: &Name) {
        self.ill_disks.remove(target);
        // The disk forgets a crash that is armed: nobody died of that.
        self.notice_crashes();
        if self.armed.get(target).is_some_and(|point| matches!(point, CrashPoint::Disk(_))) {
            self.disarm(target);
        }
        self.state(Injected::DiskHealthy { target: target.clone() });
        disk::heal(self.cluster.node(target));
    }
}

/// What of all that hangs somebody does first.
fn met_first(operation: Option<DiskOperation>) -> DiskOperation {
    operation.unwrap_or(DiskOperation::Write)
}

/// What a disk does of which a fault of this kind makes something else.
fn operation_met_by(kind: &str) -> Operation {
    match kind {
        "disk-lies" => Operation::Sync,
        "disk-sector-lost" => Operation::Read,
        _ => Operation::Write,
    }
}

pub(super) fn operation_of(operation: DiskOperation) -> Operation {
    match operation {
        DiskOperation::Read => Operation::Read,
        DiskOperation::Write => Operation::Write,
        DiskOperation::SetLen => Operation::SetLen,
        DiskOperation::Fsync => Operation::Sync,
        DiskOperation::Rename => Operation::Rename,
        DiskOperation::Open => Operation::Open,
        DiskOperation::Mkdir => Operation::CreateDir,
        DiskOperation::ReadDir => Operation::ReadDir,
        DiskOperation::Unlink => Operation::Remove,
    }
}
