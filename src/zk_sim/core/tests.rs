use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::zk_sim::snapshot;
use crate::zookeeper::codec::{
    Acl, CreateFlags, CreateRequest, MultiReply, PathDataVersion, PathVersion, PathWatch, Record,
    ReplyHeader, SetWatchesRequest, Stat, opcode, xid,
};

const LIMITS: CoreLimits = CoreLimits {
    sessions: SessionLimits {
        tick: Duration::from_millis(500),
        timeout_min: Duration::from_secs(1),
        timeout_max: Duration::from_secs(10),
        sessions_max: 100,
    },
    watches_max: 1_000,
};

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

fn at(ms: u64) -> Moment {
    Moment { now: Instant::START + Duration::from_millis(ms), wall_ms: ms as i64 }
}

fn fresh() -> Core {
    Core::new(LIMITS, Image::new(), SessionId(100), Instant::START)
}

fn connect_request(session_id: SessionId, password: &[u8], last_zxid_seen: Zxid) -> Bytes {
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen,
        timeout_ms: 1_000,
        session_id,
        password: Some(Bytes::copy_from_slice(password)),
        read_only: Some(false),
    };
    frame(|w| {
        w.write(&request);
    })
    .slice(4..)
}

/// Opens a session on `connection`; its password is the connection's number.
fn open(core: &mut Core, connection: ConnectionId) -> SessionId {
    core.effects.clear();
    core.connection_opened(connection);
    let password = [connection.0 as u8; PASSWORD_BYTES];
    core.message(connection, connect_request(SessionId::NONE, &[0; 16], Zxid::ZERO), password, at(0));
    let effects = std::mem::take(&mut core.effects);
    let [Effect::SessionOpened(id), Effect::Send(to, response)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*to, connection);
    let response: ConnectResponse = Reader::new(response.slice(4..)).read().expect("a response");
    assert_eq!(response.session_id, *id);
    *id
}

/// What one request caused, events and replies in words.
fn ask(core: &mut Core, connection: ConnectionId, op: &Op) -> Vec<String> {
    core.message(connection, op.encode(1).slice(4..), [0; 16], at(0));
    let effects = std::mem::take(&mut core.effects).into_iter();
    let seen = effects.filter(|effect| !matches!(effect, Effect::Changed(_)));
    seen.map(|effect| describe(effect, op.code())).collect()
}

fn describe(effect: Effect, code: i32) -> String {
    let Effect::Send(to, bytes) = effect else { return format!("{effect:?}") };
    let mut reader = Reader::new(bytes.slice(4..));
    let header: ReplyHeader = reader.read().expect("a header");
    if header.xid == xid::EVENT {
        let event: WatcherEvent = reader.read().expect("an event");
        return format!("{} {:?} {}", to.0, event.kind, event.path);
    }
    match header.error {
        ErrorCode::OK => match Reply::decode(code, &mut reader).expect("a body") {
            Reply::Multi(results) => format!("{} {results:?}", to.0),
            _ => format!("{} ok", to.0),
        },
        error => format!("{} {}", to.0, error.0),
    }
}

fn create(path: &str, flags: CreateFlags) -> Op {
    Op::Create(CreateRequest { path: path.into(), data: None, acl: vec![Acl::open()], flags })
}

fn delete(path: &str) -> Op {
    Op::Delete(PathVersion { path: path.into(), version: -1 })
}

fn set(path: &str) -> Op {
    Op::SetData(PathDataVersion { path: path.into(), data: None, version: -1 })
}

fn watched(path: &str) -> PathWatch {
    PathWatch { path: path.into(), watch: true }
}

fn stat(core: &Core, path: &str) -> Stat {
    core.tree.stat(path).expect("the node exists")
}

#[test]
fn an_event_of_ones_own_write_comes_before_its_reply() {
    let mut core = fresh();
    open(&mut core, A);
    ask(&mut core, A, &create("/a", CreateFlags::PERSISTENT));
    ask(&mut core, A, &Op::GetData(watched("/a")));
    assert_eq!(ask(&mut core, A, &set("/a")), ["1 DataChanged /a", "1 ok"]);
    assert_eq!(ask(&mut core, A, &set("/a")), ["1 ok"], "a watch fires once");
}

#[test]
fn a_deletion_fires_the_nodes_event_once_and_then_its_parents() {
    let mut core = fresh();
    open(&mut core, A);
    ask(&mut core, A, &create("/a", CreateFlags::PERSISTENT));
    ask(&mut core, A, &Op::Exists(watched("/a")));
    ask(&mut core, A, &Op::GetChildren(watched("/a")));
    ask(&mut core, A, &Op::GetChildren2(watched("/")));
    assert_eq!(ask(&mut core, A, &delete("/a")), ["1 Deleted /a", "1 ChildrenChanged /", "1 ok"]);
}

#[test]
fn absence_can_be_watched_by_exists_but_not_by_reads() {
    let mut core = fresh();
    open(&mut core, A);
    open(&mut core, B);
    assert_eq!(ask(&mut core, A, &Op::Exists(watched("/a"))), ["1 -101"]);
    assert_eq!(ask(&mut core, B, &Op::GetData(watched("/a"))), ["2 -101"]);
    assert_eq!(ask(&mut core, B, &create("/a", CreateFlags::PERSISTENT)), ["1 Created /a", "2 ok"]);
}

#[test]
fn a_failed_multi_changes_nothing_and_gives_each_operation_its_code() {
    let mut core = fresh();
    open(&mut core, A);
    let multi = Op::Multi(vec![
        create("/a", CreateFlags::PERSISTENT),
        delete("/missing"),
        create("/b", CreateFlags::PERSISTENT),
    ]);
    let codes =
        [ErrorCode::OK, ErrorCode::NO_NODE, ErrorCode::RUNTIME_INCONSISTENCY].map(MultiReply::Error).to_vec();
    assert_eq!(ask(&mut core, A, &multi), [format!("1 {codes:?}")]);
    assert!(core.tree.stat("/a").is_err());
}

#[test]
fn all_operations_of_a_multi_share_one_zxid() {
    let mut core = fresh();
    open(&mut core, A);
    let multi = Op::Multi(vec![
        create("/a", CreateFlags::PERSISTENT),
        create("/a/b", CreateFlags::PERSISTENT_SEQUENTIAL),
        Op::Check(PathVersion { path: "/a".into(), version: 0 }),
    ]);
    ask(&mut core, A, &multi);
    assert_eq!(stat(&core, "/a").czxid, stat(&core, "/a/b0000000000").czxid);
}

#[test]
fn a_failed_write_takes_a_zxid_and_a_read_takes_none() {
    let mut core = fresh();
    open(&mut core, A);
    let before = core.zxid;
    ask(&mut core, A, &delete("/missing"));
    assert_eq!(core.zxid, before.next());
    ask(&mut core, A, &Op::Sync("/".into()));
    assert_eq!(core.zxid, before.next());
}

#[test]
fn the_ephemeral_nodes_of_an_expired_session_go_at_one_zxid() {
    let mut core = fresh();
    let session = open(&mut core, A);
    open(&mut core, B);
    ask(&mut core, A, &create("/x", CreateFlags::EPHEMERAL));
    ask(&mut core, A, &create("/y", CreateFlags::EPHEMERAL));
    ask(&mut core, B, &Op::Exists(watched("/x")));
    let before = core.zxid;
    core.heard(B, at(1_400).now);
    core.tick(at(1_500));
    let effects = std::mem::take(&mut core.effects).into_iter();
    let (stated, effects): (Vec<_>, Vec<_>) =
        effects.map(|effect| describe(effect, 0)).partition(|effect| effect.starts_with("Changed("));
    assert_eq!(stated.len(), 2, "{stated:?}");
    let expired = format!("SessionExpired({session})");
    assert_eq!(effects, [expired.as_str(), "2 Deleted /x", "CloseNow(ConnectionId(1))"]);
    assert_eq!((core.zxid, stat(&core, "/").pzxid), (before.next(), before.next()));
    assert!(core.tree.ephemerals(session).is_empty());
}

#[test]
fn closing_a_session_answers_and_then_ends_the_connection() {
    let mut core = fresh();
    open(&mut core, A);
    ask(&mut core, A, &create("/x", CreateFlags::EPHEMERAL));
    assert_eq!(ask(&mut core, A, &Op::Close), ["1 ok", "CloseAfterSend(ConnectionId(1))"]);
    assert!(core.tree.stat("/x").is_err());
    assert!(ask(&mut core, A, &Op::Ping).is_empty(), "nothing is heard after the close");
}

#[test]
fn attaching_again_kills_the_sessions_old_connection() {
    let mut core = fresh();
    let session = open(&mut core, A);
    core.connection_opened(B);
    core.message(B, connect_request(session, &[1; 16], core.zxid), [9; 16], at(0));
    let effects = std::mem::take(&mut core.effects);
    let [Effect::CloseNow(A), Effect::Send(B, response)] = &effects[..] else { panic!("{effects:?}") };
    let response: ConnectResponse = Reader::new(response.slice(4..)).read().expect("a response");
    assert_eq!((response.session_id, response.password), (session, Some(Bytes::from_static(&[1; 16]))));
    core.connection_closed(A);
    assert_eq!(ask(&mut core, B, &Op::Ping), ["2 ok"]);
}

#[test]
fn a_wrong_password_or_an_unknown_session_is_told_that_it_is_over() {
    for (session_offset, password) in [(0, [7; 16]), (1, [1; 16])] {
        let mut core = fresh();
        let session = open(&mut core, A);
        core.connection_opened(B);
        core.message(
            B,
            connect_request(SessionId(session.0 + session_offset), &password, Zxid::ZERO),
            [9; 16],
            at(0),
        );
        let effects = std::mem::take(&mut core.effects);
        // As with ZooKeeper, a mere attempt costs an existing session its connection.
        let attempt = if session_offset == 0 { &[Effect::CloseNow(A)][..] } else { &[] };
        let Some([Effect::Send(B, response), Effect::CloseAfterSend(B)]) = effects.strip_prefix(attempt)
        else {
            panic!("{effects:?}")
        };
        let response: ConnectResponse = Reader::new(response.slice(4..)).read().expect("a response");
        assert_eq!((response.session_id, response.timeout_ms), (SessionId::NONE, 0));
    }
}

#[test]
fn a_client_that_saw_more_is_sent_away_without_a_word() {
    let mut core = fresh();
    core.connection_opened(A);
    core.message(A, connect_request(SessionId::NONE, &[0; 16], core.zxid.next()), [9; 16], at(0));
    assert_eq!(core.effects, [Effect::CloseNow(A)]);
}

#[test]
fn watches_set_again_fire_what_was_missed_before_their_reply() {
    let mut core = fresh();
    let session = open(&mut core, A);
    open(&mut core, B);
    for path in ["/data", "/gone", "/kids", "/same"] {
        ask(&mut core, A, &create(path, CreateFlags::PERSISTENT));
    }
    let seen = core.zxid;
    core.connection_closed(A);
    let missed = [
        set("/data"),
        delete("/gone"),
        create("/kids/k", CreateFlags::PERSISTENT),
        create("/new", CreateFlags::PERSISTENT),
    ];
    for change in &missed {
        ask(&mut core, B, change);
    }
    let again = ConnectionId(3);
    core.connection_opened(again);
    core.message(again, connect_request(session, &[1; 16], seen), [9; 16], at(0));
    core.effects.clear();
    let set_watches = Op::SetWatches(SetWatchesRequest {
        relative_zxid: seen,
        data: vec!["/data".into(), "/gone".into(), "/same".into()],
        exist: vec!["/new".into(), "/never".into()],
        child: vec!["/kids".into()],
    });
    let expected =
        ["3 DataChanged /data", "3 Deleted /gone", "3 Created /new", "3 ChildrenChanged /kids", "3 ok"];
    assert_eq!(ask(&mut core, again, &set_watches), expected);
    assert_eq!(ask(&mut core, B, &set("/same")), ["3 DataChanged /same", "2 ok"]);
    let made = ask(&mut core, B, &create("/never", CreateFlags::PERSISTENT));
    assert_eq!(made, ["3 Created /never", "2 ok"]);
}

#[test]
fn an_unknown_operation_is_refused_and_ends_the_connection_and_a_broken_one_is_only_refused() {
    let mut core = fresh();
    open(&mut core, A);
    let broken = frame(|w| {
        w.write(&1_i32).write(&opcode::CREATE).write(&7_i32);
    });
    core.message(A, broken.slice(4..), [0; 16], at(0));
    let unknown = frame(|w| {
        w.write(&2_i32).write(&77_i32);
    });
    core.message(A, unknown.slice(4..), [0; 16], at(0));
    let effects: Vec<_> = std::mem::take(&mut core.effects).into_iter().map(|e| describe(e, 0)).collect();
    assert_eq!(effects, ["1 -5", "1 -6", "CloseAfterSend(ConnectionId(1))"]);
}

#[test]
fn a_saved_server_comes_back_with_its_sessions_and_their_time_starts_anew() {
    let mut core = fresh();
    let session = open(&mut core, A);
    ask(&mut core, A, &create("/x", CreateFlags::EPHEMERAL));
    let image =
        Image::decode(&snapshot::encode(core.zxid, &core.sessions, &core.tree)).expect("a good snapshot");
    let later = at(60_000);
    let mut again = Core::new(LIMITS, image, SessionId::NONE, later.now);
    assert_eq!((again.zxid, &again.tree), (core.zxid, &core.tree));
    again.tick(later);
    assert_eq!(again.tree.ephemerals(session), ["/x"]);
    again.tick(at(61_500));
    assert!(again.tree.ephemerals(session).is_empty());
    assert!(open(&mut again, B) > session, "no session id is given out twice");
}

#[test]
fn a_snapshot_with_any_bit_turned_is_refused() {
    let mut core = fresh();
    open(&mut core, A);
    let good = snapshot::encode(core.zxid, &core.sessions, &core.tree);
    for index in 0..good.len() {
        let mut bad = good.to_vec();
        bad[index] ^= 1;
        assert!(Image::decode(&bad.into()).is_err(), "byte {index}");
    }
    assert!(Image::decode(&good.slice(..good.len() - 1)).is_err());
    assert!(Image::decode(&Bytes::new()).is_err());
}

proptest! {
    #[test]
    fn hostile_messages_never_panic(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..20),
        codes in proptest::collection::vec(prop_oneof![-12..20_i32, 100..106_i32], 20),
    ) {
        let mut core = fresh();
        core.connection_opened(A);
        core.message(A, Bytes::from(messages[0].clone()), [0; 16], at(0));
        open(&mut core, B);
        for (body, code) in messages.iter().zip(codes) {
            let message = frame(|w| {
                w.write(&1_i32).write(&code);
                for byte in body {
                    (*byte != 0).write(w);
                }
            });
            core.message(B, message.slice(4..), [0; 16], at(0));
            core.message(B, Bytes::from(body.clone()), [0; 16], at(0));
        }
    }
}
