//! A follower that is cut from its leader: its answers prove nothing, and the client does not take them for more.

use std::net::SocketAddr;
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::zk_sim::Server;
use seedlog::zookeeper::codec::{Acl, CreateFlags, CreateRequest, Op};
use seedlog::zookeeper::{CreateMode, ZkError, ZooKeeper};

use super::harness;
use super::raw::Raw;
use super::stories::{Setting, connect, gone};

const SESSION: Duration = Duration::from_secs(3);

/// The leader expires the sessions while the follower answers. One that only pings would think that it lives; the
/// client does not.
pub async fn cut_follower(at: Setting) {
    let server = Server::start(harness::config(SocketAddr::new(at.own_ip, 0))).await.expect("a free port");
    let address = SocketAddr::new(at.own_ip, server.address().port());
    let other = connect(address.to_string(), SESSION).await;
    let zk = connect(address.to_string(), SESSION).await;
    zk.create("/mine", b"", CreateMode::Ephemeral).await.expect("created");
    let mut raw = Raw::open(address).await;
    assert_eq!(raw.ask(&ephemeral("/raw")).await.len(), 1);
    let confirmed_at = zk.leader_confirmed_at();
    for session in [zk.session_id(), raw.session] {
        assert!(server.control().cut_from_leader(session, false));
    }

    // Reads are answered, until one stands behind a sync; then the client leaves the follower.
    while zk.exists("/mine").await.is_ok_and(|stat| stat.is_some()) {
        clock::sleep(Duration::from_millis(50)).await;
    }
    assert!(clock::now() >= zk.alive_until(), "left no earlier than it must be");
    assert_eq!(zk.leader_confirmed_at(), confirmed_at);
    gone(&other, "/mine").await;
    assert!(zk.alive_until() < clock::now(), "nobody else before that");
    assert!(zk.may_have_expired());
    assert_eq!(zk.exists("/mine").await, Err(ZkError::ConnectionLost), "it can reach no other server");
    ping_until_gone(&mut raw, &other, "/raw").await;

    server.control().join_leader();
    clock::timeout(SESSION, zk.session_expired()).await.expect("it is told");
    assert!(!other.may_have_expired());
    other.close().await;
    server.shutdown().await;
}

fn ephemeral(path: &str) -> Op {
    let (data, acl) = (None, vec![Acl::open()]);
    Op::Create(CreateRequest { path: path.into(), data, acl, flags: CreateFlags::EPHEMERAL })
}

/// A session that sends nothing but pings has each one answered, though its node is gone in the end.
async fn ping_until_gone(raw: &mut Raw, other: &ZooKeeper, path: &str) {
    while other.exists(path).await.expect("an answer").is_some() {
        let answer = raw.ask(&Op::Ping).await;
        assert!(answer[0].ends_with("done"), "{answer:?}");
        clock::sleep(Duration::from_millis(200)).await;
    }
    let answer = raw.ask(&Op::Ping).await;
    assert!(answer[0].ends_with("done"), "an expired session's ping is answered: {answer:?}");
}

/// A follower that lost its leader only for a moment costs a connection, not the session.
pub async fn follower_that_comes_back(at: Setting) {
    let server = Server::start(harness::config(SocketAddr::new(at.own_ip, 0))).await.expect("a free port");
    let address = SocketAddr::new(at.own_ip, server.address().port()).to_string();
    let zk = connect(address, SESSION).await;
    zk.create("/mine", b"", CreateMode::Ephemeral).await.expect("created");
    let session = zk.session_id();
    assert!(server.control().cut_from_leader(session, false));
    // In flight to a leader that is not there.
    let written = clock::timeout(SESSION / 3, zk.set_data("/mine", b"1", None)).await;
    assert!(written.is_err(), "{written:?}");
    server.control().join_leader();
    let before = zk.leader_confirmed_at();
    while zk.leader_confirmed_at() == before {
        clock::sleep(Duration::from_millis(50)).await;
    }
    let stat = zk.exists("/mine").await.expect("an answer").expect("it lives on");
    assert_eq!((zk.session_id(), stat.ephemeral_owner, stat.version), (session, session, 0));
    zk.close().await;
    server.shutdown().await;
}

/// The third server follows and is cut; sessions on it expire at the quorum, to which the first belongs.
#[allow(dead_code)] // Only where there is a real ensemble.
pub async fn real_follower(first: SocketAddr, third: SocketAddr, cut: impl FnOnce()) {
    let other = connect(first.to_string(), SESSION).await;
    let zk = connect(third.to_string(), SESSION).await;
    zk.create("/mine", b"", CreateMode::Ephemeral).await.expect("created");
    let mut raw = Raw::open(third).await;
    assert_eq!(raw.ask(&ephemeral("/raw")).await.len(), 1);
    // Its own sync is answered, for as long as there is a leader.
    let before = zk.leader_confirmed_at();
    clock::sleep(SESSION).await;
    assert!(zk.leader_confirmed_at() >= before + SESSION / 3, "a follower passes a sync on");

    cut();
    let cut_at = clock::now();
    gone(&other, "/mine").await;
    let taken_at = clock::now();
    assert!(zk.alive_until() <= taken_at, "no longer than the session lived");
    assert!(zk.leader_confirmed_at() <= cut_at);

    ping_until_gone(&mut raw, &other, "/raw").await;
    other.close().await;
}
