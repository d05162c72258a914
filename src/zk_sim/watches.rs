//! Who waits for what to change.
//!
//! Pure. A watch belongs to a connection and goes with it; it fires once.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Change;
use crate::zookeeper::codec::EventKind;

/// A connection of this server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub u64);

/// What of a node is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aspect {
    /// Its data, and whether it exists.
    Data,
    /// The names of its children.
    Children,
}

/// More watches than a server may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyWatches;

#[derive(Debug, Default)]
pub(super) struct Watches {
    watchers: BTreeMap<(Aspect, String), BTreeSet<ConnectionId>>,
    watched: BTreeMap<ConnectionId, BTreeSet<(Aspect, String)>>,
    count: usize,
    count_max: usize,
}

impl Watches {
    pub fn new(count_max: usize) -> Watches {
        Watches { count_max, ..Watches::default() }
    }

    /// Adds a watch; once is enough.
    pub fn add(&mut self, by: ConnectionId, aspect: Aspect, path: &str) -> Result<(), TooManyWatches> {
        let key = (aspect, path.to_owned());
        if self.watched.get(&by).is_some_and(|watched| watched.contains(&key)) {
            return Ok(());
        }
        if self.count >= self.count_max {
            return Err(TooManyWatches);
        }
        self.count += 1;
        self.watched.entry(by).or_default().insert(key.clone());
        self.watchers.entry(key).or_default().insert(by);
        Ok(())
    }

    /// Takes out, and returns, those who are to hear of `change`, each once.
    pub fn fire(&mut self, change: &Change) -> BTreeSet<ConnectionId> {
        let aspects: &[Aspect] = match change.kind {
            EventKind::Created | EventKind::DataChanged => &[Aspect::Data],
            EventKind::ChildrenChanged => &[Aspect::Children],
            EventKind::Deleted => &[Aspect::Data, Aspect::Children],
        };
        let mut told = BTreeSet::new();
        for aspect in aspects {
            let key = (*aspect, change.path.clone());
            for by in self.watchers.remove(&key).unwrap_or_default() {
                self.forget_one(by, &key);
                told.insert(by);
            }
        }
        assert_eq!(self.count == 0, self.watchers.is_empty(), "every watch is counted");
        told
    }

    /// Drops every watch of a connection.
    pub fn drop_connection(&mut self, by: ConnectionId) {
        for key in self.watched.remove(&by).unwrap_or_default() {
            self.count -= 1;
            let watchers = self.watchers.get_mut(&key).expect("who watches is found by what is watched");
            assert!(watchers.remove(&by), "who watches is found by what is watched");
            if watchers.is_empty() {
                self.watchers.remove(&key);
            }
        }
        assert_eq!(self.count == 0, self.watchers.is_empty(), "every watch is counted");
    }

    fn forget_one(&mut self, by: ConnectionId, key: &(Aspect, String)) {
        self.count -= 1;
        let watched = self.watched.get_mut(&by).expect("what is watched is found by who watches");
        assert!(watched.remove(key), "what is watched is found by who watches");
        if watched.is_empty() {
            self.watched.remove(&by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    fn change(kind: EventKind, path: &str) -> Change {
        Change { kind, path: path.into() }
    }

    #[test]
    fn a_watch_fires_once_and_only_for_its_aspect() {
        let mut watches = Watches::new(10);
        watches.add(A, Aspect::Data, "/n").expect("room");
        watches.add(B, Aspect::Children, "/n").expect("room");
        assert_eq!(watches.fire(&change(EventKind::DataChanged, "/n")), BTreeSet::from([A]));
        assert!(watches.fire(&change(EventKind::DataChanged, "/n")).is_empty());
        assert_eq!(watches.fire(&change(EventKind::ChildrenChanged, "/n")), BTreeSet::from([B]));
        assert_eq!(watches.count, 0);
    }

    #[test]
    fn a_deletion_tells_each_connection_once() {
        let mut watches = Watches::new(10);
        watches.add(A, Aspect::Data, "/n").expect("room");
        watches.add(A, Aspect::Children, "/n").expect("room");
        assert_eq!(watches.fire(&change(EventKind::Deleted, "/n")), BTreeSet::from([A]));
        assert_eq!(watches.count, 0);
    }

    #[test]
    fn a_connection_takes_its_watches_along() {
        let mut watches = Watches::new(10);
        watches.add(A, Aspect::Data, "/n").expect("room");
        watches.add(B, Aspect::Data, "/n").expect("room");
        watches.drop_connection(A);
        assert_eq!(watches.fire(&change(EventKind::Created, "/n")), BTreeSet::from([B]));
    }

    #[test]
    fn the_limit_counts_distinct_watches() {
        let mut watches = Watches::new(1);
        watches.add(A, Aspect::Data, "/n").expect("room");
        watches.add(A, Aspect::Data, "/n").expect("it is there already");
        assert_eq!(watches.add(B, Aspect::Data, "/n"), Err(TooManyWatches));
    }
}
