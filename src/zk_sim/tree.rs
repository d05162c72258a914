//! The tree of nodes and every change that can be made to it.
//!
//! Pure: a change is made through a [`Transaction`], which can be undone whole; it tells which events the
//! change causes, in order. Watches, sessions and saving are others' business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::path;
use crate::types::{SessionId, Zxid};
use crate::zookeeper::codec::{Acl, CreateRequest, ErrorCode, EventKind, Stat};

/// What a node is, apart from its name and children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub data: Option<Bytes>,
    pub acl: Arc<[Acl]>,
    pub czxid: Zxid,
    pub mzxid: Zxid,
    pub pzxid: Zxid,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub aversion: i32,
    /// How many children were ever made: what sequence numbers count. Deletions leave it.
    pub creates: i32,
    /// The owning session, or 0.
    pub owner: SessionId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    node: Node,
    children: BTreeSet<String>,
}

impl Entry {
    fn stat(&self) -> Stat {
        let children = self.children.len() as i32;
        let node = &self.node;
        Stat {
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            // Creations plus deletions, derived as ZooKeeper derives it.
            cversion: node.creates.wrapping_mul(2).wrapping_sub(children),
            aversion: node.aversion,
            ephemeral_owner: node.owner,
            data_length: node.data.as_ref().map_or(0, |d| d.len() as i32),
            num_children: children,
            pzxid: node.pzxid,
        }
    }
}

/// Something watches may wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub kind: EventKind,
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    entries: BTreeMap<String, Entry>,
    ephemerals: BTreeMap<SessionId, BTreeSet<String>>,
}

impl Tree {
    /// The tree of a new server: the root and ZooKeeper's own nodes.
    pub fn new() -> Tree {
        let mut tree = Tree { entries: BTreeMap::new(), ephemerals: BTreeMap::new() };
        for path in ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"] {
            let permissions = if path == "/zookeeper/config" { Acl::READ } else { Acl::ALL };
            let acl = Arc::from([Acl { permissions, ..Acl::open() }]);
            tree.insert(path.to_owned(), Node::new(Some(Bytes::new()), acl, SessionId::NONE, Zxid::ZERO, 0));
        }
        tree
    }

    pub fn stat(&self, path: &str) -> Result<Stat, ErrorCode> {
        Ok(self.entry(path)?.stat())
    }

    pub fn data(&self, path: &str) -> Result<(Option<Bytes>, Stat), ErrorCode> {
        let entry = self.permitted(path, Acl::READ)?;
        Ok((entry.node.data.clone(), entry.stat()))
    }

    pub fn children(&self, path: &str) -> Result<(Vec<String>, Stat), ErrorCode> {
        let entry = self.permitted(path, Acl::READ)?;
        Ok((entry.children.iter().cloned().collect(), entry.stat()))
    }

    pub fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), ErrorCode> {
        let entry = self.permitted(path, Acl::READ | Acl::ADMIN)?;
        Ok((entry.node.acl.to_vec(), entry.stat()))
    }

    /// Whether the node exists and has `version` (-1: any).
    pub fn check(&self, path: &str, version: i32) -> Result<(), ErrorCode> {
        check_version(version, self.permitted(path, Acl::READ)?.node.version)
    }

    /// The nodes that go when `session` goes.
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        self.ephemerals.get(&session).into_iter().flatten().cloned().collect()
    }

    /// All nodes, parents before children.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), &entry.node))
    }

    /// A tree of nodes given parents before children; `None` if a parent is missing, or if
    /// a node comes twice.
    pub fn from_nodes(nodes: impl IntoIterator<Item = (String, Node)>) -> Option<Tree> {
        let mut tree = Tree { entries: BTreeMap::new(), ephemerals: BTreeMap::new() };
        for (path, node) in nodes {
            let has_parent = path == "/" || tree.entries.contains_key(path::parent(&path));
            if !has_parent || tree.entries.contains_key(&path) {
                return None;
            }
            tree.insert(path, node);
        }
        tree.entries.contains_key("/").then_some(tree)
    }

    /// Begins a change that all happens at `zxid`.
    pub fn change(&mut self, zxid: Zxid, time_ms: i64) -> Transaction<'_> {
        Transaction { tree: self, zxid, time_ms, journal: Vec::new(), changes: Vec::new() }
    }

    fn entry(&self, path: &str) -> Result<&Entry, ErrorCode> {
        self.entries.get(path).ok_or(ErrorCode::NO_NODE)
    }

    fn entry_mut(&mut self, path: &str) -> &mut Entry {
        self.entries.get_mut(path).expect("the caller has looked the node up")
    }

    /// The node, if everybody may do one of `permissions` to it.
    fn permitted(&self, path: &str, permissions: i32) -> Result<&Entry, ErrorCode> {
        let entry = self.entry(path)?;
        let allowed = entry.node.acl.iter().any(|acl| acl.permissions & permissions != 0);
        if allowed { Ok(entry) } else { Err(ErrorCode::NO_AUTH) }
    }

    fn insert(&mut self, path: String, node: Node) {
        match self.entries.get_mut(path::parent(&path)) {
            Some(parent) => drop(parent.children.insert(path::name(&path).to_owned())),
            None => assert_eq!(path, "/", "a node has a parent"),
        }
        if node.owner != SessionId::NONE {
            self.ephemerals.entry(node.owner).or_default().insert(path.clone());
        }
        self.entries.insert(path, Entry { node, children: BTreeSet::new() });
    }

    fn remove(&mut self, path: &str) -> Node {
        let entry = self.entries.remove(path).expect("the caller has looked the node up");
        assert!(entry.children.is_empty(), "a node with children was removed");
        let is_child = self.entry_mut(path::parent(path)).children.remove(path::name(path));
        assert!(is_child, "a node is among its parent's children");
        let owner = entry.node.owner;
        let is_ephemeral = owner != SessionId::NONE;
        assert_eq!(self.ephemerals.contains_key(&owner), is_ephemeral, "a session knows the nodes it owns");
        if let Some(paths) = self.ephemerals.get_mut(&owner) {
            assert!(paths.remove(path), "a session knows the nodes it owns");
            if paths.is_empty() {
                self.ephemerals.remove(&owner);
            }
        }
        entry.node
    }
}

impl Node {
    fn new(data: Option<Bytes>, acl: Arc<[Acl]>, owner: SessionId, zxid: Zxid, time_ms: i64) -> Node {
        Node {
            data,
            acl,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time_ms,
            mtime: time_ms,
            version: 0,
            aversion: 0,
            creates: 0,
            owner,
        }
    }
}

/// Changes that share a zxid. Dropped without [`Transaction::commit`], they stay made, and nobody learns the
/// events: every way out is either `commit` or [`Transaction::undo`].
pub(super) struct Transaction<'a> {
    tree: &'a mut Tree,
    zxid: Zxid,
    time_ms: i64,
    /// What each touched node was before, in order; `None`: it was not.
    journal: Vec<(String, Option<Node>)>,
    changes: Vec<Change>,
}

impl Transaction<'_> {
    /// Makes a node owned by `session` if it is ephemeral; returns its path.
    pub fn create(&mut self, request: &CreateRequest, session: SessionId) -> Result<String, ErrorCode> {
        let parent_path = self.check_create(request)?.to_owned();
        let parent = &self.tree.permitted(&parent_path, Acl::CREATE)?.node;
        let path = match request.flags.is_sequential() {
            true => format!("{}{:010}", request.path, parent.creates),
            false => request.path.clone(),
        };
        path::validate(&path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        if self.tree.entries.contains_key(&path) {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if parent.owner != SessionId::NONE {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let owner = if request.flags.is_ephemeral() { session } else { SessionId::NONE };
        let acl = Arc::from(request.acl.as_slice());
        let node = Node::new(request.data.clone(), acl, owner, self.zxid, self.time_ms);
        self.journal.push((path.clone(), None));
        self.tree.insert(path.clone(), node);
        let zxid = self.zxid;
        self.alter(&parent_path, |parent| {
            parent.creates = parent.creates.wrapping_add(1);
            parent.pzxid = zxid;
        });
        self.note(EventKind::Created, &path);
        self.note(EventKind::ChildrenChanged, &parent_path);
        Ok(path)
    }

    fn check_create<'r>(&self, request: &'r CreateRequest) -> Result<&'r str, ErrorCode> {
        if !request.flags.is_known() || !request.path.starts_with('/') || request.path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        check_acl(&request.acl)?;
        Ok(path::parent(&request.path))
    }

    pub fn delete(&mut self, path: &str, version: i32) -> Result<(), ErrorCode> {
        if !path.starts_with('/') || path == "/" || path::is_reserved(path) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let entry = self.tree.entry(path)?;
        self.tree.permitted(path::parent(path), Acl::DELETE)?;
        check_version(version, entry.node.version)?;
        if !entry.children.is_empty() {
            return Err(ErrorCode::NOT_EMPTY);
        }
        self.remove(path);
        Ok(())
    }

    /// Takes out a node that exists and has no children, whatever its access list says.
    pub fn remove(&mut self, path: &str) {
        let parent_path = path::parent(path).to_owned();
        let node = self.tree.remove(path);
        self.journal.push((path.to_owned(), Some(node)));
        let zxid = self.zxid;
        self.alter(&parent_path, |parent| parent.pzxid = zxid);
        self.note(EventKind::Deleted, path);
        self.note(EventKind::ChildrenChanged, &parent_path);
    }

    pub fn set_data(&mut self, path: &str, data: Option<Bytes>, version: i32) -> Result<Stat, ErrorCode> {
        path::validate(path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        check_version(version, self.tree.permitted(path, Acl::WRITE)?.node.version)?;
        let (zxid, time_ms) = (self.zxid, self.time_ms);
        self.alter(path, |node| {
            node.data = data;
            node.version = node.version.wrapping_add(1);
            node.mzxid = zxid;
            node.mtime = time_ms;
        });
        self.note(EventKind::DataChanged, path);
        self.tree.stat(path)
    }

    pub fn set_acl(&mut self, path: &str, acl: &[Acl], version: i32) -> Result<Stat, ErrorCode> {
        path::validate(path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        check_acl(acl)?;
        check_version(version, self.tree.permitted(path, Acl::ADMIN)?.node.aversion)?;
        self.alter(path, |node| {
            node.acl = Arc::from(acl);
            node.aversion = node.aversion.wrapping_add(1);
        });
        self.tree.stat(path)
    }

    /// The path comes first, as before every write (observed).
    pub fn check(&self, path: &str, version: i32) -> Result<(), ErrorCode> {
        path::validate(path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        self.tree.check(path, version)
    }

    /// As the changes so far left the node.
    pub fn stat(&self, path: &str) -> Result<Stat, ErrorCode> {
        self.tree.stat(path)
    }

    /// Keeps the changes; returns the events that they cause.
    pub fn commit(self) -> Vec<Change> {
        self.changes
    }

    /// Takes every change back.
    pub fn undo(mut self) {
        while let Some((path, before)) = self.journal.pop() {
            match before {
                None => drop(self.tree.remove(&path)),
                Some(node) if self.tree.entries.contains_key(&path) => self.tree.entry_mut(&path).node = node,
                Some(node) => self.tree.insert(path, node),
            }
        }
    }

    fn alter(&mut self, path: &str, change: impl FnOnce(&mut Node)) {
        let node = &mut self.tree.entry_mut(path).node;
        self.journal.push((path.to_owned(), Some(node.clone())));
        change(node);
    }

    fn note(&mut self, kind: EventKind, path: &str) {
        self.changes.push(Change { kind, path: path.to_owned() });
    }
}

fn check_version(expected: i32, actual: i32) -> Result<(), ErrorCode> {
    if expected == -1 || expected == actual { Ok(()) } else { Err(ErrorCode::BAD_VERSION) }
}

/// Only lists for everybody are kept: one that this server would not enforce is refused.
fn check_acl(acl: &[Acl]) -> Result<(), ErrorCode> {
    let known = acl.iter().all(|entry| entry.scheme == "world" && entry.id == "anyone");
    if known && !acl.is_empty() { Ok(()) } else { Err(ErrorCode::INVALID_ACL) }
}

#[cfg(test)]
mod tests;
