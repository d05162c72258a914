//! What clients asked of ZooKeeper's leader and what they were answered: who may have written what.
//!
//! An index of the whole history, not a judge.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use seedlog::facts::{Fact, LeaderAnswer, LeaderRequest, Znode, ZnodeChange};
use seedlog::types::{SessionId, Zxid};

use super::parent;
use crate::history::{Entry, What};

/// A write that its client was told to be done.
#[derive(Clone, Copy)]
pub struct Acknowledged {
    pub asked_at: usize,
    pub answered_at: usize,
    /// What it left; `None`: nothing.
    pub node: Option<Znode>,
}

/// A write that was never answered: it may have been done.
#[derive(Clone, Copy)]
pub struct Unanswered {
    pub asked_at: usize,
    pub change: ZnodeChange,
    pub data: u32,
    /// Of the node that it was to make.
    pub owner: SessionId,
}

#[derive(Default)]
pub struct Requests<'a> {
    acknowledged: HashMap<&'a str, BTreeMap<Zxid, Acknowledged>>,
    unanswered: HashMap<&'a str, Vec<Unanswered>>,
    /// Every child that somebody asked to make.
    children: HashMap<&'a str, BTreeSet<&'a str>>,
    /// Sessions that their clients asked to end, and where.
    closing: HashMap<SessionId, usize>,
    /// Where the session was last told to be alive.
    last_alive: HashMap<SessionId, usize>,
}

impl<'a> Requests<'a> {
    pub fn new(history: &'a [Entry]) -> Requests<'a> {
        let mut requests = Requests::default();
        let mut open: BTreeMap<(SessionId, i32), (usize, &LeaderRequest)> = BTreeMap::new();
        for (at, entry) in history.iter().enumerate() {
            let What::Fact(fact) = &entry.what else { continue };
            match fact {
                Fact::LeaderAsked { session, request, asks } => {
                    open.insert((*session, *request), (at, asks));
                    if *asks == LeaderRequest::Close {
                        requests.closing.entry(*session).or_insert(at);
                    }
                }
                Fact::LeaderAnswered { session, request, zxid, answer } => {
                    requests.last_alive.insert(*session, at);
                    let asked = open.remove(&(*session, *request));
                    if let Some((asked_at, _)) = asked {
                        requests.answered(asked_at, at, *zxid, answer);
                    }
                }
                Fact::SessionAttached { session } => {
                    requests.last_alive.insert(*session, at);
                }
                _ => {}
            }
        }
        for ((session, _), (at, asks)) in open {
            requests.left_open(session, at, asks);
        }
        requests
    }

    fn answered(&mut self, asked_at: usize, answered_at: usize, zxid: Zxid, answer: &'a LeaderAnswer) {
        let LeaderAnswer::Done(written) = answer else { return };
        for one in written {
            self.note_child(&one.path);
            let write = Acknowledged { asked_at, answered_at, node: one.node };
            self.acknowledged.entry(&one.path).or_default().insert(zxid, write);
        }
    }

    fn left_open(&mut self, session: SessionId, asked_at: usize, asks: &'a LeaderRequest) {
        let LeaderRequest::Write(writes) = asks else { return };
        for write in writes {
            self.note_child(&write.path);
            let owner = if write.ephemeral { session } else { SessionId::NONE };
            let unanswered = Unanswered { asked_at, change: write.change, data: write.data, owner };
            self.unanswered.entry(&write.path).or_default().push(unanswered);
        }
    }

    fn note_child(&mut self, path: &'a str) {
        self.children.entry(parent(path)).or_default().insert(path);
    }

    /// The paths of every child of `path` that somebody asked to make or change.
    pub fn children(&self, path: &str) -> impl Iterator<Item = &'a str> {
        self.children.get(path).into_iter().flatten().copied()
    }

    /// What was acknowledged of this node, by zxid.
    pub fn acknowledged(&self, path: &str) -> Option<&BTreeMap<Zxid, Acknowledged>> {
        self.acknowledged.get(path)
    }

    /// The writes of this node that were asked for before entry `at`, and never answered.
    pub fn unanswered(&self, path: &str, at: usize) -> impl Iterator<Item = &Unanswered> {
        let all = self.unanswered.get(path).into_iter().flatten();
        all.filter(move |write| write.asked_at < at)
    }

    /// Whether the session's client asked for its end before entry `at`.
    pub fn is_closing(&self, session: SessionId, at: usize) -> bool {
        self.closing.get(&session).is_some_and(|asked_at| *asked_at < at)
    }

    /// Whether the session was told to be alive after entry `at`.
    pub fn is_alive_after(&self, session: SessionId, at: usize) -> bool {
        self.last_alive.get(&session).is_some_and(|last| *last > at)
    }
}
