//! C4, `zookeeper-model`: what clients see of ZooKeeper is what ZooKeeper promises, and no more is relied upon.
//!
//! The truth is what clients asked for and were answered: an acknowledged write stands until somebody undoes it, over
//! every crash, for ZooKeeper syncs before it answers. What a read shows was written by somebody. Writes get their
//! zxids in real-time order, and what one session is told never goes back. A session hears of a change that it watches
//! for, over all its connections, before it is told anything as new, and of no other. An ephemeral node goes with its session, in one
//! zxid. The server's own statements are evidence against it: of changes to hear of, and of sessions that expired.
//!
//! Not judged: sequential nodes whose creation was never answered, and what follows a crash of a disk that was wiped or
//! had lied.

mod ghost;
mod requests;
mod watching;

use std::collections::{BTreeSet, HashMap, HashSet};

use seedlog::facts::{Fact, LeaderAnswer, LeaderRequest, Znode, ZnodeChange};
use seedlog::types::{SessionId, Zxid};

use self::ghost::{Contradiction, Ghost, Look};
use self::requests::Requests;
use self::watching::{Aspect, Watching, ended_by};
use super::{Case, Check, Feature, Finding};
use crate::cluster::ZOOKEEPER;
use crate::history::{Injected, Seen, What};

pub const CHECK: Check = Check::new("C4", "zookeeper-model", Feature::Any, judge);

/// A zxid, and the entry that told it.
#[derive(Clone, Copy, Default)]
struct Told {
    zxid: Zxid,
    at: usize,
}

/// A session that expired and whose nodes have to go in one zxid.
struct Expiring {
    session: SessionId,
    at: usize,
    zxid: Option<Zxid>,
}

/// A request to the leader that was not answered yet, and the latest that anybody had been told before it.
struct Open<'a> {
    asks: &'a LeaderRequest,
    floor: Told,
}

struct State<'a> {
    ghost: Ghost<'a>,
    watching: Watching<'a>,
    /// The latest that anybody was told.
    latest: Told,
    views: HashMap<SessionId, Told>,
    open: HashMap<(SessionId, i32), Open<'a>>,
    /// As the server states it.
    ephemerals: HashMap<SessionId, BTreeSet<&'a str>>,
    owners: HashMap<&'a str, SessionId>,
    expired: HashSet<SessionId>,
    expiring: Vec<Expiring>,
    /// Reads of nodes of which something was known already.
    compared: u64,
    findings: Vec<Finding>,
}

fn judge(case: &Case) -> Vec<Finding> {
    let requests = Requests::new(case.history);
    let mut state = State {
        ghost: Ghost::new(&requests),
        watching: Watching::default(),
        latest: Told::default(),
        views: HashMap::new(),
        open: HashMap::new(),
        ephemerals: HashMap::new(),
        owners: HashMap::new(),
        expired: HashSet::new(),
        expiring: Vec::new(),
        compared: 0,
        findings: Vec::new(),
    };
    let mut has_lied = false;
    for (at, entry) in case.history.iter().enumerate() {
        match &entry.what {
            What::Fact(fact) => state.observe(at, fact),
            What::Fault(fault) if fault.targets().iter().any(|target| ***target == *ZOOKEEPER) => match fault
            {
                Injected::Wipe { .. } => break,
                Injected::PowerFailure { .. } if has_lied => break,
                Injected::Kill { .. } | Injected::PowerFailure { .. } => state.died(at),
                _ => {}
            },
            What::Seen(Seen::Struck { target, fault }) if **target == *ZOOKEEPER => {
                has_lied |= **fault == *"lying-sync";
            }
            What::Fault(_) | What::Phase(_) | What::Seen(_) => {}
        }
    }
    state.settle_expiring(None);
    case.obligations.meet_many(state.compared);
    state.findings
}

impl<'a> State<'a> {
    fn died(&mut self, at: usize) {
        self.ghost.server_died(at);
        self.watching.server_died(at);
        self.expiring.clear();
    }

    fn observe(&mut self, at: usize, fact: &'a Fact) {
        match fact {
            Fact::ZnodeChanged { zxid, path, change, owner } => {
                self.changed(at, *zxid, path, *change, *owner)
            }
            Fact::SessionExpired { session } => {
                self.ghost.session_expired(*session);
                self.expired.insert(*session);
                if self.ephemerals.get(session).is_some_and(|paths| !paths.is_empty()) {
                    self.expiring.push(Expiring { session: *session, at, zxid: None });
                }
            }
            Fact::SessionAttached { session } => self.watching.attached(*session),
            Fact::LeaderAsked { session, request, asks } => {
                self.open.insert((*session, *request), Open { asks, floor: self.latest });
            }
            Fact::LeaderAnswered { session, request, zxid, answer } => {
                self.answered(at, *session, *request, *zxid, answer);
            }
            Fact::ZnodeRead { session, zxid, path, found: node, watches } => {
                self.read(at, *session, *zxid, path, *node);
                if *watches {
                    self.watching.watch(at, *session, *zxid, (path, Aspect::Data), node.is_none());
                }
            }
            Fact::ChildrenRead { session, zxid, path, names, watches } => {
                self.told(at, *session, *zxid);
                self.compared += u64::from(self.ghost.knows(path, *zxid));
                let listed = self.ghost.list(Look { at, zxid: *zxid, path }, names.as_deref());
                self.compare(at, *session, *zxid, path, listed);
                if *watches {
                    self.watching.watch(at, *session, *zxid, (path, Aspect::Children), names.is_none());
                }
            }
            Fact::WatchFired { session, path, change } => {
                if let Some(set_at) = self.watching.heard(*session, path, ended_by(*change)) {
                    let message =
                        format!("session {session:#x} heard of a change of {path}, and there was none");
                    self.find(message, vec![set_at, at]);
                }
            }
            Fact::WatchForgotten { session, path, of_children } => {
                let aspect = if *of_children { Aspect::Children } else { Aspect::Data };
                self.watching.forget(*session, path, &[aspect]);
            }
            _ => {}
        }
    }

    /// What the server states: evidence of a change, and of whose node it is.
    fn changed(&mut self, at: usize, zxid: Zxid, path: &'a str, change: ZnodeChange, owner: SessionId) {
        self.settle_expiring(Some(zxid));
        match change {
            ZnodeChange::Created if owner != SessionId::NONE => {
                if self.expired.contains(&owner) {
                    self.find(format!("{path} was made for session {owner:#x}, which had expired"), vec![at]);
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
        self.watching.changed(at, zxid, path, change);
    }

    fn answered(
        &mut self,
        at: usize,
        session: SessionId,
        request: i32,
        zxid: Zxid,
        answer: &'a LeaderAnswer,
    ) {
        let open = self.open.remove(&(session, request));
        self.told(at, session, zxid);
        let (Some(Open { asks, floor }), LeaderAnswer::Done(written)) = (open, answer) else { return };
        match asks {
            LeaderRequest::Write(_) => {
                if zxid <= floor.zxid {
                    let message = format!(
                        "session {session:#x} wrote at zxid {zxid:#x}, though {:#x} had been told before it asked",
                        floor.zxid
                    );
                    self.find(message, vec![floor.at, at]);
                }
            }
            LeaderRequest::Sync => {
                let view = self.views.entry(session).or_default();
                *view = if view.zxid < floor.zxid { floor } else { *view };
            }
            LeaderRequest::Close => self.ghost.session_closed(session, zxid),
        }
        for one in written {
            let change = match one.node {
                None => ZnodeChange::Deleted,
                Some(Znode { version: 0, .. }) => ZnodeChange::Created,
                Some(_) => ZnodeChange::DataChanged,
            };
            self.watching.changed(at, zxid, &one.path, change);
        }
    }

    fn read(&mut self, at: usize, session: SessionId, zxid: Zxid, path: &'a str, node: Option<Znode>) {
        self.told(at, session, zxid);
        self.compared += u64::from(self.ghost.knows(path, zxid));
        let read = self.ghost.read(Look { at, zxid, path }, node);
        self.compare(at, session, zxid, path, read);
    }

    /// A session was told something as of `zxid`.
    fn told(&mut self, at: usize, session: SessionId, zxid: Zxid) {
        if zxid > self.latest.zxid {
            self.latest = Told { zxid, at };
        }
        let view = self.views.entry(session).or_default();
        let seen = *view;
        *view = Told { zxid: zxid.max(seen.zxid), at };
        if zxid < seen.zxid {
            let message = format!("session {session:#x} saw zxid {zxid:#x} after {:#x}", seen.zxid);
            self.find(message, vec![seen.at, at]);
        }
        if let Some(due) = self.watching.answered(session, zxid) {
            let message = format!(
                "session {session:#x} saw zxid {zxid:#x} before it heard that {} had changed at {:#x}",
                due.path, due.zxid
            );
            self.find(message, vec![due.changed_at, at]);
        }
    }

    fn compare(
        &mut self,
        at: usize,
        session: SessionId,
        zxid: Zxid,
        path: &str,
        read: Result<(), Contradiction>,
    ) {
        let Err(Contradiction { why, by }) = read else { return };
        let message = format!("session {session:#x} read {path} as of zxid {zxid:#x}: {why}");
        self.find(message, by.into_iter().chain([at]).collect());
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
                self.find(message, vec![at]);
            }
        }
    }

    fn find(&mut self, message: String, evidence: Vec<usize>) {
        self.findings.push(Finding::new(None, message, evidence));
    }
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

#[cfg(test)]
mod tests;
