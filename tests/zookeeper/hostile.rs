//! A server that lies: lengths, counts, transaction ids, sessions, times, events nobody asked for, half a message.
//! The client survives each, in bounded memory, and finds an honest server in the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::net::{Listener, ReadHalf, Stream, WriteHalf};
use seedlog::runtime::task::{Lane, TaskGroup};
use seedlog::runtime::{Segment, clock};
use seedlog::types::{SessionId, Zxid};
use seedlog::zookeeper::codec::{
    ConnectResponse, ErrorCode, EventKind, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, Reply, ReplyHeader,
    WatcherEvent, frame, next_frame, opcode, xid,
};
use seedlog::zookeeper::{ZkError, ZooKeeper, ZooKeeperConfig};

use super::stories::Setting;

const SESSION: Duration = Duration::from_secs(3);
const SESSION_ID: SessionId = SessionId(7);
const LIES: usize = 16;
const LIES_PER_CONNECTION: usize = 3;

/// What the server says in place of an answer, by number; `None`: nothing at all.
fn lie(number: usize, request_xid: i32) -> Option<Bytes> {
    let header = |xid: i32| ReplyHeader { xid, zxid: Zxid::ZERO, error: ErrorCode::OK };
    let body = |words: &[i32]| {
        frame(|writer| {
            writer.write(&header(request_xid));
            words.iter().for_each(|word| {
                writer.write(word);
            });
        })
    };
    Some(match number {
        0 => return None,
        1 => i32::MAX.to_be_bytes().to_vec().into(),
        2 => (-1_i32).to_be_bytes().to_vec().into(),
        3 => (REPLY_BYTES_MAX as i32 + 1).to_be_bytes().to_vec().into(),
        // The answer to another request, to one that was never made, and to none at all.
        4 => frame(|writer| {
            writer.write(&header(request_xid.wrapping_add(1)));
        }),
        5 => frame(|writer| {
            writer.write(&header(i32::MIN));
        }),
        6 => frame(|_| {}),
        // Counts: too many, as many as fit, negative; a string that is none.
        7 => body(&[i32::MAX]),
        8 => frame(|writer| {
            let count = (REPLY_BYTES_MAX - 20) / 4;
            writer.write(&header(request_xid)).write(&vec![String::new(); count]);
        }),
        9 => body(&[-2]),
        10 => body(&[1, 2, -1]),
        // Half a message.
        11 => body(&[1, 4, 0]).slice(..18),
        12 => Reply::encode_error(request_xid, Zxid(i64::MIN), ErrorCode(i32::MIN)),
        // Events: of no kind, and thousands of them.
        13 => frame(|writer| {
            writer.write(&header(xid::EVENT)).write(&99_i32).write(&3_i32).write(&"/a".to_owned());
        }),
        14 => {
            let event = Reply::encode_event(&WatcherEvent::new(EventKind::Deleted, "/a".to_owned()));
            let many: Vec<u8> = (0..10_000).flat_map(|_| event.to_vec()).collect();
            many.into()
        }
        // Pings nobody sent.
        _ => (0..1_000)
            .flat_map(|_| Reply::Empty.encode(xid::PING, Zxid::ZERO).to_vec())
            .collect::<Vec<u8>>()
            .into(),
    })
}

/// Answers connect requests, some of them with a lie, and everything else with the connection's own lie.
async fn serve(stream: Stream, connection: usize) {
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = BytesMut::new();
    let Some(_connect) = message(&mut reader, &mut buffer).await else { return };
    let (session_id, timeout_ms) = match connection % 20 {
        16 => (SessionId(8), 3_000),
        17 => (SESSION_ID, 0),
        18 => (SESSION_ID, 1),
        19 => (SESSION_ID, -3_000),
        _ => (SESSION_ID, 3_000),
    };
    let password = Some(Bytes::from_static(&[0; 16]));
    let granted =
        ConnectResponse { protocol_version: 0, timeout_ms, session_id, password, read_only: Some(false) };
    send(
        &mut writer,
        frame(|writer| {
            writer.write(&granted);
        }),
    )
    .await;
    let mut lies = 0;
    // Some lies look like an answer: the client stays.
    while lies < LIES_PER_CONNECTION {
        let Some(request) = message(&mut reader, &mut buffer).await else { return };
        let word = |at: usize| request.get(at..at + 4).and_then(|word| word.try_into().ok());
        let request_xid = word(0).map_or(0, i32::from_be_bytes);
        if word(4).map_or(0, i32::from_be_bytes) == opcode::PING {
            send(&mut writer, Reply::Empty.encode(xid::PING, Zxid::ZERO)).await;
            continue;
        }
        match lie(connection % 20, request_xid) {
            Some(lie) => send(&mut writer, lie).await,
            None => return,
        }
        lies += 1;
    }
}

async fn message(reader: &mut ReadHalf, buffer: &mut BytesMut) -> Option<Bytes> {
    loop {
        if let Some(message) = next_frame(buffer, REQUEST_BYTES_MAX).expect("our client is honest") {
            return Some(message);
        }
        match reader.read(buffer, 64 * 1024).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

async fn send(writer: &mut WriteHalf, bytes: Bytes) {
    // The client may have left.
    drop(writer.send(&mut vec![Segment::from(bytes)]).await);
}

/// Every lie in turn, and then an honest server, which does not know the session.
pub async fn liar(at: Setting) {
    let listener = Listener::bind(SocketAddr::new(at.own_ip, 0)).await.expect("a free port");
    let address = SocketAddr::new(at.own_ip, listener.local_address().port());
    let tasks = TaskGroup::new(Lane::Data);
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let server = at.server;
    tasks.spawn("liar", async move {
        let relays = TaskGroup::new(Lane::Data);
        while let Ok((stream, _)) = listener.accept().await {
            let connection = counted.fetch_add(1, Ordering::SeqCst);
            if connection < 2 * 20 {
                relays.spawn("liar-connection", serve(stream, connection));
            } else {
                relays.spawn("liar-relay", super::proxy::relay(stream, server));
            }
        }
    });
    let config = ZooKeeperConfig {
        servers: vec![address.to_string()],
        session_timeout: SESSION,
        connect_timeout: Duration::from_secs(1),
    };
    let zk = ZooKeeper::connect(config).await.expect("it grants a session");
    let mut outcomes = 0;
    loop {
        match zk.get_children("/").await {
            Err(ZkError::SessionExpired) => break,
            // What a liar says may look like an answer.
            Ok(_) | Err(ZkError::ConnectionLost | ZkError::Other(_)) => outcomes += 1,
            Err(other) => panic!("{other}"),
        }
        // A liar that says nothing is left by the client's own timeouts.
        clock::sleep(Duration::from_millis(20)).await;
    }
    assert!(outcomes >= LIES, "{outcomes}");
    clock::timeout(SESSION, zk.session_expired()).await.expect("it is told");
    assert!(connections.load(Ordering::SeqCst) > 40, "every lie was told twice");
}

/// A server that grants a session, and says when its client comes back that the session is over, with nonsense behind
/// it: the session is over, and nothing else.
pub async fn nonsense_behind_the_end(at: Setting) {
    let listener = Listener::bind(SocketAddr::new(at.own_ip, 0)).await.expect("a free port");
    let address = SocketAddr::new(at.own_ip, listener.local_address().port());
    let tasks = TaskGroup::new(Lane::Data);
    tasks.spawn("server", async move {
        for session_id in [SESSION_ID, SessionId::NONE] {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (mut reader, mut writer) = stream.into_split();
            let mut buffer = BytesMut::new();
            message(&mut reader, &mut buffer).await.expect("it wants to attach");
            let password = Some(Bytes::from_static(&[0; 16]));
            let response = ConnectResponse {
                protocol_version: 0,
                timeout_ms: 3_000,
                session_id,
                password,
                read_only: Some(false),
            };
            let mut words = frame(|writer| {
                writer.write(&response);
            })
            .to_vec();
            if session_id == SessionId::NONE {
                words.extend((-1_i32).to_be_bytes());
            }
            send(&mut writer, words.into()).await;
        }
        std::future::pending::<()>().await;
    });
    let config = ZooKeeperConfig {
        servers: vec![address.to_string()],
        session_timeout: SESSION,
        connect_timeout: Duration::from_secs(1),
    };
    let zk = ZooKeeper::connect(config).await.expect("it grants a session");

    clock::timeout(SESSION * 2, zk.session_expired()).await.expect("it is told");
    assert_eq!(zk.exists("/").await, Err(ZkError::SessionExpired));
    // Whoever would connect again would have done so by now.
    clock::sleep(SESSION).await;
}

/// Of two servers one takes connections and says nothing. A session whose connection breaks goes on all the same.
pub async fn one_silent_server(at: Setting) {
    let silent = Listener::bind(SocketAddr::new(at.own_ip, 0)).await.expect("a free port");
    let silent_address = SocketAddr::new(at.own_ip, silent.local_address().port());
    let proxy = at.proxy().await;
    let servers = vec![proxy.address(), silent_address.to_string()];
    let config = ZooKeeperConfig { servers, session_timeout: SESSION, connect_timeout: SESSION };
    let zk = ZooKeeper::connect(config).await.expect("one of them grants a session");
    for _ in 0..3 {
        proxy.cut();
        while zk.exists("/").await == Err(ZkError::ConnectionLost) {}
        assert!(zk.exists("/").await.is_ok(), "the session lives");
    }
    zk.close().await;
}
