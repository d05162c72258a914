//! C4, `zookeeper-model`: what clients see of ZooKeeper is what ZooKeeper promises, and no more is relied upon.
//!
//! A session never goes back in zxid; a read shows what the last write at its zxid left; an ephemeral node goes
//! with its session, in one zxid; a session hears of a change that it watches for before it sees anything as
//! new. The server's own statements are the truth. Not judged: watches that a new connection set again, and
//! nodes of which nothing was stated since the server crashed.

mod ghost;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use seedlog::facts::{Fact, ZnodeChange};
use seedlog::types::{SessionId, Zxid};

use self::ghost::{Aspect, Ghost, Shown};
use super::{Case, Check, Feature, Finding};
use crate::cluster::ZOOKEEPER;
use crate::history::{Injected, What};

pub const CHECK: Check = Check::new("C4", "zookeeper-model", Feature::Any, judge);

/// A change that a session is to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due<'a> {
    zxid: Zxid,
    path: &'a str,
    aspect: Aspect,
    changed_at: usize,
}

/// What one session has seen.
#[derive(Default)]
struct View<'a> {
    zxid: Zxid,
    seen_at: usize,
    /// Counts connections: watches of an earlier one are not followed.
    connection: u32,
    due: BTreeSet<Due<'a>>,
}

/// A read as its client tells.
#[derive(Clone, Copy)]
struct Read<'a> {
    session: SessionId,
    zxid: Zxid,
    path: &'a str,
    aspect: Aspect,
    shown: Shown,
    watches: bool,
}

/// A session that expired and whose nodes have to go in one zxid.
struct Expiring {
    session: SessionId,
    at: usize,
    zxid: Option<Zxid>,
}

#[derive(Default)]
struct State<'a> {
    ghost: Ghost<'a>,
    views: BTreeMap<SessionId, View<'a>>,
    /// Sessions, with their connection, by what they watch.
    watchers: HashMap<(&'a str, Aspect), Vec<(SessionId, u32)>>,
    ephemerals: HashMap<SessionId, BTreeSet<&'a str>>,
    owners: HashMap<&'a str, SessionId>,
    expired: HashSet<SessionId>,
    expiring: Vec<Expiring>,
    /// Reads of nodes of which it is known what stands there.
    compared: u64,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let mut state = State::default();
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(fact) => state.observe(at, fact),
            What::Fault(Injected::Kill { target } | Injected::PowerFailure { target })
                if **target == *ZOOKEEPER =>
            {
                state.ghost.crashed();
                state.expiring.clear();
            }
            _ => {}
        }
    }
    state.settle_expiring(None);
    case.obligations.meet_many(state.compared);
    state.findings
}

impl<'a> State<'a> {
    fn observe(&mut self, at: usize, fact: &'a Fact) {
        match fact {
            Fact::ZnodeChanged { zxid, path, change, owner } => {
                self.changed(at, *zxid, path, *change, *owner)
            }
            Fact::SessionExpired { session } => {
                self.expired.insert(*session);
                if self.ephemerals.get(session).is_some_and(|paths| !paths.is_empty()) {
                    self.expiring.push(Expiring { session: *session, at, zxid: None });
                }
            }
            Fact::SessionAttached { session } => {
                let view = self.views.entry(*session).or_default();
                view.connection += 1;
                view.due.clear();
            }
            Fact::ZnodeRead { session, zxid, path, mzxid, watches } => {
                let (session, zxid, watches) = (*session, *zxid, *watches);
                let shown = Shown::Write(*mzxid);
                self.read(at, Read { session, zxid, path, aspect: Aspect::Data, shown, watches });
            }
            Fact::ChildrenRead { session, zxid, path, names, watches } => {
                let (session, zxid, watches) = (*session, *zxid, *watches);
                let shown = Shown::Names(*names);
                self.read(at, Read { session, zxid, path, aspect: Aspect::Children, shown, watches });
            }
            Fact::WatchFired { session, path, change } => {
                if let Some(view) = self.views.get_mut(session) {
                    let aspects = heard(*change);
                    view.due.retain(|due| due.path != path.as_str() || !aspects.contains(&due.aspect));
                }
            }
            _ => {}
        }
    }

    fn changed(&mut self, at: usize, zxid: Zxid, path: &'a str, change: ZnodeChange, owner: SessionId) {
        self.settle_expiring(Some(zxid));
        match change {
            ZnodeChange::Created if owner != SessionId::NONE => {
                if self.expired.contains(&owner) {
                    let message = format!("{path} was made for session {owner:#x}, which had expired");
                    self.findings.push(Finding::new(None, message, vec![at]));
                }
                self.owners.insert(path, owner);
                self.ephemerals.entry(owner).or_default().insert(path);
            }
            ZnodeChange::Deleted => {
                if let Some(owned) = self.owners.remove(path).and_then(|o| self.ephemerals.get_mut(&o)) {
                    owned.remove(path);
                }
            }
            _ => {}
        }
        self.ghost.apply(at, zxid, path, change);
        let touched = match change {
            ZnodeChange::Created => vec![(path, Aspect::Data), (ghost::parent(path), Aspect::Children)],
            ZnodeChange::Deleted => {
                vec![(path, Aspect::Data), (path, Aspect::Children), (ghost::parent(path), Aspect::Children)]
            }
            ZnodeChange::DataChanged => vec![(path, Aspect::Data)],
            ZnodeChange::ChildrenChanged => Vec::new(),
        };
        for (path, aspect) in touched {
            for (session, connection) in self.watchers.remove(&(path, aspect)).unwrap_or_default() {
                let Some(view) = self.views.get_mut(&session) else { continue };
                if view.connection == connection {
                    view.due.insert(Due { zxid, path, aspect, changed_at: at });
                }
            }
        }
    }

    fn read(&mut self, at: usize, read: Read<'a>) {
        let view = self.views.entry(read.session).or_default();
        let session = format!("session {:#x}", read.session);
        if read.zxid < view.zxid {
            let message = format!("{session} saw zxid {:#x} after {:#x}", read.zxid, view.zxid);
            self.findings.push(Finding::new(None, message, vec![view.seen_at, at]));
        }
        (view.zxid, view.seen_at) = (view.zxid.max(read.zxid), at);
        if let Some(due) = view.due.first().copied().filter(|due| due.zxid <= read.zxid) {
            view.due.remove(&due);
            let message = format!(
                "{session} saw zxid {:#x} before it heard that {} had changed at {:#x}",
                read.zxid, due.path, due.zxid
            );
            self.findings.push(Finding::new(None, message, vec![due.changed_at, at]));
        }
        self.compared += u64::from(self.ghost.knows(read.path, read.zxid));
        if let Some(written_at) = self.ghost.contradicts(read.path, read.zxid, read.shown) {
            let message = format!(
                "{session} read {} as of zxid {:#x}, and it is not what stood there",
                read.path, read.zxid
            );
            self.findings.push(Finding::new(None, message, vec![written_at, at]));
        }
        if read.watches {
            match self.ghost.next_change(read.path, read.aspect, read.zxid) {
                Some((zxid, changed_at)) => {
                    view.due.insert(Due { zxid, path: read.path, aspect: read.aspect, changed_at });
                }
                None => {
                    let watchers = self.watchers.entry((read.path, read.aspect)).or_default();
                    watchers.push((read.session, view.connection));
                }
            }
        }
    }

    /// A change at `zxid` comes, or none any more: sessions that expired before it have no nodes left, unless
    /// theirs go at this very zxid.
    fn settle_expiring(&mut self, zxid: Option<Zxid>) {
        let mut over = Vec::new();
        self.expiring.retain_mut(|expiring| {
            let goes_on = zxid.is_some() && (expiring.zxid.is_none() || expiring.zxid == zxid);
            expiring.zxid = zxid;
            if !goes_on {
                over.push((expiring.session, expiring.at));
            }
            goes_on
        });
        for (session, at) in over {
            if let Some(left) = self.ephemerals.get(&session).and_then(|paths| paths.first()) {
                let message = format!("{left} outlives session {session:#x}, which had expired");
                self.findings.push(Finding::new(None, message, vec![at]));
            }
        }
    }
}

/// The watches that an event ends.
fn heard(change: ZnodeChange) -> &'static [Aspect] {
    match change {
        ZnodeChange::Created | ZnodeChange::DataChanged => &[Aspect::Data],
        ZnodeChange::ChildrenChanged => &[Aspect::Children],
        ZnodeChange::Deleted => &[Aspect::Data, Aspect::Children],
    }
}

#[cfg(test)]
mod tests;
