//! What this client watches, to be told and to be set again on a new connection.
//!
//! Pure. Who waits is a ticket; whom it stands for is the caller's knowledge.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{EventKind, SetWatchesRequest};
use crate::types::Zxid;

/// Stands for one request of this client, and for the watch that it set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(pub u64);

/// What a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WatchOn {
    /// The data of a node that exists.
    Data,
    /// The appearance of a node.
    Existence,
    Children,
}

/// How many bytes of paths one request to set watches again may hold.
const SET_WATCHES_BYTES_MAX: usize = 128 * 1024;

#[derive(Debug, Default)]
pub(super) struct Watches {
    waiting: BTreeMap<(WatchOn, String), Vec<Ticket>>,
    count: usize,
}

impl Watches {
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn add(&mut self, on: WatchOn, path: String, ticket: Ticket) {
        self.waiting.entry((on, path)).or_default().push(ticket);
        self.count += 1;
    }

    /// Takes out those whom an event concerns, oldest first.
    pub fn fire(&mut self, kind: EventKind, path: &str) -> Vec<Ticket> {
        let concerned: &[WatchOn] = match kind {
            EventKind::Created | EventKind::DataChanged => &[WatchOn::Data, WatchOn::Existence],
            EventKind::Deleted => &[WatchOn::Data, WatchOn::Existence, WatchOn::Children],
            EventKind::ChildrenChanged => &[WatchOn::Children],
        };
        let mut tickets = Vec::new();
        for on in concerned {
            tickets.extend(self.waiting.remove(&(*on, path.to_owned())).unwrap_or_default());
        }
        tickets.sort_unstable();
        assert!(tickets.len() <= self.count, "a watch that fires was counted");
        self.count -= tickets.len();
        assert_eq!(self.waiting.is_empty(), self.count == 0, "every watch is counted");
        tickets
    }

    /// Takes out everybody, oldest first.
    pub fn take_all(&mut self) -> Vec<Ticket> {
        let mut tickets: Vec<_> = std::mem::take(&mut self.waiting).into_values().flatten().collect();
        tickets.sort_unstable();
        self.count = 0;
        tickets
    }

    /// Nobody waits for these any longer; what is watched for nobody now.
    pub fn forget(&mut self, gone: &BTreeSet<Ticket>) -> Vec<(WatchOn, String)> {
        let mut forgotten = Vec::new();
        self.waiting.retain(|watch, tickets| {
            tickets.retain(|ticket| !gone.contains(ticket));
            if tickets.is_empty() {
                forgotten.push(watch.clone());
            }
            !tickets.is_empty()
        });
        self.count = self.waiting.values().map(Vec::len).sum();
        forgotten
    }

    /// The requests that set every watch again.
    pub fn to_set_again(&self, relative_zxid: Zxid) -> Vec<SetWatchesRequest> {
        let empty = || SetWatchesRequest { relative_zxid, ..SetWatchesRequest::default() };
        let mut requests = Vec::new();
        let mut next = empty();
        let mut bytes = 0;
        for (on, path) in self.waiting.keys() {
            if bytes + path.len() > SET_WATCHES_BYTES_MAX && bytes > 0 {
                requests.push(std::mem::replace(&mut next, empty()));
                bytes = 0;
            }
            bytes += path.len() + 4;
            match on {
                WatchOn::Data => next.data.push(path.clone()),
                WatchOn::Existence => next.exist.push(path.clone()),
                WatchOn::Children => next.child.push(path.clone()),
            }
        }
        if bytes > 0 {
            requests.push(next);
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_takes_everybody_it_concerns_once_and_in_order() {
        let mut watches = Watches::default();
        watches.add(WatchOn::Children, "/a".into(), Ticket(1));
        watches.add(WatchOn::Existence, "/a".into(), Ticket(3));
        watches.add(WatchOn::Data, "/a".into(), Ticket(2));
        watches.add(WatchOn::Data, "/b".into(), Ticket(4));
        assert!(watches.fire(EventKind::ChildrenChanged, "/b").is_empty());
        assert_eq!(watches.fire(EventKind::Deleted, "/a"), [Ticket(1), Ticket(2), Ticket(3)]);
        assert!(watches.fire(EventKind::Deleted, "/a").is_empty());
        assert_eq!(watches.count(), 1);
    }

    #[test]
    fn every_watch_is_set_again_in_requests_of_bounded_size() {
        let mut watches = Watches::default();
        let path = |n: u64| format!("/{}{n}", "x".repeat(1_000));
        for n in 0..400 {
            watches.add(WatchOn::Children, path(n), Ticket(n));
        }
        let requests = watches.to_set_again(Zxid(9));
        assert_eq!(requests.len(), 4);
        assert!(requests.iter().all(|r| r.relative_zxid == Zxid(9) && r.child.len() <= 131));
        assert_eq!(requests.iter().map(|r| r.child.len()).sum::<usize>(), 400);
        assert!(Watches::default().to_set_again(Zxid(9)).is_empty());
    }

    #[test]
    fn forgotten_watches_are_not_set_again() {
        let mut watches = Watches::default();
        watches.add(WatchOn::Data, "/a".into(), Ticket(1));
        watches.add(WatchOn::Data, "/b".into(), Ticket(2));
        watches.add(WatchOn::Data, "/b".into(), Ticket(3));
        let forgotten = watches.forget(&BTreeSet::from([Ticket(1), Ticket(3)]));
        assert_eq!(forgotten, [(WatchOn::Data, "/a".to_owned())]);
        assert_eq!(watches.to_set_again(Zxid(0))[0].data, ["/b"]);
        assert_eq!(watches.take_all(), [Ticket(2)]);
    }
}
