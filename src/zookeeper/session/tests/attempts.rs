//! Attempts to be attached: how long one may take, and what it asks of a server that refuses.

use super::*;

#[test]
fn an_attempt_leaves_the_session_enough_for_the_other_servers() {
    let limit = |session_ms, connect_ms, servers| {
        let [session_timeout, connect_timeout] = [session_ms, connect_ms].map(Duration::from_millis);
        Session::new(Timing { session_timeout, connect_timeout }).attempt_limit(servers).as_millis()
    };
    assert_eq!(limit(6_000, 6_000, 1), 2_000);
    assert_eq!(limit(6_000, 6_000, 3), 2_000);
    assert_eq!(limit(6_000, 6_000, 5), 1_200);
    assert_eq!(limit(6_000, 500, 3), 500);
}

#[test]
fn the_handshake_has_what_its_attempt_has_left() {
    let mut session = Session::new(TIMING);
    session.connection_opened(at(400), at(500));
    assert_eq!(session.deadline(), Some(at(500)));
    let left = Effect::Disconnect("the server does not answer the connect request".into());
    assert_eq!(session.time_passed(at(500)), [left]);
}

/// Attached, has seen zxid 42, and was refused since, last at 9 s.
fn refused() -> Session {
    let mut session = attached();
    session.request(delete(1), at(1));
    session.message(empty_reply(1, 42), at(2));
    session.connection_lost();
    for ms in [100, 9_000] {
        assert_eq!(connect_request(&opened(&mut session, ms)).last_zxid_seen, Zxid(42), "{ms} ms");
        session.connection_lost();
    }
    session
}

#[test]
fn a_client_that_every_server_refuses_learns_that_its_session_is_gone() {
    let mut session = refused();
    let question = connect_request(&opened(&mut session, 9_002));
    assert_eq!((question.session_id, question.last_zxid_seen), (SessionId(7), Zxid::ZERO));
    assert_eq!(session.message(granted(0), at(9_003)), [Effect::Expired]);
    assert!(session.is_over());
}

#[test]
fn a_server_that_may_know_less_attaches_nobody_and_is_not_asked_again_soon() {
    let mut session = refused();
    opened(&mut session, 9_002);
    let left = Effect::Disconnect("the session still exists".into());
    assert_eq!(session.message(granted(7), at(9_003)), [left]);
    assert_eq!((session.leader_confirmed_at(), session.is_over()), (at(1), false));
    session.connection_lost();
    for (ms, seen) in [(9_100, Zxid(42)), (18_001, Zxid(42)), (18_002, Zxid::ZERO)] {
        assert_eq!(connect_request(&opened(&mut session, ms)).last_zxid_seen, seen, "{ms} ms");
        session.connection_lost();
    }
    session.connection_opened(at(18_100), at(18_600));
    assert_eq!(session.message(granted(7), at(18_101)), [Effect::Attached]);
}
