//! One directory: its names as programs see them, as they would survive, and the changes in between.
//!
//! Pure. A name and the data behind it become durable each in its own time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::data::Mark;
use crate::runtime::random::Rng;

/// A file or directory, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(pub(super) u64);

/// Pending changes beyond which the oldest half reaches the device by itself.
pub(super) const PENDING_NAMES_MAX: usize = 1024;

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    /// The name appears, or leads elsewhere from now on.
    Link {
        name: String,
        inode: InodeId,
    },
    Unlink {
        name: String,
    },
    /// Both at once, within one directory.
    Rename {
        from: String,
        to: String,
        inode: InodeId,
    },
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, InodeId>) {
        match self {
            NameChange::Link { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            NameChange::Unlink { name } => {
                names.remove(name);
            }
            NameChange::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }

    fn names(&self) -> [&str; 2] {
        match self {
            NameChange::Link { name, .. } | NameChange::Unlink { name } => [name, name],
            NameChange::Rename { from, to, .. } => [from, to],
        }
    }
}

/// The other half of a move between two directories: both survive, or neither.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partner {
    pub(super) directory: InodeId,
    pub(super) at: Mark,
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) change: NameChange,
    pub(super) partner: Option<Partner>,
}

/// How a crash chose among a directory's pending changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameSurvival {
    Prefix,
    Subset,
}

impl NameSurvival {
    pub(super) fn name(self) -> &'static str {
        match self {
            NameSurvival::Prefix => "names-prefix",
            NameSurvival::Subset => "names-subset",
        }
    }
}

#[derive(Default)]
pub(super) struct Directory {
    pub(super) current: BTreeMap<String, InodeId>,
    pub(super) durable: BTreeMap<String, InodeId>,
    /// What the device says is durable, where it lied about a sync.
    claimed: Option<BTreeMap<String, InodeId>>,
    pub(super) pending: VecDeque<Pending>,
    /// How many changes have left `pending`.
    pub(super) settled: Mark,
}

impl Directory {
    pub(super) fn change(&mut self, change: NameChange, partner: Option<Partner>) {
        change.apply(&mut self.current);
        self.pending.push_back(Pending { change, partner });
    }

    /// The mark after everything done so far.
    pub(super) fn mark(&self) -> Mark {
        self.settled + self.pending.len() as Mark
    }

    /// Makes the oldest pending change durable, if it stands before `upto`.
    pub(super) fn harden_one(&mut self, upto: Mark) -> Option<Pending> {
        if self.settled >= upto {
            return None;
        }
        let pending = self.pending.pop_front()?;
        self.settled += 1;
        pending.change.apply(&mut self.durable);
        if let Some(claimed) = &mut self.claimed {
            pending.change.apply(claimed);
        }
        Some(pending)
    }

    /// A sync says that the changes before `upto` are durable, and they are not.
    pub(super) fn claim(&mut self, upto: Mark) {
        let mut claimed = self.claimed.take().unwrap_or_else(|| self.durable.clone());
        let before = upto.saturating_sub(self.settled) as usize;
        self.pending.iter().take(before).for_each(|pending| pending.change.apply(&mut claimed));
        self.claimed = Some(claimed);
    }

    pub(super) fn claimed(&self) -> &BTreeMap<String, InodeId> {
        self.claimed.as_ref().unwrap_or(&self.durable)
    }

    /// Draws which pending changes a power failure leaves.
    pub(super) fn draw_survivors(&self, draws: &mut Rng) -> (Vec<bool>, NameSurvival) {
        let count = self.pending.len();
        if draws.chance(1, 2) {
            let kept = draws.below(count as u64 + 1) as usize;
            return ((0..count).map(|at| at < kept).collect(), NameSurvival::Prefix);
        }
        let mut kept: Vec<bool> = (0..count).map(|_| draws.chance(1, 2)).collect();
        self.respect_order(&mut kept);
        (kept, NameSurvival::Subset)
    }

    /// A change survives only if every earlier change of the same name does.
    pub(super) fn respect_order(&self, kept: &mut [bool]) {
        let mut lost_names = BTreeSet::new();
        for (pending, kept) in self.pending.iter().zip(kept.iter_mut()) {
            let names = pending.change.names();
            *kept &= !names.iter().any(|name| lost_names.contains(name));
            if !*kept {
                lost_names.extend(names);
            }
        }
    }

    /// The power failed and `kept` is what survived of the pending changes.
    pub(super) fn crash(&mut self, kept: &[bool]) {
        self.settled = self.mark();
        self.claimed = None;
        for (pending, kept) in std::mem::take(&mut self.pending).into_iter().zip(kept) {
            if *kept {
                pending.change.apply(&mut self.durable);
            }
        }
        self.current.clone_from(&self.durable);
    }

    /// Every inode that some state of this directory leads to.
    pub(super) fn reachable(&self) -> impl Iterator<Item = InodeId> {
        let pending = self.pending.iter().filter_map(|pending| match pending.change {
            NameChange::Link { inode, .. } | NameChange::Rename { inode, .. } => Some(inode),
            NameChange::Unlink { .. } => None,
        });
        self.current.values().chain(self.durable.values()).copied().chain(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_later_change_of_a_name_survives_an_earlier_one() {
        let link = |name: &str, inode| NameChange::Link { name: name.into(), inode: InodeId(inode) };
        let mut directory = Directory::default();
        directory.change(link("tmp", 1), None);
        directory
            .change(NameChange::Rename { from: "tmp".into(), to: "final".into(), inode: InodeId(1) }, None);
        directory.change(link("other", 2), None);
        let mut subsets = BTreeSet::new();
        for seed in 0..200 {
            let (kept, _) = directory.draw_survivors(&mut Rng::from_seed_u64(seed));
            assert!(kept[0] || !kept[1], "a rename survived without the file it renames");
            subsets.insert(kept);
        }
        assert_eq!(subsets.len(), 6, "every possible outcome is drawn: {subsets:?}");
    }
}
