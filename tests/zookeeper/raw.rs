//! A session spoken by hand, so that every frame and its place in the order can be seen.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::runtime::Segment;
use seedlog::runtime::clock;
use seedlog::runtime::net::{self, ReadHalf, WriteHalf};
use seedlog::types::{SessionId, Zxid};
use seedlog::zookeeper::codec::{
    ConnectRequest, ConnectResponse, ErrorCode, MultiReply, Op, REPLY_BYTES_MAX, Reader, Reply, ReplyHeader,
    Stat, WatcherEvent, frame, next_frame, xid,
};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Raw {
    reader: ReadHalf,
    writer: WriteHalf,
    buffer: BytesMut,
    xid: i32,
    pub session: SessionId,
    pub password: Bytes,
    pub timeout_ms: i32,
    /// What zxids are told relative to.
    pub base: Zxid,
}

impl Raw {
    /// Connects without a word.
    pub async fn connect(server: SocketAddr) -> Raw {
        let stream = net::connect(server, PATIENCE).await.expect("the server listens");
        let (reader, writer) = stream.into_split();
        let password = Bytes::from_static(&[0; 16]);
        Raw {
            reader,
            writer,
            buffer: BytesMut::new(),
            xid: 0,
            session: SessionId::NONE,
            password,
            timeout_ms: 0,
            base: Zxid::ZERO,
        }
    }

    /// Opens a session.
    pub async fn open(server: SocketAddr) -> Raw {
        let mut raw = Raw::connect(server).await;
        raw.attach(SessionId::NONE, Bytes::from_static(&[0; 16]), Zxid::ZERO).await.expect("a session");
        raw
    }

    /// Says the connect request; `None` if the connection ends without an answer.
    pub async fn attach(
        &mut self,
        session: SessionId,
        password: Bytes,
        last_zxid_seen: Zxid,
    ) -> Option<SessionId> {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen,
            timeout_ms: 8_000,
            session_id: session,
            password: Some(password),
            read_only: Some(false),
        };
        let bytes = frame(|writer| {
            writer.write(&request);
        });
        self.send(bytes).await;
        let response: ConnectResponse = Reader::new(self.message().await?).read().expect("a response");
        self.session = response.session_id;
        self.password = response.password.unwrap_or_default();
        self.timeout_ms = response.timeout_ms;
        Some(self.session)
    }

    pub async fn send(&mut self, bytes: Bytes) {
        let sent = self.writer.send(&mut vec![Segment::from(bytes)]).await;
        assert!(sent.is_ok(), "{sent:?}");
    }

    /// The next message; `None` at the end of the connection.
    pub async fn message(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = next_frame(&mut self.buffer, REPLY_BYTES_MAX).expect("a fair length") {
                return Some(message);
            }
            let read = self.reader.read(&mut self.buffer, 64 * 1024);
            match clock::timeout(PATIENCE, read).await.expect("an answer in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> String {
        let all = async { while self.reader.read(&mut self.buffer, 64 * 1024).await.is_ok_and(|n| n > 0) {} };
        clock::timeout(PATIENCE, all).await.expect("the connection ends in time");
        String::from_utf8(self.buffer.to_vec()).expect("text")
    }

    /// Makes a request; what arrives up to its reply, in words.
    pub async fn ask(&mut self, op: &Op) -> Vec<String> {
        self.xid += 1;
        let xid = match op {
            Op::Ping => xid::PING,
            Op::SetWatches(_) => xid::SET_WATCHES,
            _ => self.xid,
        };
        self.send(op.encode(xid)).await;
        let mut words = Vec::new();
        loop {
            let Some(message) = self.message().await else {
                words.push("closed".to_owned());
                return words;
            };
            let (reply_xid, described) = self.describe(message, op.code());
            words.push(described);
            if reply_xid == xid {
                return words;
            }
        }
    }

    /// The zxid of the last write that the server did.
    pub async fn last_zxid(&mut self) -> Zxid {
        self.send(Op::Ping.encode(xid::PING)).await;
        let message = self.message().await.expect("an answer");
        Reader::new(message).read::<ReplyHeader>().expect("a header").zxid
    }

    fn describe(&self, message: Bytes, code: i32) -> (i32, String) {
        let mut reader = Reader::new(message);
        let header: ReplyHeader = reader.read().expect("a header");
        if header.xid == xid::EVENT {
            let event: WatcherEvent = reader.read().expect("an event");
            return (header.xid, format!("event {:?} {} (zxid {})", event.kind, event.path, header.zxid.0));
        }
        let at = header.zxid.0 - self.base.0;
        let words = match header.error {
            ErrorCode::OK => self.describe_reply(Reply::decode(code, &mut reader).expect("a body")),
            ErrorCode(error) => format!("error {error}"),
        };
        assert_eq!(reader.remaining(), 0, "nothing follows the body");
        (header.xid, format!("@{at} {words}"))
    }

    fn describe_reply(&self, reply: Reply) -> String {
        match reply {
            Reply::Empty => "done".to_owned(),
            Reply::Path(path) => path,
            Reply::Created(path, stat) => format!("{path} {}", self.stat(&stat)),
            Reply::Stat(stat) => self.stat(&stat),
            Reply::Data(data, stat) => format!("{data:?} {}", self.stat(&stat)),
            Reply::Children(mut names) => {
                names.sort();
                format!("{names:?}")
            }
            Reply::Children2(mut names, stat) => {
                names.sort();
                format!("{names:?} {}", self.stat(&stat))
            }
            Reply::Acl(acl, stat) => format!("{acl:?} {}", self.stat(&stat)),
            Reply::Multi(results) => {
                let words: Vec<_> = results.into_iter().map(|result| self.result(result)).collect();
                format!("[{}]", words.join("; "))
            }
        }
    }

    fn result(&self, result: MultiReply) -> String {
        match result {
            MultiReply::Created(path) => path,
            MultiReply::Created2(path, stat) => format!("{path} {}", self.stat(&stat)),
            MultiReply::DataSet(stat) => self.stat(&stat),
            other => format!("{other:?}"),
        }
    }

    /// A stat without what depends on clocks and on what went before.
    fn stat(&self, stat: &Stat) -> String {
        assert!(stat.mtime >= stat.ctime, "{stat:?}");
        let owner = match stat.ephemeral_owner {
            SessionId::NONE => "nobody",
            owner if owner == self.session => "me",
            _ => "another",
        };
        let at = |zxid: Zxid| zxid.0 - self.base.0;
        format!(
            "c{} m{} p{} v{} cv{} av{} of {owner}, {} bytes, {} children",
            at(stat.czxid),
            at(stat.mzxid),
            at(stat.pzxid),
            stat.version,
            stat.cversion,
            stat.aversion,
            stat.data_length,
            stat.num_children,
        )
    }
}
