mod attempts;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::zookeeper::codec::{
    Acl, CreateFlags, CreateRequest, EventKind, PathVersion, PathWatch, SetWatchesRequest, Stat, opcode,
};

const TIMING: Timing =
    Timing { session_timeout: Duration::from_millis(3_000), connect_timeout: Duration::from_millis(500) };

fn at(ms: u64) -> Instant {
    Instant::START + Duration::from_millis(ms)
}

fn granted(id: i64) -> Bytes {
    let response = ConnectResponse {
        protocol_version: 0,
        timeout_ms: if id == 0 { 0 } else { 3_000 },
        session_id: SessionId(id),
        password: Some(Bytes::from_static(&[5; PASSWORD_BYTES])),
        read_only: Some(false),
    };
    frame(|w| {
        w.write(&response);
    })
    .slice(4..)
}

/// A connection comes up, and its attempt has half a second left.
fn opened(session: &mut Session, ms: u64) -> Vec<Effect> {
    session.connection_opened(at(ms), at(ms + 500))
}

fn attached() -> Session {
    let mut session = Session::new(TIMING);
    opened(&mut session, 0);
    assert_eq!(session.message(granted(7), at(0)), [Effect::Attached]);
    session
}

fn delete(ticket: u64) -> Request {
    let op = Op::Delete(PathVersion { path: "/a".into(), version: -1 });
    Request { ticket: Ticket(ticket), op, watch: None }
}

fn watching(ticket: u64, on: WatchOn) -> Request {
    let path = PathWatch { path: "/a".into(), watch: true };
    let op = match on {
        WatchOn::Data => Op::GetData(path),
        WatchOn::Existence => Op::Exists(path),
        WatchOn::Children => Op::GetChildren(path),
    };
    Request { ticket: Ticket(ticket), op, watch: Some(WatchRequest { on, path: "/a".into() }) }
}

fn answer(ticket: u64, outcome: Result<Reply, ZkError>) -> Effect {
    Effect::Answer { ticket: Ticket(ticket), outcome, watching: false }
}

fn empty_reply(xid: i32, zxid: i64) -> Bytes {
    Reply::Empty.encode(xid, Zxid(zxid)).slice(4..)
}

fn event(kind: EventKind) -> Bytes {
    Reply::encode_event(&WatcherEvent::new(kind, "/a".into())).slice(4..)
}

/// The requests among the effects: their transaction ids and operations.
fn sent(effects: &[Effect]) -> Vec<(i32, Op)> {
    let sends = effects.iter().filter_map(|e| if let Effect::Send(bytes) = e { Some(bytes) } else { None });
    sends
        .map(|bytes| {
            let mut reader = Reader::new(bytes.slice(4..));
            let (xid, code) = (reader.read().expect("an xid"), reader.read().expect("a code"));
            (xid, Op::decode(code, &mut reader).expect("an operation"))
        })
        .collect()
}

fn connect_request(effects: &[Effect]) -> ConnectRequest {
    let [Effect::Send(bytes)] = effects else { panic!("{effects:?}") };
    Reader::new(bytes.slice(4..)).read().expect("a connect request")
}

#[test]
fn replies_are_matched_in_order() {
    let mut session = attached();
    assert_eq!(sent(&session.request(delete(1), at(1)))[0].0, 1);
    assert_eq!(sent(&session.request(delete(2), at(1)))[0].0, 2);
    assert_eq!(session.message(empty_reply(1, 10), at(2)), [answer(1, Ok(Reply::Empty))]);
    let no_node = Reply::encode_error(2, Zxid(11), ErrorCode::NO_NODE).slice(4..);
    assert_eq!(session.message(no_node, at(2)), [answer(2, Err(ZkError::NoNode))]);
}

#[test]
fn a_reply_out_of_turn_ends_the_connection_and_loses_nobodys_answer() {
    let mut session = attached();
    session.request(delete(1), at(1));
    let effects = session.message(empty_reply(5, 10), at(2));
    assert!(matches!(&effects[..], [Effect::Disconnect(_)]), "{effects:?}");
    assert_eq!(session.connection_lost(), [answer(1, Err(ZkError::ConnectionLost))]);
}

#[test]
fn a_lost_connection_fails_what_was_sent_and_keeps_what_was_not() {
    let mut session = attached();
    session.request(delete(1), at(1));
    assert_eq!(session.connection_lost(), [answer(1, Err(ZkError::ConnectionLost))]);
    assert!(session.request(delete(2), at(2)).is_empty());
    let request = connect_request(&opened(&mut session, 3));
    assert_eq!((request.session_id, request.password), (SessionId(7), Some(Bytes::from_static(&[5; 16]))));
    let effects = session.message(granted(7), at(3));
    assert_eq!(sent(&effects).len(), 1);
    assert_eq!(effects[0], Effect::Attached);
}

#[test]
fn a_request_waits_for_a_connection_no_longer_than_the_session_timeout() {
    let mut session = attached();
    session.connection_lost();
    session.request(delete(1), at(100));
    assert_eq!(session.deadline(), Some(at(3_100)));
    assert!(session.time_passed(at(3_099)).is_empty());
    assert_eq!(session.time_passed(at(3_100)), [answer(1, Err(ZkError::ConnectionLost))]);
    assert_eq!(session.deadline(), None);
}

#[test]
fn reconnecting_shows_the_last_zxid_seen() {
    let mut session = attached();
    session.request(delete(1), at(1));
    session.message(empty_reply(1, 42), at(2));
    session.connection_lost();
    assert_eq!(connect_request(&opened(&mut session, 3)).last_zxid_seen, Zxid(42));
}

/// What a server answers to the session's own `sync`.
fn synced(xid: i32) -> Bytes {
    Reply::Path("/".into()).encode(xid, Zxid(1)).slice(4..)
}

fn ping_reply() -> Bytes {
    empty_reply(xid::PING, 1)
}

#[test]
fn a_server_gets_a_sign_of_life_each_sixth_and_a_leader_a_question_each_third() {
    let mut session = attached();
    let mut asked = Vec::new();
    for ms in 0..=6_000 {
        if session.deadline().is_some_and(|due| due > at(ms)) {
            continue;
        }
        for (xid, op) in sent(&session.time_passed(at(ms))) {
            let answer = if op == Op::Ping { ping_reply() } else { synced(xid) };
            assert!(session.message(answer, at(ms)).is_empty(), "nobody asked for it");
            asked.push((ms, op));
        }
    }
    let sync = || Op::Sync("/".into());
    let expected = (1..=12).map(|sixth| (sixth * 500, if sixth % 2 == 0 { sync() } else { Op::Ping }));
    assert_eq!(asked, expected.collect::<Vec<_>>());
}

#[test]
fn a_silent_server_is_left_after_two_thirds() {
    let mut session = attached();
    assert_eq!(sent(&session.time_passed(at(500))), [(xid::PING, Op::Ping)]);
    assert_eq!(sent(&session.time_passed(at(1_000))).len(), 1);
    assert_eq!(sent(&session.time_passed(at(1_500))), [(xid::PING, Op::Ping)]);
    assert_eq!(session.deadline(), Some(at(2_000)));
    assert_eq!(session.time_passed(at(2_000)), [Effect::Disconnect("the server is silent".into())]);
}

#[test]
fn a_server_that_answers_pings_and_reads_alone_is_left_after_two_thirds() {
    let mut session = attached();
    for ms in [500, 1_000, 1_500] {
        session.time_passed(at(ms));
        session.message(ping_reply(), at(ms));
    }
    assert_eq!((session.confirmed_at(), session.leader_confirmed_at()), (at(1_500), at(0)));
    let left = Effect::Disconnect("the server answers, but no leader does".into());
    assert_eq!(session.time_passed(at(2_000)), [left]);
    // The next one may be a follower too: it attaches nobody without a leader.
    session.connection_lost();
    opened(&mut session, 2_100);
    session.message(granted(7), at(2_200));
    assert_eq!(session.leader_confirmed_at(), at(2_100), "from the question, not from the answer");
}

#[test]
fn only_what_a_leader_must_have_answered_confirms_the_session() {
    let mut session = attached();
    session.request(watching(1, WatchOn::Existence), at(100));
    session.message(Reply::Stat(Stat::default()).encode(1, Zxid(3)).slice(4..), at(150));
    assert_eq!((session.confirmed_at(), session.leader_confirmed_at()), (at(100), at(0)), "a read");

    session.request(delete(2), at(200));
    session.message(Reply::encode_error(2, Zxid(4), ErrorCode::NO_NODE).slice(4..), at(250));
    assert_eq!(session.leader_confirmed_at(), at(0), "a follower refuses things by itself");

    session.request(delete(3), at(300));
    session.message(empty_reply(3, 5), at(350));
    assert_eq!(session.leader_confirmed_at(), at(300), "a write");

    session.request(Request { ticket: Ticket(4), op: Op::Sync("/x".into()), watch: None }, at(400));
    session.message(synced(4), at(450));
    assert_eq!(session.leader_confirmed_at(), at(400), "a sync");
}

#[test]
fn the_sessions_own_sync_takes_its_turn_among_the_requests() {
    let mut session = attached();
    session.request(delete(1), at(900));
    let own = sent(&session.time_passed(at(1_000)));
    session.request(delete(2), at(1_001));
    assert_eq!(own, [(2, Op::Sync("/".into()))]);
    assert_eq!(session.message(empty_reply(1, 1), at(1_002)), [answer(1, Ok(Reply::Empty))]);
    assert!(session.message(synced(2), at(1_003)).is_empty());
    assert_eq!(session.message(empty_reply(3, 2), at(1_004)), [answer(2, Ok(Reply::Empty))]);
    // Lost with the connection, it is nobody's loss.
    session.time_passed(at(2_001));
    assert!(session.connection_lost().is_empty());
}

#[test]
fn a_session_is_over_only_when_a_server_says_so() {
    let mut session = attached();
    session.connection_lost();
    session.request(delete(1), at(1));
    session.time_passed(at(1_000_000));
    assert!(!session.is_over());
    opened(&mut session, 1_000_000);
    session.request(delete(2), at(1_000_000));
    let effects = session.message(granted(0), at(1_000_001));
    assert_eq!(effects, [Effect::Expired, answer(2, Err(ZkError::SessionExpired))]);
    assert!(session.is_over());
    assert_eq!(session.request(delete(3), at(1_000_002)), [answer(3, Err(ZkError::SessionExpired))]);
}

#[test]
fn a_watch_is_set_by_the_reply_and_fires_once() {
    let mut session = attached();
    session.request(watching(1, WatchOn::Data), at(1));
    assert!(session.message(event(EventKind::DataChanged), at(1)).is_empty(), "not set yet");
    let reply = Reply::Data(None, Stat::default());
    let effects = session.message(reply.encode(1, Zxid(3)).slice(4..), at(2));
    assert_eq!(effects, [Effect::Answer { ticket: Ticket(1), outcome: Ok(reply), watching: true }]);
    let fired = Effect::Fire(Ticket(1), WatchOutcome::Event(EventKind::DataChanged));
    assert_eq!(session.message(event(EventKind::DataChanged), at(3)), [fired]);
    assert!(session.message(event(EventKind::DataChanged), at(4)).is_empty());
}

#[test]
fn absence_sets_a_watch_for_exists_alone() {
    for (on, expected) in [(WatchOn::Existence, 1), (WatchOn::Data, 0), (WatchOn::Children, 0)] {
        let mut session = attached();
        session.request(watching(1, on), at(1));
        session.message(Reply::encode_error(1, Zxid(3), ErrorCode::NO_NODE).slice(4..), at(2));
        assert_eq!(session.watches_set(), expected, "{on:?}");
    }
}

#[test]
fn watches_are_set_again_before_anything_else_is_sent() {
    let mut session = attached();
    session.request(watching(1, WatchOn::Existence), at(1));
    session.message(Reply::encode_error(1, Zxid(3), ErrorCode::NO_NODE).slice(4..), at(2));
    session.connection_lost();
    session.request(delete(2), at(3));
    opened(&mut session, 4);
    let sent = sent(&session.message(granted(7), at(4)));
    let again = SetWatchesRequest {
        relative_zxid: Zxid(3),
        exist: vec!["/a".into()],
        ..SetWatchesRequest::default()
    };
    assert_eq!(sent[0], (xid::SET_WATCHES, Op::SetWatches(again)));
    assert_eq!(sent[1].1.code(), opcode::DELETE);
}

#[test]
fn an_expired_session_tells_its_watches() {
    let mut session = attached();
    session.request(watching(1, WatchOn::Existence), at(1));
    session.message(Reply::encode_error(1, Zxid(3), ErrorCode::NO_NODE).slice(4..), at(2));
    session.connection_lost();
    opened(&mut session, 4);
    let lost = Effect::Fire(Ticket(1), WatchOutcome::SessionLost);
    assert_eq!(session.message(granted(0), at(5)), [Effect::Expired, lost]);
}

#[test]
fn closing_waits_its_turn_and_ends_everything() {
    let mut session = attached();
    session.request(delete(1), at(1));
    session.request(Request { ticket: Ticket(2), op: Op::Close, watch: None }, at(1));
    session.message(empty_reply(1, 3), at(2));
    assert!(!session.is_over());
    assert_eq!(session.message(empty_reply(2, 4), at(2)), [answer(2, Ok(Reply::Empty))]);
    assert_eq!(session.request(delete(3), at(3)), [answer(3, Err(ZkError::Closed))]);
}

#[test]
fn a_request_too_large_for_a_server_is_not_sent() {
    let mut session = attached();
    let request = CreateRequest {
        path: "/a".into(),
        data: Some(vec![0; REQUEST_BYTES_MAX].into()),
        acl: vec![Acl::open()],
        flags: CreateFlags::PERSISTENT,
    };
    let effects = session.request(Request { ticket: Ticket(1), op: Op::Create(request), watch: None }, at(1));
    let [Effect::Answer { outcome: Err(ZkError::TooLarge { .. }), .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
}

#[test]
fn no_more_is_in_flight_or_waiting_than_the_limits_say() {
    let mut session = attached();
    let mut sends = 0;
    let mut refused = 0;
    for ticket in 0..(SENT_MAX + WAITING_MAX + 3) as u64 {
        for effect in session.request(delete(ticket), at(1)) {
            match effect {
                Effect::Send(_) => sends += 1,
                Effect::Answer { outcome: Err(ZkError::TooMany("requests")), .. } => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((sends, refused), (SENT_MAX, 3));
    assert_eq!(sent(&session.message(empty_reply(1, 1), at(2))).len(), 1, "an answer makes room");
}

#[derive(Clone, Debug)]
enum Happening {
    Request,
    Open,
    Lose,
    Grant,
    Reply,
    Garbage(Vec<u8>),
    Wait(u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        4 => Just(Happening::Request),
        2 => Just(Happening::Open),
        1 => Just(Happening::Lose),
        2 => Just(Happening::Grant),
        4 => Just(Happening::Reply),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Happening::Garbage),
        2 => (0..4_000_u64).prop_map(Happening::Wait),
    ];
    proptest::collection::vec(happening, 0..80)
}

/// A session with its server and its clock, as a list of happenings moves them.
struct Play {
    session: Session,
    now: u64,
    next_ticket: u64,
    /// What the server has to answer: transaction id and operation.
    in_flight: std::collections::VecDeque<(i32, i32)>,
    answers: BTreeMap<u64, usize>,
    connected: bool,
}

impl Play {
    fn new() -> Play {
        Play {
            session: Session::new(TIMING),
            now: 0,
            next_ticket: 0,
            in_flight: Default::default(),
            answers: BTreeMap::new(),
            connected: false,
        }
    }

    fn happen(&mut self, happening: Happening) -> Vec<Effect> {
        let (session, now) = (&mut self.session, at(self.now));
        match happening {
            Happening::Request => {
                self.next_ticket += 1;
                session.request(delete(self.next_ticket), now)
            }
            Happening::Open if !self.connected => {
                self.connected = true;
                session.connection_opened(now, now + TIMING.connect_timeout)
            }
            Happening::Lose if self.connected => {
                self.connected = false;
                session.connection_lost()
            }
            Happening::Grant if session.phase == Phase::Handshake => session.message(granted(7), now),
            Happening::Reply if session.phase == Phase::Attached => match self.in_flight.pop_front() {
                Some((xid, opcode::SYNC)) => session.message(synced(xid), now),
                Some((xid, _)) => session.message(empty_reply(xid, 1), now),
                None => Vec::new(),
            },
            // Garbage may be read as "this session is over", which ends it rightly.
            Happening::Garbage(bytes) if session.phase == Phase::Attached => {
                session.message(bytes.into(), now)
            }
            Happening::Wait(ms) => {
                self.now += ms;
                session.time_passed(at(self.now))
            }
            _ => Vec::new(),
        }
    }

    fn take(&mut self, effects: Vec<Effect>) -> Result<(), TestCaseError> {
        let mut last_answered = 0;
        for effect in effects {
            match effect {
                Effect::Answer { ticket, .. } => {
                    prop_assert!(ticket.0 > last_answered, "answers in order");
                    last_answered = ticket.0;
                    *self.answers.entry(ticket.0).or_default() += 1;
                }
                Effect::Send(bytes) if self.session.phase == Phase::Attached => {
                    let mut reader = Reader::new(bytes.slice(4..));
                    let (xid, code) = (reader.read().expect("an xid"), reader.read().expect("a code"));
                    if xid > 0 {
                        self.in_flight.push_back((xid, code));
                    }
                }
                Effect::Disconnect(_) => {
                    self.connected = false;
                    let effects = self.session.connection_lost();
                    self.count(effects);
                }
                Effect::Expired => prop_assert!(false, "nobody said so"),
                _ => {}
            }
        }
        if !self.connected {
            self.in_flight.clear();
        }
        Ok(())
    }

    fn count(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Answer { ticket, .. } = effect {
                *self.answers.entry(ticket.0).or_default() += 1;
            }
        }
    }
}

proptest! {
    #[test]
    fn every_request_is_answered_once_and_in_order_and_no_clock_ends_a_session(list in happenings()) {
        let mut play = Play::new();
        for happening in list {
            let effects = play.happen(happening);
            play.take(effects)?;
        }
        let lost = play.session.connection_lost();
        play.count(lost);
        let late = play.session.time_passed(at(play.now + 10_000));
        play.count(late);
        let once = (1..=play.next_ticket).map(|ticket| (ticket, 1)).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(play.answers, once);
    }
}
