//! The tree as its clients know it: what each node was at the zxids of which somebody was told.
//!
//! Acknowledged writes are the truth, and so is every read that was not found wrong. Looks nothing up in more than
//! logarithmic time, but for the children of a node that is listed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};

use seedlog::facts::{Znode, ZnodeChange};
use seedlog::types::{SessionId, Zxid};

use super::requests::{Acknowledged, Requests};

/// What somebody was told of a node, as of one zxid.
#[derive(Clone, Copy)]
struct Known {
    node: Option<Znode>,
    at: usize,
}

/// Nodes that every new tree has.
const INITIAL: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// Why a read cannot be right, and the entry that says so, if there is one.
pub struct Contradiction {
    pub why: String,
    pub by: Option<usize>,
}

impl Contradiction {
    fn new(why: impl Into<String>, by: Option<usize>) -> Contradiction {
        Contradiction { why: why.into(), by }
    }
}

/// What was read, where in the history, as of which zxid.
#[derive(Clone, Copy)]
pub struct Look<'p> {
    pub at: usize,
    pub zxid: Zxid,
    pub path: &'p str,
}

pub struct Ghost<'a> {
    requests: &'a Requests<'a>,
    known: HashMap<&'a str, BTreeMap<Zxid, Known>>,
    /// Sessions that the server said to have expired.
    expired: HashSet<SessionId>,
    /// Sessions that their clients closed, and the zxid at which their nodes went.
    closed: HashMap<SessionId, Zxid>,
    /// The server's last death: what it did just before may never have been stated.
    died_at: Option<usize>,
}

impl<'a> Ghost<'a> {
    pub fn new(requests: &'a Requests<'a>) -> Ghost<'a> {
        Ghost {
            requests,
            known: HashMap::new(),
            expired: HashSet::new(),
            closed: HashMap::new(),
            died_at: None,
        }
    }

    pub fn session_expired(&mut self, session: SessionId) {
        self.expired.insert(session);
    }

    pub fn session_closed(&mut self, session: SessionId, zxid: Zxid) {
        self.closed.insert(session, zxid);
    }

    pub fn server_died(&mut self, at: usize) {
        self.died_at = Some(at);
    }

    /// Whether it is known what stood there.
    pub fn knows(&self, path: &str, zxid: Zxid) -> bool {
        self.before(path, zxid).is_some()
    }

    /// Takes in what a read showed of one node.
    pub fn read(&mut self, look: Look<'a>, node: Option<Znode>) -> Result<(), Contradiction> {
        match node {
            Some(node) => self.exists(look, node)?,
            None => self.absent(look)?,
        }
        self.known.entry(look.path).or_default().insert(look.zxid, Known { node, at: look.at });
        Ok(())
    }

    /// Takes in the names of a node's children.
    pub fn list(&mut self, look: Look<'a>, names: Option<&'a [String]>) -> Result<(), Contradiction> {
        let Some(names) = names else { return self.read(look, None) };
        self.is_there(look)?;
        let expected: HashMap<&str, &'a str> =
            self.requests.children(look.path).map(|path| (name(path), path)).collect();
        for shown in names {
            match expected.get(shown.as_str()) {
                Some(path) => self.is_there(Look { path, ..look })?,
                None if is_initial(look.path, shown) => {}
                None => return Err(Contradiction::new(format!("nobody made the child {shown}"), None)),
            }
        }
        let shown: HashSet<&str> = names.iter().map(String::as_str).collect();
        for path in expected.into_values().filter(|path| !shown.contains(name(path))) {
            self.absent(Look { path, ..look })?;
        }
        Ok(())
    }

    /// Whether there may be a node, whatever stands in it.
    fn is_there(&self, look: Look<'_>) -> Result<(), Contradiction> {
        let before = self.before(look.path, look.zxid);
        if before.is_some_and(|(_, known)| known.node.is_some()) || INITIAL.contains(&look.path) {
            return Ok(());
        }
        let mut unanswered = self.requests.unanswered(look.path, look.at);
        match unanswered.any(|write| write.change == ZnodeChange::Created) {
            true => Ok(()),
            false if before.is_some() => {
                Err(Contradiction::new(format!("{} was deleted", look.path), before.map(|known| known.1.at)))
            }
            false => Err(Contradiction::new(format!("nobody had made {}", look.path), None)),
        }
    }

    fn absent(&self, look: Look<'_>) -> Result<(), Contradiction> {
        if let Some((zxid, Known { node: Some(node), at })) = self.before(look.path, look.zxid)
            && (zxid == look.zxid || !self.may_be_gone(look, node, at))
        {
            let why = format!("nobody had deleted {}, which was there at {zxid:#x}", look.path);
            return Err(Contradiction::new(why, Some(at)));
        }
        match self.after(look.path, look.zxid) {
            Some(Known { node: Some(node), at }) if node.mzxid <= look.zxid => {
                let why = format!("{} was there since {:#x}", look.path, node.mzxid);
                Err(Contradiction::new(why, Some(at)))
            }
            _ => Ok(()),
        }
    }

    fn may_be_gone(&self, look: Look<'_>, node: Znode, seen_at: usize) -> bool {
        let mut unanswered = self.requests.unanswered(look.path, look.at);
        unanswered.any(|write| write.change == ZnodeChange::Deleted)
            || (node.owner != SessionId::NONE && self.is_over(node.owner, look.at, seen_at))
    }

    /// Whether the session may have ended since entry `since`, on which it lived, and before entry `at`.
    fn is_over(&self, session: SessionId, at: usize, since: usize) -> bool {
        let unstated = self.died_at.is_some_and(|died| died > since);
        self.expired.contains(&session)
            || self.requests.is_closing(session, at)
            || (unstated && !self.requests.is_alive_after(session, at))
    }

    fn exists(&self, look: Look<'_>, node: Znode) -> Result<(), Contradiction> {
        self.has_author(look, node)?;
        if let Some(ended) = self.closed.get(&node.owner).filter(|ended| **ended <= look.zxid) {
            let why = format!("it outlives session {:#x}, which was closed at {ended:#x}", node.owner);
            return Err(Contradiction::new(why, None));
        }
        if let Some((zxid, known)) = self.before(look.path, look.zxid)
            && zxid >= node.mzxid
            && known.node.is_none_or(|known| !is_same(known, node))
        {
            let why = format!("the write at {zxid:#x} left something else");
            return Err(Contradiction::new(why, Some(known.at)));
        }
        match self.after(look.path, look.zxid) {
            Some(Known { node: Some(later), at }) if later.mzxid <= look.zxid && !is_same(later, node) => {
                Err(Contradiction::new(
                    format!("another write stood there since {:#x}", later.mzxid),
                    Some(at),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Somebody wrote it, and asked for that before it was read.
    fn has_author(&self, look: Look<'_>, node: Znode) -> Result<(), Contradiction> {
        if let Some(write) = self.acknowledgement(look.path, node.mzxid) {
            return match write.node {
                _ if write.asked_at > look.at => {
                    Err(Contradiction::new("it was not asked for yet", Some(write.asked_at)))
                }
                Some(written) if is_same(written, node) => Ok(()),
                _ => Err(Contradiction::new("something else was written then", Some(write.answered_at))),
            };
        }
        if node.mzxid == Zxid::ZERO && INITIAL.contains(&look.path) {
            return Ok(());
        }
        let is_meant = |data: u32| node.data.is_none_or(|read| read == data);
        let mut unanswered = self.requests.unanswered(look.path, look.at);
        let has_author = unanswered.any(|write| match write.change {
            ZnodeChange::Created => is_meant(write.data) && (node.version, node.owner) == (0, write.owner),
            ZnodeChange::DataChanged => is_meant(write.data) && node.version > 0,
            ZnodeChange::Deleted | ZnodeChange::ChildrenChanged => false,
        });
        match has_author {
            true => Ok(()),
            false => Err(Contradiction::new(format!("nobody wrote it at {:#x}", node.mzxid), None)),
        }
    }

    fn acknowledgement(&self, path: &str, zxid: Zxid) -> Option<&Acknowledged> {
        self.requests.acknowledged(path)?.get(&zxid)
    }

    /// The last that is known of a node up to `zxid`.
    fn before(&self, path: &str, zxid: Zxid) -> Option<(Zxid, Known)> {
        let acknowledged = self.requests.acknowledged(path).and_then(|all| all.range(..=zxid).next_back());
        let acknowledged = acknowledged.map(|(zxid, write)| (*zxid, known(write)));
        let read = self.known.get(path).and_then(|all| all.range(..=zxid).next_back());
        let read = read.map(|(zxid, known)| (*zxid, *known));
        acknowledged.into_iter().chain(read).max_by_key(|(zxid, _)| *zxid)
    }

    /// The first that is known of a node above `zxid`.
    fn after(&self, path: &str, zxid: Zxid) -> Option<Known> {
        let above = (Excluded(zxid), Unbounded);
        let acknowledged = self.requests.acknowledged(path).and_then(|all| all.range(above).next());
        let acknowledged = acknowledged.map(|(zxid, write)| (*zxid, known(write)));
        let read = self.known.get(path).and_then(|all| all.range(above).next());
        let read = read.map(|(zxid, known)| (*zxid, *known));
        acknowledged.into_iter().chain(read).min_by_key(|(zxid, _)| *zxid).map(|(_, known)| known)
    }
}

fn known(write: &Acknowledged) -> Known {
    Known { node: write.node, at: write.answered_at }
}

/// The data of a node that was only asked for is not told.
fn is_same(one: Znode, other: Znode) -> bool {
    let data_may_be = one.data.is_none() || other.data.is_none() || one.data == other.data;
    data_may_be && (one.mzxid, one.version, one.owner) == (other.mzxid, other.version, other.owner)
}

fn is_initial(parent: &str, name: &str) -> bool {
    INITIAL.iter().any(|path| super::parent(path) == parent && self::name(path) == name && *path != "/")
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
