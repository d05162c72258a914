//! The history by what consumer groups care about: whose incarnation belongs to which group, who ended when.
//!
//! An index, not a judge. An incarnation of a member belongs to one group.

use std::collections::{HashMap, HashSet};

use seedlog::facts::{Fact, LeaderAnswer};
use seedlog::types::{SessionId, TopicPartition, Zxid};

use crate::history::{Entry, Injected, What};

/// One incarnation of a consumer: a restart begins another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation<'a> {
    pub consumer: &'a str,
    pub number: u32,
}

/// A partition as one group reads it.
pub type GroupPartition<'a> = (&'a str, &'a TopicPartition);

/// What groups can notice.
#[derive(Clone, Copy, Debug)]
pub enum Turn<'a> {
    /// A member stated a fact.
    Stated { incarnation: Incarnation<'a>, group: &'a str, fact: &'a Fact },
    /// The process of this node ended, or a new one begins.
    Ended { node: &'a str },
    /// The ensemble ended the session.
    Expired { session: SessionId },
    /// A node went, by this session's doing, at this time of ZooKeeper's; the session may be told so much later.
    Deleted { session: SessionId, path: &'a str, zxid: Zxid },
}

pub struct Groups<'a> {
    of: HashMap<Incarnation<'a>, &'a str>,
    sessions: HashMap<SessionId, Incarnation<'a>>,
}

impl<'a> Incarnation<'a> {
    /// Before every other.
    pub const FIRST: Incarnation<'static> = Incarnation { consumer: "", number: 0 };

    /// The incarnation that stated `fact`, if it is a consumer's.
    pub fn of(entry: &'a Entry, fact: &'a Fact) -> Option<Incarnation<'a>> {
        Some(Incarnation { consumer: fact.consumer()?, number: entry.incarnation })
    }
}

/// Sessions that ended while ZooKeeper still heard their members.
pub fn sessions_expired_by_force(history: &[Entry]) -> HashSet<SessionId> {
    let forced = history.iter().filter_map(|entry| match &entry.what {
        What::Fault(Injected::ExpireSession { session, .. }) => Some(*session),
        _ => None,
    });
    forced.collect()
}

impl<'a> Groups<'a> {
    pub fn new(history: &'a [Entry]) -> Groups<'a> {
        let mut groups = Groups { of: HashMap::new(), sessions: HashMap::new() };
        for entry in history {
            let What::Fact(fact) = &entry.what else { continue };
            if let (Fact::GroupJoined { group, session, .. }, Some(incarnation)) =
                (fact, Incarnation::of(entry, fact))
            {
                groups.of.insert(incarnation, group);
                groups.sessions.insert(*session, incarnation);
            }
        }
        groups
    }

    /// The group of this incarnation, once it joins one.
    pub fn of(&self, incarnation: Incarnation<'a>) -> Option<&'a str> {
        self.of.get(&incarnation).copied()
    }

    /// The member that joined under this session.
    pub fn member(&self, session: SessionId) -> Option<Incarnation<'a>> {
        self.sessions.get(&session).copied()
    }

    /// What groups noticed, with the entries' indices.
    pub fn turns(&self, history: &'a [Entry]) -> impl Iterator<Item = (usize, Turn<'a>)> {
        history.iter().enumerate().filter_map(|(at, entry)| Some((at, self.turn(entry)?)))
    }

    fn turn(&self, entry: &'a Entry) -> Option<Turn<'a>> {
        match &entry.what {
            What::Fact(Fact::SessionExpired { session }) => Some(Turn::Expired { session: *session }),
            What::Fact(Fact::LeaderAnswered {
                session, zxid, answer: LeaderAnswer::Done(written), ..
            }) => {
                let deleted = written.iter().find(|one| one.node.is_none())?;
                Some(Turn::Deleted { session: *session, path: &deleted.path, zxid: *zxid })
            }
            What::Fact(fact) => {
                let incarnation = Incarnation::of(entry, fact)?;
                Some(Turn::Stated { incarnation, group: self.of(incarnation)?, fact })
            }
            What::Fault(
                Injected::Kill { target } | Injected::PowerFailure { target } | Injected::Start { target },
            ) => Some(Turn::Ended { node: target }),
            What::Fault(_) | What::Phase(_) | What::Seen(_) => None,
        }
    }
}
