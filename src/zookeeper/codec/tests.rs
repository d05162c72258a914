use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::types::{SessionId, Zxid};

fn stat(seed: i64) -> Stat {
    Stat {
        czxid: Zxid(seed),
        mzxid: Zxid(seed + 1),
        ctime: 2,
        mtime: 3,
        version: 4,
        cversion: 5,
        aversion: 6,
        ephemeral_owner: SessionId(7),
        data_length: 8,
        num_children: 9,
        pzxid: Zxid(10),
    }
}

fn body(framed: &Bytes) -> Bytes {
    let mut buffer = BytesMut::from(&framed[..]);
    let frame = next_frame(&mut buffer, REPLY_BYTES_MAX).expect("a fair length").expect("a whole frame");
    assert!(buffer.is_empty());
    frame
}

fn decode_request(framed: &Bytes) -> (i32, Op) {
    let mut reader = Reader::new(body(framed));
    let xid = reader.read().expect("an xid");
    let code = reader.read().expect("a code");
    let operation = Op::decode(code, &mut reader).expect("an operation");
    assert_eq!(reader.remaining(), 0);
    (xid, operation)
}

/// The bytes that ZooKeeper's own client sends to open a session.
#[test]
fn a_connect_request_has_the_bytes_of_the_java_client() {
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 10_000,
        session_id: SessionId::NONE,
        password: Some(Bytes::from_static(&[0; 16])),
        read_only: Some(false),
    };
    let mut golden = vec![0, 0, 0, 45, 0, 0, 0, 0];
    golden.extend([0; 8]);
    golden.extend([0, 0, 0x27, 0x10]);
    golden.extend([0; 8]);
    golden.extend([0, 0, 0, 16]);
    golden.extend([0; 16]);
    golden.push(0);
    let encoded = frame(|w| {
        w.write(&request);
    });
    assert_eq!(encoded[..], golden[..]);
    let mut reader = Reader::new(body(&encoded));
    assert_eq!(reader.read::<ConnectRequest>(), Ok(request));
}

#[test]
fn a_connect_request_of_an_old_client_lacks_the_last_byte() {
    let mut message = BytesMut::new();
    message.put_slice(&[0; 24]);
    message.put_i32(-1);
    let request: ConnectRequest = Reader::new(message.freeze()).read().expect("a request");
    assert_eq!((request.password, request.read_only), (None, None));
}

#[test]
fn create_and_its_reply_have_their_golden_bytes() {
    let create = CreateRequest {
        path: "/a".into(),
        data: Some(Bytes::from_static(b"x")),
        acl: vec![Acl::open()],
        flags: CreateFlags::EPHEMERAL_SEQUENTIAL,
    };
    let mut golden = vec![0, 0, 0, 50, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, b'/', b'a', 0, 0, 0, 1, b'x'];
    golden.extend([0, 0, 0, 1, 0, 0, 0, 31, 0, 0, 0, 5]);
    golden.extend(b"world");
    golden.extend([0, 0, 0, 6]);
    golden.extend(b"anyone");
    golden.extend([0, 0, 0, 3]);
    assert_eq!(Op::Create(create).encode(9)[..], golden[..]);

    let golden = [0, 0, 0, 22, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, b'/', b'a'];
    assert_eq!(Reply::Path("/a".into()).encode(9, Zxid(5))[..], golden);
}

#[test]
fn a_failed_multi_has_its_golden_bytes() {
    let reply = Reply::Multi(vec![
        MultiReply::Error(ErrorCode::OK),
        MultiReply::Error(ErrorCode::NODE_EXISTS),
        MultiReply::Error(ErrorCode(-2)),
    ]);
    let mut golden = vec![0, 0, 0, 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0];
    for code in [0_i32, -110, -2] {
        golden.extend([255, 255, 255, 255, 0]);
        golden.extend(code.to_be_bytes());
        golden.extend(code.to_be_bytes());
    }
    golden.extend([255, 255, 255, 255, 1, 255, 255, 255, 255]);
    assert_eq!(reply.encode(1, Zxid(7))[..], golden[..]);
}

#[test]
fn an_event_has_its_golden_bytes() {
    let encoded = Reply::encode_event(&WatcherEvent::new(EventKind::DataChanged, "/a".into()));
    let mut golden = vec![0, 0, 0, 30];
    golden.extend([255; 12]);
    golden.extend([0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'a']);
    assert_eq!(encoded[..], golden[..]);
}

#[test]
fn every_reply_reads_back_as_it_was_written() {
    let replies = [
        (opcode::DELETE, Reply::Empty),
        (opcode::CREATE, Reply::Path("/a".into())),
        (opcode::CREATE2, Reply::Created("/a".into(), stat(1))),
        (opcode::EXISTS, Reply::Stat(stat(2))),
        (opcode::GET_DATA, Reply::Data(None, stat(3))),
        (opcode::GET_DATA, Reply::Data(Some(Bytes::from_static(b"v")), stat(3))),
        (opcode::GET_CHILDREN, Reply::Children(vec!["a".into(), "b".into()])),
        (opcode::GET_CHILDREN2, Reply::Children2(vec![], stat(4))),
        (opcode::GET_ACL, Reply::Acl(vec![Acl::open()], stat(5))),
        (
            opcode::MULTI,
            Reply::Multi(vec![
                MultiReply::Created("/a".into()),
                MultiReply::Created2("/b".into(), stat(6)),
                MultiReply::Deleted,
                MultiReply::DataSet(stat(7)),
                MultiReply::Checked,
                MultiReply::Error(ErrorCode::NO_NODE),
            ]),
        ),
    ];
    for (code, reply) in replies {
        let mut reader = Reader::new(body(&reply.encode(3, Zxid(4))));
        assert_eq!(reader.read(), Ok(ReplyHeader { xid: 3, zxid: Zxid(4), error: ErrorCode::OK }));
        assert_eq!(Reply::decode(code, &mut reader), Ok(reply));
        assert_eq!(reader.remaining(), 0);
    }
}

#[test]
fn a_frame_beyond_the_limit_or_of_negative_length_is_refused_by_its_length_alone() {
    let mut too_long = BytesMut::from(&0x10_0000_i32.to_be_bytes()[..]);
    assert!(next_frame(&mut too_long, REQUEST_BYTES_MAX).is_err());
    let mut negative = BytesMut::from(&(-1_i32).to_be_bytes()[..]);
    assert!(next_frame(&mut negative, REQUEST_BYTES_MAX).is_err());
    let mut partial = BytesMut::from(&[0, 0, 0, 5, 1][..]);
    assert_eq!(next_frame(&mut partial, REQUEST_BYTES_MAX), Ok(None));
}

#[test]
fn an_absurd_count_allocates_nothing_and_is_refused() {
    let mut message = BytesMut::new();
    message.put_i64(0);
    message.put_i32(i32::MAX);
    let refused = Op::decode(opcode::SET_WATCHES, &mut Reader::new(message.freeze()));
    assert_eq!(refused, Err(DecodeError::Truncated));
}

fn path() -> impl Strategy<Value = String> + Clone {
    "(/[a-zé]{1,5}){1,3}"
}

fn data() -> BoxedStrategy<Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)).boxed()
}

fn write_operation() -> impl Strategy<Value = Op> {
    let create = (path(), data(), 0..4_i32).prop_map(|(path, data, flags)| CreateRequest {
        path,
        data,
        acl: vec![Acl::open()],
        flags: CreateFlags(flags),
    });
    let path_version = (path(), any::<i32>()).prop_map(|(path, version)| PathVersion { path, version });
    let set = (path(), data(), any::<i32>()).prop_map(|(path, data, version)| PathDataVersion {
        path,
        data,
        version,
    });
    prop_oneof![
        create.clone().prop_map(Op::Create),
        create.prop_map(Op::Create2),
        path_version.clone().prop_map(Op::Delete),
        path_version.prop_map(Op::Check),
        set.prop_map(Op::SetData),
    ]
}

fn operation() -> impl Strategy<Value = Op> {
    let path_watch = (path(), any::<bool>()).prop_map(|(path, watch)| PathWatch { path, watch });
    let paths = || proptest::collection::vec(path(), 0..4);
    let watches =
        (any::<i64>(), paths(), paths(), paths()).prop_map(|(relative_zxid, data, exist, child)| {
            SetWatchesRequest { relative_zxid: Zxid(relative_zxid), data, exist, child }
        });
    prop_oneof![
        write_operation(),
        path_watch.clone().prop_map(Op::Exists),
        path_watch.clone().prop_map(Op::GetData),
        path_watch.clone().prop_map(Op::GetChildren),
        path_watch.prop_map(Op::GetChildren2),
        path().prop_map(Op::Sync),
        path().prop_map(Op::GetAcl),
        watches.prop_map(Op::SetWatches),
        proptest::collection::vec(write_operation(), 0..5).prop_map(Op::Multi),
        Just(Op::Ping),
        Just(Op::Close),
    ]
}

proptest! {
    #[test]
    fn every_request_reads_back_as_it_was_written(operation in operation(), xid in any::<i32>()) {
        prop_assert_eq!(decode_request(&operation.encode(xid)), (xid, operation));
    }

    #[test]
    fn hostile_bytes_are_an_error_or_a_value_but_never_a_panic(
        code in prop_oneof![-2..20_i32, 100..108_i32, any::<i32>()],
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = Bytes::from(bytes);
        drop(Op::decode(code, &mut Reader::new(bytes.clone())));
        drop(Reply::decode(code, &mut Reader::new(bytes.clone())));
        drop(Reader::new(bytes.clone()).read::<ConnectRequest>());
        drop(Reader::new(bytes).read::<WatcherEvent>());
    }

    #[test]
    fn a_request_cut_short_is_an_error_and_never_a_panic(operation in operation(), cut in any::<usize>()) {
        let whole = body(&operation.encode(1)).slice(8..);
        let cut = cut % whole.len().max(1);
        let read = Op::decode(operation.code(), &mut Reader::new(whole.slice(..cut)));
        prop_assert!(read.is_err() || whole.is_empty());
    }
}
