//! Who watches what, over all of a session's connections, and which changes each has yet to hear of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use seedlog::facts::ZnodeChange;
use seedlog::types::{SessionId, Zxid};

use super::parent;

/// What of a node a read shows, and a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    Data,
    Children,
}

/// A change that a session is to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due<'a> {
    pub zxid: Zxid,
    pub path: &'a str,
    pub aspect: Aspect,
    pub changed_at: usize,
    of_missing: bool,
}

/// A watch that was set, as of a zxid. On a node that was not there, a new connection hears of it only if it is there
/// then: one that came and went meanwhile was never seen.
#[derive(Clone, Copy)]
struct Watch {
    since: Zxid,
    of_missing: bool,
    set_at: usize,
}

#[derive(Default)]
struct Owed<'a> {
    due: BTreeSet<Due<'a>>,
    /// Attached again, and nothing was answered on the new connection yet.
    is_settling: bool,
}

/// The changes known of, by zxid: where, and whether there is a node after it.
type Changes = BTreeMap<Zxid, (usize, bool)>;

#[derive(Default)]
pub struct Watching<'a> {
    changes: HashMap<(&'a str, Aspect), Changes>,
    watches: HashMap<(&'a str, Aspect), BTreeMap<SessionId, Watch>>,
    owed: HashMap<SessionId, Owed<'a>>,
    /// The server's last death: what it did just before may never have been stated.
    died_at: Option<usize>,
}

impl<'a> Watching<'a> {
    /// A node changed, as the server states or its client was told.
    pub fn changed(&mut self, at: usize, zxid: Zxid, path: &'a str, change: ZnodeChange) {
        let (data, children) = ((path, Aspect::Data), (path, Aspect::Children));
        let of_parent = (parent(path), Aspect::Children);
        let touched: &[_] = match change {
            ZnodeChange::Created => &[(data, true), (of_parent, true)],
            ZnodeChange::Deleted => &[(data, false), (children, false), (of_parent, true)],
            ZnodeChange::DataChanged => &[(data, true)],
            ZnodeChange::ChildrenChanged => &[],
        };
        for ((path, aspect), remains) in touched {
            let changes = self.changes.entry((path, *aspect)).or_default();
            changes.entry(zxid).or_insert((at, *remains));
            self.owe(at, zxid, path, *aspect);
        }
    }

    fn owe(&mut self, changed_at: usize, zxid: Zxid, path: &'a str, aspect: Aspect) {
        let Some(watches) = self.watches.get_mut(&(path, aspect)) else { return };
        let owed = &mut self.owed;
        watches.retain(|session, watch| {
            let is_over = watch.since < zxid;
            if is_over {
                let due = Due { zxid, path, aspect, changed_at, of_missing: watch.of_missing };
                owed.entry(*session).or_default().due.insert(due);
            }
            !is_over
        });
    }

    pub fn server_died(&mut self, at: usize) {
        self.died_at = Some(at);
    }

    /// A read as of `zxid` set a watch.
    pub fn watch(
        &mut self,
        set_at: usize,
        session: SessionId,
        zxid: Zxid,
        watched: (&'a str, Aspect),
        of_missing: bool,
    ) {
        let (path, aspect) = watched;
        self.watches.entry(watched).or_default().insert(session, Watch { since: zxid, of_missing, set_at });
        let next = self.changes.get(&(path, aspect)).and_then(|all| all.range(zxid.next()..).next());
        if let Some((&changed, &(at, _))) = next {
            self.owe(at, changed, path, aspect);
        }
    }

    /// An event reached the session; where the watch was set, if nothing has happened since that it could be told.
    pub fn heard(&mut self, session: SessionId, path: &'a str, aspects: &[Aspect]) -> Option<usize> {
        let set = |aspect: &Aspect| self.watches.get(&(path, *aspect))?.get(&session);
        let watches: Vec<&Watch> = aspects.iter().filter_map(set).collect();
        let is_owed = self
            .owed
            .get(&session)
            .is_some_and(|owed| owed.due.iter().any(|due| due.path == path && aspects.contains(&due.aspect)));
        let unfounded = watches.first().filter(|_| !is_owed).map(|watch| watch.set_at);
        self.forget(session, path, aspects);
        unfounded.filter(|set_at| self.died_at.is_none_or(|died| died < *set_at))
    }

    /// The session has heard of it, or nobody waits for it any longer.
    pub fn forget(&mut self, session: SessionId, path: &'a str, aspects: &[Aspect]) {
        if let Some(owed) = self.owed.get_mut(&session) {
            owed.due.retain(|due| due.path != path || !aspects.contains(&due.aspect));
        }
        for aspect in aspects {
            if let Some(watches) = self.watches.get_mut(&(path, *aspect)) {
                watches.remove(&session);
            }
        }
    }

    /// The session has a new connection, on which its watches are set again.
    pub fn attached(&mut self, session: SessionId) {
        self.owed.entry(session).or_default().is_settling = true;
    }

    /// The session is answered as of `zxid`: a change up to it of which it has not heard.
    pub fn answered(&mut self, session: SessionId, zxid: Zxid) -> Option<Due<'a>> {
        if std::mem::take(&mut self.owed.entry(session).or_default().is_settling) {
            self.settle(session, zxid);
        }
        let owed = self.owed.get_mut(&session)?;
        let due = owed.due.first().copied().filter(|due| due.zxid <= zxid)?;
        owed.due.remove(&due);
        Some(due)
    }

    /// Lets go of nodes that came and went while the session had no connection; it watches for them as before.
    fn settle(&mut self, session: SessionId, zxid: Zxid) {
        let owed = self.owed.get_mut(&session).expect("whose answer it is");
        let changes = &self.changes;
        let is_gone = |due: &Due| {
            let last = changes.get(&(due.path, due.aspect)).and_then(|all| all.range(..=zxid).next_back());
            due.of_missing && due.zxid <= zxid && last.is_some_and(|(_, (_, is_there))| !is_there)
        };
        let gone: Vec<Due> = owed.due.iter().filter(|due| is_gone(due)).copied().collect();
        for due in gone {
            self.owed.get_mut(&session).expect("as above").due.remove(&due);
            self.watch(due.changed_at, session, zxid, (due.path, due.aspect), true);
        }
    }
}

/// The watches that an event ends.
pub fn ended_by(change: ZnodeChange) -> &'static [Aspect] {
    match change {
        ZnodeChange::Created | ZnodeChange::DataChanged => &[Aspect::Data],
        ZnodeChange::ChildrenChanged => &[Aspect::Children],
        ZnodeChange::Deleted => &[Aspect::Data, Aspect::Children],
    }
}
