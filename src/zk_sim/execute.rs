//! Requests of an open session: reads, writes and multis, each with its watches, events and reply.
//!
//! Pure.

use super::core::{Core, Moment};
use super::follower::look;
use super::tree::{Change, Transaction, Tree};
use super::watches::{Aspect, ConnectionId, TooManyWatches};
use crate::types::SessionId;
use crate::zookeeper::codec::{ErrorCode, EventKind, MultiReply, Op, Reply, SetWatchesRequest};

impl Core {
    pub(super) fn execute(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        xid: i32,
        operation: Op,
        at: Moment,
    ) {
        let is_write = matches!(
            operation,
            Op::Create(_) | Op::Create2(_) | Op::Delete(_) | Op::SetData(_) | Op::SetAcl(_) | Op::Multi(_)
        );
        if is_write {
            return self.write(connection, session, xid, operation, at);
        }
        match self.read(connection, operation) {
            Ok(Ok(reply)) => self.reply(connection, xid, reply),
            Ok(Err(error)) => self.refuse(connection, xid, error),
            Err(TooManyWatches) => self.close_now(connection),
        }
    }

    /// A write takes a zxid whether it succeeds or not; its events go before its reply.
    fn write(&mut self, connection: ConnectionId, session: SessionId, xid: i32, operation: Op, at: Moment) {
        self.zxid = self.zxid.next();
        let mut change = self.tree.change(self.zxid, at.wall_ms);
        let outcome = match operation {
            Op::Multi(operations) => Ok(multi(change, &operations, session)),
            single => match apply(&mut change, &single, session) {
                Ok(done) => Ok((single_reply(done), change.commit())),
                Err(error) => {
                    change.undo();
                    Err(error)
                }
            },
        };
        match outcome {
            Ok((reply, changes)) => {
                self.fire(&changes);
                self.reply(connection, xid, reply);
            }
            Err(error) => self.refuse(connection, xid, error),
        }
    }

    fn read(
        &mut self,
        connection: ConnectionId,
        operation: Op,
    ) -> Result<Result<Reply, ErrorCode>, TooManyWatches> {
        match &operation {
            Op::Sync(path) => return Ok(Ok(Reply::Path(path.clone()))),
            Op::SetWatches(request) => self.set_watches(connection, request)?,
            _ => {}
        }
        let reply = look(&self.tree, &operation).expect("writes and endings are handled elsewhere");
        match &operation {
            // Absence can be watched too.
            Op::Exists(request) => self.watch_if(request.watch, connection, Aspect::Data, &request.path)?,
            Op::GetData(request) => {
                self.watch_if(request.watch && reply.is_ok(), connection, Aspect::Data, &request.path)?;
            }
            Op::GetChildren(request) | Op::GetChildren2(request) => {
                self.watch_if(request.watch && reply.is_ok(), connection, Aspect::Children, &request.path)?;
            }
            _ => {}
        }
        Ok(reply)
    }

    fn watch_if(
        &mut self,
        wanted: bool,
        connection: ConnectionId,
        aspect: Aspect,
        path: &str,
    ) -> Result<(), TooManyWatches> {
        if wanted { self.watches.add(connection, aspect, path) } else { Ok(()) }
    }

    /// Sets watches again after a reconnect; what was missed fires at once, before the reply.
    fn set_watches(
        &mut self,
        connection: ConnectionId,
        request: &SetWatchesRequest,
    ) -> Result<(), TooManyWatches> {
        let (missed, kept) = watches_to_set(&self.tree, request);
        for (kind, path) in missed {
            self.tell(connection, kind, &path);
        }
        for path in kept.data.iter().chain(&kept.exist) {
            self.watches.add(connection, Aspect::Data, path)?;
        }
        for path in &kept.child {
            self.watches.add(connection, Aspect::Children, path)?;
        }
        Ok(())
    }
}

/// Of watches to set again: what each has missed, and those that have missed nothing.
pub(super) fn watches_to_set(
    tree: &Tree,
    request: &SetWatchesRequest,
) -> (Vec<(EventKind, String)>, SetWatchesRequest) {
    let since = request.relative_zxid;
    let mut missed = Vec::new();
    let mut kept = SetWatchesRequest { relative_zxid: since, ..SetWatchesRequest::default() };
    for path in &request.data {
        match tree.stat(path) {
            Err(_) => missed.push((EventKind::Deleted, path.clone())),
            Ok(stat) if stat.mzxid > since => missed.push((EventKind::DataChanged, path.clone())),
            Ok(_) => kept.data.push(path.clone()),
        }
    }
    for path in &request.exist {
        match tree.stat(path) {
            Ok(_) => missed.push((EventKind::Created, path.clone())),
            Err(_) => kept.exist.push(path.clone()),
        }
    }
    for path in &request.child {
        match tree.stat(path) {
            Err(_) => missed.push((EventKind::Deleted, path.clone())),
            Ok(stat) if stat.pzxid > since => missed.push((EventKind::ChildrenChanged, path.clone())),
            Ok(_) => kept.child.push(path.clone()),
        }
    }
    (missed, kept)
}

/// Performs one write; what it did, in the form of a multi's result.
fn apply(change: &mut Transaction<'_>, operation: &Op, session: SessionId) -> Result<MultiReply, ErrorCode> {
    match operation {
        Op::Create(request) => change.create(request, session).map(MultiReply::Created),
        Op::Create2(request) => {
            let path = change.create(request, session)?;
            let stat = change.stat(&path)?;
            Ok(MultiReply::Created2(path, stat))
        }
        Op::Delete(request) => change.delete(&request.path, request.version).map(|()| MultiReply::Deleted),
        Op::SetData(request) => {
            change.set_data(&request.path, request.data.clone(), request.version).map(MultiReply::DataSet)
        }
        Op::SetAcl(request) => {
            change.set_acl(&request.path, &request.acl, request.version).map(MultiReply::DataSet)
        }
        Op::Check(request) => change.check(&request.path, request.version).map(|()| MultiReply::Checked),
        _ => Err(ErrorCode::BAD_ARGUMENTS),
    }
}

fn single_reply(done: MultiReply) -> Reply {
    match done {
        MultiReply::Created(path) => Reply::Path(path),
        MultiReply::Created2(path, stat) => Reply::Created(path, stat),
        MultiReply::DataSet(stat) => Reply::Stat(stat),
        MultiReply::Deleted | MultiReply::Checked | MultiReply::Error(_) => Reply::Empty,
    }
}

/// All or nothing. A failed multi is a reply like any other: code 0 before the operation at fault, its own
/// code, and -2 after it.
fn multi(mut change: Transaction<'_>, operations: &[Op], session: SessionId) -> (Reply, Vec<Change>) {
    let mut results = Vec::with_capacity(operations.len());
    for (at_fault, operation) in operations.iter().enumerate() {
        match apply(&mut change, operation, session) {
            // Inside a multi ZooKeeper 3.8 answers a create2 as a create (observed).
            Ok(MultiReply::Created2(path, _)) => results.push(MultiReply::Created(path)),
            Ok(result) => results.push(result),
            Err(error) => {
                change.undo();
                return (failed_multi(operations.len(), at_fault, error), Vec::new());
            }
        }
    }
    (Reply::Multi(results), change.commit())
}

fn failed_multi(operations: usize, at_fault: usize, error: ErrorCode) -> Reply {
    let code = |index: usize| match index.cmp(&at_fault) {
        std::cmp::Ordering::Less => ErrorCode::OK,
        std::cmp::Ordering::Equal => error,
        std::cmp::Ordering::Greater => ErrorCode::RUNTIME_INCONSISTENCY,
    };
    Reply::Multi((0..operations).map(|index| MultiReply::Error(code(index))).collect())
}
