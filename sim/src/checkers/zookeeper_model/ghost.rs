//! The tree as the server's statements make it: what every node and its children were at each zxid.
//!
//! Grows with the history; looks nothing up in more than logarithmic time.

use std::collections::HashMap;

use seedlog::facts::ZnodeChange;
use seedlog::types::Zxid;

/// What of a node a read shows, and a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    Data,
    Children,
}

/// What a read showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The write that the data comes from; `None`: no such node.
    Write(Option<Zxid>),
    /// The exclusive or of the names' crc32; `None`: no such node.
    Names(Option<u32>),
}

#[derive(Clone, Copy)]
struct At<T> {
    zxid: Zxid,
    /// The entry that states it.
    at: usize,
    is: T,
}

/// In the order of zxid; of several at one zxid the last one counts.
#[derive(Default)]
struct Node {
    writes: Vec<At<Option<Zxid>>>,
    names: Vec<At<u32>>,
}

#[derive(Default)]
pub struct Ghost<'a> {
    nodes: HashMap<&'a str, Node>,
    last_zxid: Zxid,
    /// What changed just before a crash may never have been stated.
    crashed_at_zxid: Option<Zxid>,
}

impl<'a> Ghost<'a> {
    pub fn apply(&mut self, at: usize, zxid: Zxid, path: &'a str, change: ZnodeChange) {
        self.last_zxid = self.last_zxid.max(zxid);
        let exists = match change {
            ZnodeChange::Created | ZnodeChange::DataChanged => true,
            ZnodeChange::Deleted => false,
            ZnodeChange::ChildrenChanged => return,
        };
        let node = self.nodes.entry(path).or_default();
        node.writes.push(At { zxid, at, is: exists.then_some(zxid) });
        if change == ZnodeChange::DataChanged {
            return;
        }
        node.names.push(At { zxid, at, is: 0 });
        let parent = self.nodes.entry(parent(path)).or_default();
        let before = parent.names.last().map_or(0, |names| names.is);
        parent.names.push(At { zxid, at, is: before ^ crc32fast::hash(name(path).as_bytes()) });
    }

    pub fn crashed(&mut self) {
        self.crashed_at_zxid = Some(self.last_zxid);
    }

    /// Whether it is told what stood there.
    pub fn knows(&self, path: &str, zxid: Zxid) -> bool {
        let write = self.nodes.get(path).and_then(|node| latest(&node.writes, zxid));
        write.is_some_and(|write| self.crashed_at_zxid.is_none_or(|crashed| write.zxid > crashed))
    }

    /// The entry that says otherwise, if a read as of `zxid` cannot have shown this.
    pub fn contradicts(&self, path: &str, zxid: Zxid, shown: Shown) -> Option<usize> {
        let node = self.nodes.get(path)?;
        let write = latest(&node.writes, zxid)?;
        let (stated, truth) = match shown {
            Shown::Write(_) => (write, Shown::Write(write.is)),
            Shown::Names(_) => {
                let names = latest(&node.names, zxid)?;
                let at = At { zxid: names.zxid, at: names.at, is: None };
                (at, Shown::Names(write.is.map(|_| names.is)))
            }
        };
        let is_known = self.crashed_at_zxid.is_none_or(|crashed| stated.zxid > crashed);
        (truth != shown && is_known).then_some(stated.at)
    }

    /// The first change after `zxid` that a watch on this would have told.
    pub fn next_change(&self, path: &str, aspect: Aspect, zxid: Zxid) -> Option<(Zxid, usize)> {
        let node = self.nodes.get(path)?;
        match aspect {
            Aspect::Data => next(&node.writes, zxid),
            Aspect::Children => next(&node.names, zxid),
        }
    }
}

fn latest<T: Copy>(changes: &[At<T>], zxid: Zxid) -> Option<At<T>> {
    changes[..changes.partition_point(|change| change.zxid <= zxid)].last().copied()
}

fn next<T>(changes: &[At<T>], zxid: Zxid) -> Option<(Zxid, usize)> {
    changes.get(changes.partition_point(|change| change.zxid <= zxid)).map(|change| (change.zxid, change.at))
}

pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
