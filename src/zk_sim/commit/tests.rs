use std::time::Duration;

use super::*;
use crate::types::{Instant, SessionId, Zxid};
use crate::zk_sim::core::CoreLimits;
use crate::zk_sim::sessions::SessionLimits;
use crate::zk_sim::snapshot::Image;
use crate::zookeeper::codec::{Acl, ConnectRequest, CreateFlags, CreateRequest, Op, PathWatch, frame};

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

fn at(ms: u64) -> Moment {
    Moment { now: Instant::START + Duration::from_millis(ms), wall_ms: ms as i64 }
}

fn commit(saves: bool) -> Commit {
    let limits = CoreLimits {
        sessions: SessionLimits {
            tick: Duration::from_millis(500),
            timeout_min: Duration::from_secs(1),
            timeout_max: Duration::from_secs(10),
            sessions_max: 10,
        },
        watches_max: 10,
    };
    let mut commit = Commit::new(Core::new(limits, Image::new(), SessionId(1), Instant::START), saves);
    for connection in [A, B] {
        commit.arrive(Arrival::Opened(connection), at(0));
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 1_000,
            session_id: SessionId::NONE,
            password: None,
            read_only: None,
        };
        let message = frame(|w| {
            w.write(&request);
        });
        commit.arrive(message_of(connection, message), at(0));
    }
    match commit.step(at(0)) {
        Step::Save(_) => drop(commit.saved()),
        Step::Release(_) => {}
        Step::Wait => panic!("nothing to wait for"),
    }
    commit
}

fn message_of(from: ConnectionId, framed: Bytes) -> Arrival {
    Arrival::Message { from, message: framed.slice(4..), password: [0; 16] }
}

fn ask(commit: &mut Commit, from: ConnectionId, op: &Op, ms: u64) {
    commit.arrive(message_of(from, op.encode(1)), at(ms));
}

fn create(path: &str) -> Op {
    let flags = CreateFlags::PERSISTENT;
    Op::Create(CreateRequest { path: path.into(), data: None, acl: vec![Acl::open()], flags })
}

fn exists(path: &str) -> Op {
    Op::Exists(PathWatch { path: path.into(), watch: false })
}

fn told(effects: &[Effect]) -> Vec<ConnectionId> {
    effects.iter().filter_map(|e| if let Effect::Send(to, _) = e { Some(*to) } else { None }).collect()
}

#[test]
fn without_a_directory_everything_is_answered_at_once() {
    let mut commit = commit(false);
    ask(&mut commit, A, &create("/a"), 0);
    let Step::Release(effects) = commit.step(at(0)) else { panic!("nothing is saved") };
    assert_eq!(told(&effects), [A]);
}

#[test]
fn a_reply_and_what_others_would_see_wait_for_the_save() {
    let mut commit = commit(true);
    ask(&mut commit, A, &create("/a"), 0);
    let Step::Save(bytes) = commit.step(at(0)) else { panic!("a write is saved") };
    assert!(Image::decode(&bytes).is_ok_and(|image| image.tree.stat("/a").is_ok()));
    ask(&mut commit, B, &exists("/a"), 1);
    assert!(matches!(commit.step(at(1)), Step::Wait), "B would read what a crash may still undo");
    assert_eq!(commit.unanswered(B), 1);
    assert_eq!(told(&commit.saved()), [A]);
    let Step::Release(effects) = commit.step(at(2)) else { panic!("a read saves nothing") };
    assert_eq!(told(&effects), [B]);
    assert_eq!(commit.unanswered(B), 0);
}

#[test]
fn what_arrives_during_a_save_is_saved_together() {
    let mut commit = commit(true);
    ask(&mut commit, A, &create("/a"), 0);
    assert!(matches!(commit.step(at(0)), Step::Save(_)));
    for path in ["/b", "/c", "/d"] {
        ask(&mut commit, B, &create(path), 1);
        assert!(matches!(commit.step(at(1)), Step::Wait));
    }
    commit.saved();
    assert!(matches!(commit.step(at(2)), Step::Save(_)));
    assert_eq!(told(&commit.saved()), [B, B, B]);
}

#[test]
fn a_failed_write_is_saved_too_for_its_reply_shows_a_new_zxid() {
    let mut commit = commit(true);
    ask(&mut commit, A, &create("/missing/a"), 0);
    assert!(matches!(commit.step(at(0)), Step::Save(_)));
}

#[test]
fn a_client_heard_during_a_slow_save_does_not_expire() {
    let mut commit = commit(true);
    ask(&mut commit, A, &create("/a"), 0);
    assert!(matches!(commit.step(at(0)), Step::Save(_)));
    ask(&mut commit, A, &Op::Ping, 1_400);
    commit.arrive(Arrival::Tick, at(1_500));
    commit.arrive(Arrival::Tick, at(2_000));
    commit.saved();
    assert!(matches!(commit.step(at(2_000)), Step::Save(_)), "B expired");
    let sessions: Vec<SessionId> = commit.core().sessions.iter().map(|(id, _)| id).collect();
    assert_eq!(sessions, [SessionId(1)]);
}
