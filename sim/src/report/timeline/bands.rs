//! What lasts: a node that is down or paused, a link that is cut, a disk that is ill, a partition that is owned.
//!
//! Pure. What never ends lasts until the run does.

use std::collections::BTreeMap;
use std::sync::Arc;

use seedlog::facts::Fact;
use serde::Serialize;

use super::lanes::Lanes;
use super::model::{Strings, micros};
use crate::history::{Entry, Injected, What};
use crate::report::evidence;

/// A fault, or what it does to a node, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Band {
    pub lane: usize,
    pub from: u64,
    pub until: u64,
    pub kind: Lasting,
    pub text: usize,
    /// The lane at the other end of a link.
    pub other: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Lasting {
    /// No process runs.
    Down,
    Paused,
    /// Nothing gets from one node to another.
    Cut,
    Delay,
    Bandwidth,
    Stall,
    /// Nobody can connect.
    Refuse,
    Disk,
    Clock,
    /// The monotonic clock and its timers.
    Timers,
    Descriptors,
    Watches,
    /// Its server has no leader.
    Detached,
    Lagging,
    Quorum,
    /// More, or less, to do than usual.
    Load,
    Pace,
}

/// A member owns a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owned {
    pub lane: usize,
    pub partition: usize,
    pub from: u64,
    pub until: u64,
}

#[derive(Default)]
pub struct Bands {
    bands: Vec<Band>,
    /// Bands that have not ended, by what ends them.
    open: BTreeMap<(Lasting, String), Vec<usize>>,
    owned: Vec<Owned>,
    owning: BTreeMap<(usize, String), usize>,
}

/// What a fault does to a band.
enum Change {
    Begins(Lasting),
    Ends(Lasting),
    /// It strikes, and that was it.
    Strikes,
}

fn change(fault: &Injected) -> Change {
    use Change::{Begins, Ends, Strikes};
    match fault {
        Injected::Kill { .. } | Injected::PowerFailure { .. } | Injected::Stop { .. } => {
            Begins(Lasting::Down)
        }
        Injected::Start { .. } => Ends(Lasting::Down),
        Injected::Pause { .. } | Injected::Suspend { .. } => Begins(Lasting::Paused),
        Injected::Resume { .. } => Ends(Lasting::Paused),
        Injected::Cut { .. } => Begins(Lasting::Cut),
        Injected::Mend { .. } => Ends(Lasting::Cut),
        Injected::Delay { .. } => Begins(Lasting::Delay),
        Injected::Prompt { .. } => Ends(Lasting::Delay),
        Injected::Bandwidth { .. } => Begins(Lasting::Bandwidth),
        Injected::FullBandwidth { .. } => Ends(Lasting::Bandwidth),
        Injected::Stall { .. } => Begins(Lasting::Stall),
        Injected::Release { .. } => Ends(Lasting::Stall),
        Injected::Refuse { .. } => Begins(Lasting::Refuse),
        Injected::Accept { .. } => Ends(Lasting::Refuse),
        Injected::DiskError { .. }
        | Injected::DiskFull { .. }
        | Injected::DiskSlow { .. }
        | Injected::DiskHangs { .. }
        | Injected::DiskLies { .. } => Begins(Lasting::Disk),
        Injected::DiskHealthy { .. } => Ends(Lasting::Disk),
        Injected::ClockDrift { .. } | Injected::ClockStrobe { .. } => Begins(Lasting::Clock),
        Injected::ClockRight { .. } => Ends(Lasting::Clock),
        Injected::MonotonicDrift { .. } | Injected::TimersLate { .. } => Begins(Lasting::Timers),
        Injected::TimersRight { .. } => Ends(Lasting::Timers),
        Injected::FewDescriptors { .. } => Begins(Lasting::Descriptors),
        Injected::EnoughDescriptors { .. } => Ends(Lasting::Descriptors),
        Injected::WatchesLate { .. } => Begins(Lasting::Watches),
        Injected::WatchesPrompt { .. } => Ends(Lasting::Watches),
        Injected::Detach { .. } => Begins(Lasting::Detached),
        Injected::Rejoin { .. } => Ends(Lasting::Detached),
        Injected::ServerLags { .. } => Begins(Lasting::Lagging),
        Injected::ServerCaughtUp { .. } => Ends(Lasting::Lagging),
        Injected::QuorumLost { .. } => Begins(Lasting::Quorum),
        Injected::QuorumBack { .. } => Ends(Lasting::Quorum),
        Injected::Idle { .. } | Injected::Burst { .. } | Injected::HotKey { .. } => Begins(Lasting::Load),
        Injected::UsualLoad { .. } => Ends(Lasting::Load),
        Injected::Slow { .. } => Begins(Lasting::Pace),
        Injected::UsualPace { .. } => Ends(Lasting::Pace),
        Injected::Wipe { .. }
        | Injected::RollingRestart { .. }
        | Injected::CrashArmed { .. }
        | Injected::Reconfigure { .. }
        | Injected::Reset { .. }
        | Injected::ResetOneEnd { .. }
        | Injected::Drop { .. }
        | Injected::DiskMisdirects { .. }
        | Injected::DiskSectorLost { .. }
        | Injected::BitFlip { .. }
        | Injected::BitRot { .. }
        | Injected::FileTruncated { .. }
        | Injected::HugeRecord { .. }
        | Injected::ClockBump { .. }
        | Injected::ExpireSession { .. }
        | Injected::LoseReply { .. }
        | Injected::LoseRegistration { .. }
        | Injected::CutShort { .. }
        | Injected::RegistryBreaks { .. }
        | Injected::OffsetGarbled { .. }
        | Injected::ReconnectStorm { .. } => Strikes,
    }
}

/// Whether the fault is the disk's, and so marked on the disk's lane.
pub(super) fn is_of_disk(fault: &Injected) -> bool {
    matches!(change(fault), Change::Begins(Lasting::Disk) | Change::Ends(Lasting::Disk))
        || matches!(
            fault,
            Injected::DiskMisdirects { .. }
                | Injected::DiskSectorLost { .. }
                | Injected::BitFlip { .. }
                | Injected::BitRot { .. }
                | Injected::FileTruncated { .. }
                | Injected::Wipe { .. }
        )
}

impl Bands {
    pub fn observe(&mut self, entry: &Entry, lanes: &Lanes, strings: &mut Strings) {
        let at = micros(entry.at_ns);
        match &entry.what {
            What::Phase(_) | What::Seen(_) => {}
            What::Fault(fault) => self.fault(fault, entry, at, lanes, strings),
            What::Fact(fact) => {
                let Some(lane) = lanes.node(&entry.node) else { return };
                match fact {
                    Fact::LogDirFailed { .. } | Fact::BrokerStartFailed { .. } => {
                        self.open((Lasting::Down, entry.node.to_string()), entry, lane, None, strings);
                    }
                    Fact::PartitionOwned { partition, .. } => {
                        let name = partition.to_string();
                        self.disown(lane, Some(&name), at);
                        self.owning.insert((lane, name.clone()), self.owned.len());
                        let partition = strings.index(&name);
                        self.owned.push(Owned { lane, partition, from: at, until: u64::MAX });
                    }
                    Fact::PartitionReleased { partition, .. } => {
                        self.disown(lane, Some(&partition.to_string()), at);
                    }
                    Fact::GroupSessionLost { .. } | Fact::GroupLeft { .. } => self.disown(lane, None, at),
                    _ => {}
                }
            }
        }
    }

    fn fault(&mut self, fault: &Injected, entry: &Entry, at: u64, lanes: &Lanes, strings: &mut Strings) {
        let targets: Vec<Arc<str>> = fault.targets().into_iter().map(Arc::clone).collect();
        let Some(first) = targets.first() else { return };
        let Some(lane) = lanes.node(first) else { return };
        let key = targets.join(">");
        let kind = match change(fault) {
            Change::Strikes => return,
            Change::Ends(kind) => {
                if kind == Lasting::Down {
                    self.close(Lasting::Paused, &key, at);
                    self.disown(lane, None, at);
                }
                return self.close(kind, &key, at);
            }
            Change::Begins(kind) => kind,
        };
        if kind == Lasting::Down {
            self.close(Lasting::Paused, &key, at);
            self.disown(lane, None, at);
        }
        let lane = if kind == Lasting::Disk { lanes.disk(first).unwrap_or(lane) } else { lane };
        let other = targets.get(1).and_then(|other| lanes.node(other));
        self.open((kind, key), entry, lane, other, strings);
    }

    fn open(
        &mut self,
        key: (Lasting, String),
        entry: &Entry,
        lane: usize,
        other: Option<usize>,
        strings: &mut Strings,
    ) {
        if key.0 == Lasting::Down {
            // Struck again while down: one after the other, not one over the other.
            self.close(key.0, &key.1, micros(entry.at_ns));
        }
        let text = strings.index(&evidence::text(entry));
        let band = Band { lane, from: micros(entry.at_ns), until: u64::MAX, kind: key.0, text, other };
        self.open.entry(key).or_default().push(self.bands.len());
        self.bands.push(band);
    }

    fn close(&mut self, kind: Lasting, key: &str, at: u64) {
        for index in self.open.remove(&(kind, key.to_owned())).unwrap_or_default() {
            self.bands[index].until = at;
        }
    }

    /// The lane no longer owns this partition, or any.
    fn disown(&mut self, lane: usize, partition: Option<&str>, at: u64) {
        let owned = &mut self.owned;
        self.owning.retain(|(owner, name), index| {
            let ends = *owner == lane && partition.is_none_or(|partition| partition == name);
            if ends {
                owned[*index].until = at;
            }
            !ends
        });
    }

    pub fn finish(mut self, end: u64) -> (Vec<Band>, Vec<Owned>) {
        self.bands.iter_mut().for_each(|band| band.until = band.until.min(end));
        self.owned.iter_mut().for_each(|owned| owned.until = owned.until.min(end));
        (self.bands, self.owned)
    }
}
