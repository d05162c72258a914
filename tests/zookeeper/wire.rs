//! Stories of single frames: their order, their codes, the zxids in them.

use bytes::Bytes;
use seedlog::runtime::rng::Rng;
use seedlog::types::{SessionId, Zxid};
use seedlog::zookeeper::codec::{
    Acl, CreateFlags, CreateRequest, Op, PathAclVersion, PathDataVersion, PathVersion, PathWatch,
    SetWatchesRequest, frame,
};

use super::raw::Raw;
use super::stories::Setting;

fn create(path: &str, flags: CreateFlags) -> CreateRequest {
    CreateRequest { path: path.into(), data: Some(Bytes::from_static(b"d")), acl: vec![Acl::open()], flags }
}

fn node(path: &str) -> Op {
    Op::Create(create(path, CreateFlags::PERSISTENT))
}

fn delete(path: &str) -> Op {
    Op::Delete(PathVersion { path: path.into(), version: -1 })
}

fn set(path: &str) -> Op {
    Op::SetData(PathDataVersion { path: path.into(), data: None, version: -1 })
}

fn watch(path: &str) -> PathWatch {
    PathWatch { path: path.into(), watch: true }
}

/// Events come before the reply of the write that caused them; a deletion fires the node's once.
pub async fn events_and_replies(at: Setting) -> Vec<String> {
    let mut raw = Raw::open(at.server).await;
    raw.base = raw.last_zxid().await;
    let mut seen = Vec::new();
    let script = [
        node("/wire"),
        Op::GetData(watch("/wire")),
        Op::Exists(watch("/wire")),
        Op::GetChildren2(watch("/wire")),
        set("/wire"),
        set("/wire"),
        Op::Exists(watch("/wire/a")),
        Op::Create2(create("/wire/a", CreateFlags::EPHEMERAL)),
        Op::GetData(watch("/wire/a")),
        Op::GetChildren(watch("/wire/a")),
        Op::GetChildren(watch("/wire")),
        delete("/wire/a"),
        delete("/wire/a"),
        Op::Sync("/wire".into()),
        Op::Ping,
        Op::GetAcl("/wire".into()),
        Op::SetAcl(PathAclVersion { path: "/wire".into(), acl: vec![Acl::open()], version: 0 }),
        Op::SetAcl(PathAclVersion { path: "/wire".into(), acl: vec![], version: -1 }),
        Op::Create(CreateRequest { acl: vec![], ..create("/wire/b", CreateFlags::PERSISTENT) }),
        Op::Create(CreateRequest { data: None, ..create("/wire/null", CreateFlags::PERSISTENT) }),
        Op::GetData(PathWatch { path: "/wire/null".into(), watch: false }),
        delete("/zookeeper"),
        delete("/"),
        node("/"),
    ];
    for op in &script {
        seen.extend(raw.ask(op).await);
    }
    seen.extend(raw.ask(&Op::Close).await);
    seen.push(format!("{:?}", raw.message().await));
    seen
}

/// A failed multi: outer code 0, then 0, the code, and -2.
pub async fn multi_codes(at: Setting) -> Vec<String> {
    let mut raw = Raw::open(at.server).await;
    raw.base = raw.last_zxid().await;
    let check = |version| Op::Check(PathVersion { path: "/codes".into(), version });
    let multis = [
        vec![node("/codes"), node("/codes/a"), check(0), set("/codes/a")],
        vec![node("/codes/b"), check(3), node("/codes/c"), delete("/codes/a")],
        vec![delete("/codes/a"), Op::Create2(create("/codes/s", CreateFlags::EPHEMERAL_SEQUENTIAL))],
        vec![delete("/codes/missing"), node("/codes/d")],
        vec![],
    ];
    let mut seen = Vec::new();
    for multi in multis {
        seen.extend(raw.ask(&Op::GetChildren2(watch("/codes"))).await);
        seen.extend(raw.ask(&Op::Multi(multi)).await);
    }
    seen.extend(raw.ask(&Op::Close).await);
    seen
}

/// Attaching again moves the session; a wrong password or an unknown session is over; a client that has seen
/// more than the server is not answered.
pub async fn attaching(at: Setting) -> Vec<String> {
    let mut first = Raw::open(at.server).await;
    first.base = first.last_zxid().await;
    let mut seen = first.ask(&Op::Create(create("/moving", CreateFlags::EPHEMERAL))).await;
    seen.extend(first.ask(&Op::Exists(watch("/elsewhere"))).await);
    let zxid = first.last_zxid().await;

    let mut second = Raw::connect(at.server).await;
    second.base = first.base;
    let attached = second.attach(first.session, first.password.clone(), zxid).await;
    assert_eq!(attached, Some(first.session));
    seen.push(format!("the old connection: {:?}", first.message().await));
    let set_watches = SetWatchesRequest {
        relative_zxid: zxid,
        data: vec!["/moving".into(), "/never".into()],
        exist: vec!["/elsewhere".into(), "/moving".into()],
        child: vec!["/moving".into(), "/never".into()],
    };
    seen.extend(second.ask(&Op::SetWatches(set_watches)).await);
    seen.extend(second.ask(&node("/elsewhere")).await);

    for (session, password) in [
        (first.session, Bytes::from_static(&[9; 16])),
        (SessionId(first.session.0 + 1), first.password.clone()),
        (first.session, Bytes::new()),
    ] {
        let mut refused = Raw::connect(at.server).await;
        seen.push(format!("{:?}", refused.attach(session, password, Zxid::ZERO).await));
        let granted_ms = refused.timeout_ms;
        seen.push(format!("{granted_ms} then {:?}", refused.message().await));
    }
    let mut future = Raw::connect(at.server).await;
    let unanswered =
        future.attach(SessionId::NONE, Bytes::from_static(&[0; 16]), Zxid(zxid.0 + 1_000_000)).await;
    seen.push(format!("{unanswered:?}"));
    seen.extend(second.ask(&Op::Close).await);
    seen
}

/// A frame beyond the limit, an operation nobody knows, a message cut short.
pub async fn hostile_frames(at: Setting) -> Vec<String> {
    let mut seen = Vec::new();
    let mut oversized = Raw::open(at.server).await;
    oversized.send(Bytes::from_static(&[0, 0x10, 0, 0, 0, 0, 0, 1])).await;
    seen.push(format!("{:?}", oversized.message().await));
    let mut negative = Raw::open(at.server).await;
    negative.send(Bytes::from_static(&[255, 255, 255, 255])).await;
    seen.push(format!("{:?}", negative.message().await));
    let mut unknown = Raw::open(at.server).await;
    unknown.base = unknown.last_zxid().await;
    unknown
        .send(frame(|w| {
            w.write(&7_i32).write(&77_i32);
        }))
        .await;
    let reply = unknown.message().await.expect("an answer");
    seen.push(format!("{:?} then {:?}", &reply[12..], unknown.message().await));
    let mut talkative = Raw::connect(at.server).await;
    talkative
        .send(frame(|w| {
            w.write(&1_i64);
        }))
        .await;
    seen.push(format!("{:?}", talkative.message().await));
    seen
}

/// Words for people are answered, and end the connection.
pub async fn four_letter_words(at: Setting) -> Vec<String> {
    let mut seen = Vec::new();
    for word in ["ruok", "srvr"] {
        let mut raw = Raw::connect(at.server).await;
        raw.send(Bytes::from_static(word.as_bytes())).await;
        let answer = raw.rest().await;
        let lines = answer.lines().filter(|line| *line == "imok" || line.starts_with("Mode:"));
        seen.extend(lines.map(str::to_owned));
    }
    seen
}

/// Two sessions do the same random things to any server and see the same.
pub async fn random_operations(at: Setting, seed: u64) -> Vec<String> {
    let mut draws = Rng::from_seed_u64(seed);
    let mut sessions = vec![Raw::open(at.server).await, Raw::open(at.server).await];
    let base = sessions[0].last_zxid().await;
    for session in &mut sessions {
        session.base = base;
    }
    // A parent of their own: sequence numbers depend on all that was ever made beside.
    let mut seen = sessions[0].ask(&node(&format!("/random-{seed}"))).await;
    for _ in 0..300 {
        let who = draws.below(2) as usize;
        if draws.chance(1, 40) {
            for word in sessions[who].ask(&Op::Close).await {
                seen.push(format!("{who}: close -> {word}"));
            }
            sessions[who] = Raw::open(at.server).await;
            sessions[who].base = base;
            continue;
        }
        let op = random_operation(&mut draws, seed);
        for word in sessions[who].ask(&op).await {
            seen.push(format!("{who}: {op:?} -> {word}"));
        }
    }
    for session in &mut sessions {
        seen.extend(session.ask(&Op::Close).await);
    }
    seen
}

fn random_operation(draws: &mut Rng, seed: u64) -> Op {
    let path = random_path(draws, seed);
    let watch = draws.chance(1, 2);
    match draws.below(10) {
        0 => Op::Exists(PathWatch { path, watch }),
        1 => Op::GetData(PathWatch { path, watch }),
        2 => Op::GetChildren(PathWatch { path, watch }),
        3 => Op::GetChildren2(PathWatch { path, watch }),
        4 => Op::Sync(path),
        5 => Op::Multi((0..draws.between(1, 4)).map(|_| random_write(draws, seed, true)).collect()),
        _ => random_write(draws, seed, false),
    }
}

fn random_write(draws: &mut Rng, seed: u64, in_multi: bool) -> Op {
    let path = random_path(draws, seed);
    let version = draws.below(4) as i32 - 1;
    match draws.below(if in_multi { 9 } else { 8 }) {
        0..=2 => Op::Create(create(&path, CreateFlags(draws.below(4) as i32))),
        3 => Op::Create2(create(&path, CreateFlags(draws.below(4) as i32))),
        4 | 5 => Op::Delete(PathVersion { path, version: version.min(0) }),
        6 | 7 => {
            let data = Some(Bytes::from(vec![1; draws.below(9) as usize]));
            Op::SetData(PathDataVersion { path, data, version })
        }
        _ => Op::Check(PathVersion { path, version }),
    }
}

fn random_path(draws: &mut Rng, seed: u64) -> String {
    let mut path = format!("/random-{seed}/r");
    for _ in 0..draws.below(3) {
        path.push_str(["/a", "/b"][draws.below(2) as usize]);
    }
    path
}
