//! What a client may expect of ZooKeeper, told so that any server can be held to it. Each story returns what
//! it observed, for comparison between servers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use seedlog::runtime::clock;
use seedlog::zookeeper::{
    CreateMode, MultiOp, MultiResult, Watch, WatchEvent, ZkError, ZooKeeper, ZooKeeperConfig,
};

use super::proxy::Proxy;

const PATIENCE: Duration = Duration::from_secs(20);

/// Where a story takes place.
#[derive(Clone, Copy)]
pub struct Setting {
    pub server: SocketAddr,
    /// This machine's own address.
    pub own_ip: IpAddr,
}

impl Setting {
    pub async fn proxy(self) -> Proxy {
        Proxy::start(self.own_ip, self.server).await
    }

    /// A session straight to the server.
    pub async fn session(self) -> ZooKeeper {
        connect(self.server.to_string(), Duration::from_secs(8)).await
    }
}

pub async fn connect(server: String, session_timeout: Duration) -> ZooKeeper {
    let connect_timeout = Duration::from_secs(2);
    let config = ZooKeeperConfig { servers: vec![server], session_timeout, connect_timeout };
    ZooKeeper::connect(config).await.expect("the server grants a session")
}

async fn fired(watch: Watch) -> WatchEvent {
    clock::timeout(PATIENCE, watch).await.expect("the watch fires")
}

/// A step that must not take long, named where it does.
async fn soon<T>(what: &str, step: impl Future<Output = T>) -> T {
    clock::timeout(PATIENCE, step).await.unwrap_or_else(|_| panic!("{what} takes longer than {PATIENCE:?}"))
}

/// Waits until `path` is gone, as seen by `zookeeper`.
pub async fn gone(zookeeper: &ZooKeeper, path: &str) {
    loop {
        let (stat, watch) = zookeeper.exists_watch(path).await.expect("an answer");
        if stat.is_none() {
            return;
        }
        fired(watch).await;
    }
}

fn create(path: &str) -> MultiOp {
    MultiOp::Create { path: path.into(), data: Bytes::from_static(b"m"), mode: CreateMode::Persistent }
}

/// Nodes are made, read, changed by compare-and-set, and deleted; what cannot be done is refused.
pub async fn nodes(at: Setting) -> Vec<String> {
    let mut seen = Vec::new();
    let zk = at.session().await;
    seen.push(format!("{:?}", zk.create("/nodes", b"one", CreateMode::Persistent).await));
    seen.push(format!("{:?}", zk.create("/nodes", b"two", CreateMode::Persistent).await));
    seen.push(format!("{:?}", zk.create("/nodes/x/y", b"", CreateMode::Persistent).await));
    seen.push(format!("{:?}", zk.create("nodes", b"", CreateMode::Persistent).await));
    seen.push(format!("{:?}", zk.create("/nodes/", b"", CreateMode::Persistent).await));
    seen.push(format!("{:?}", zk.create("/nodes/e", b"", CreateMode::Ephemeral).await));
    seen.push(format!("{:?}", zk.create("/nodes/e/child", b"", CreateMode::Persistent).await));
    let (data, stat) = zk.get_data("/nodes").await.expect("data");
    seen.push(format!("{data:?} v{} cv{} {}", stat.version, stat.cversion, stat.num_children));
    let changed = zk.set_data("/nodes", b"three", Some(0)).await.expect("version 0");
    seen.push(format!("v{} {}", changed.version, changed.data_length));
    seen.push(format!("{:?}", zk.set_data("/nodes", b"four", Some(0)).await));
    seen.push(format!("{:?}", zk.set_data("/nodes", b"", None).await.map(|stat| stat.version)));
    let owner = zk.exists("/nodes/e").await.expect("an answer").expect("a node").ephemeral_owner;
    assert_eq!(owner, zk.session_id());
    seen.push(format!("{:?}", zk.exists("/nodes/missing").await));
    seen.push(format!("{:?}", zk.get_data("/nodes/missing").await.map(drop)));
    seen.push(format!("{:?}", zk.get_children("/nodes").await));
    seen.push(format!("{:?}", zk.delete("/nodes", None).await));
    seen.push(format!("{:?}", zk.delete("/nodes/e", Some(7)).await));
    seen.push(format!("{:?}", zk.delete("/nodes/e", Some(0)).await));
    seen.push(format!("{:?}", zk.delete("/nodes/e", None).await));
    seen.push(format!("{:?}", zk.delete("/nodes", Some(2)).await));
    seen.push(format!("{:?}", zk.sync("/").await));
    zk.close().await;
    seen
}

/// A sequence number counts what was ever made under the parent.
pub async fn sequences(at: Setting) -> Vec<String> {
    let zk = at.session().await;
    zk.create("/queue", b"", CreateMode::Persistent).await.expect("created");
    let mut seen = Vec::new();
    for (name, mode) in [
        ("/queue/n-", CreateMode::PersistentSequential),
        ("/queue/e-", CreateMode::EphemeralSequential),
        ("/queue/plain", CreateMode::Persistent),
        ("/queue/", CreateMode::PersistentSequential),
    ] {
        seen.push(zk.create(name, b"", mode).await.expect("created"));
    }
    zk.delete(&seen[0], None).await.expect("deleted");
    seen.push(zk.create("/queue/n-", b"", CreateMode::PersistentSequential).await.expect("created"));
    // Many at once, answered in order.
    let mut names = Vec::new();
    for chunk in 0..10 {
        let prefix = format!("/queue/many-{chunk}-");
        let made = tokio::join!(
            zk.create(&prefix, b"", CreateMode::PersistentSequential),
            zk.create(&prefix, b"", CreateMode::PersistentSequential),
            zk.create(&prefix, b"", CreateMode::PersistentSequential),
        );
        names.extend([made.0, made.1, made.2].map(|name| name.expect("created")));
    }
    assert!(names.is_sorted(), "{names:?}");
    seen.extend(names);
    zk.close().await;
    seen
}

/// All or nothing, and the error is that of the operation at fault.
pub async fn multis(at: Setting) -> Vec<String> {
    let zk = at.session().await;
    let made = zk.multi(vec![create("/multi"), create("/multi/a"), create("/multi/b")]).await;
    let mut seen = vec![format!("{made:?}")];
    let check = |version| MultiOp::Check { path: "/multi".into(), version: Some(version) };
    let change = |version| MultiOp::SetData { path: "/multi".into(), data: Bytes::new(), version };
    let delete = |path: &str| MultiOp::Delete { path: path.into(), version: None };
    seen.push(format!("{:?}", zk.multi(vec![create("/multi/c"), check(5), delete("/multi/a")]).await));
    seen.push(format!("{:?}", zk.multi(vec![delete("/multi/a"), create("/multi/b")]).await));
    seen.push(format!("{:?}", zk.multi(vec![delete("/multi/a"), delete("/multi")]).await));
    seen.push(format!("{:?}", zk.get_children("/multi").await));
    let sequential = MultiOp::Create {
        path: "/multi/s-".into(),
        data: Bytes::new(),
        mode: CreateMode::PersistentSequential,
    };
    let all = vec![check(0), change(Some(0)), check(1), delete("/multi/a"), sequential.clone(), sequential];
    let done = zk.multi(all).await.expect("nothing stands against it");
    for result in &done {
        seen.push(match result {
            MultiResult::DataSet(stat) => format!("set to v{}", stat.version),
            other => format!("{other:?}"),
        });
    }
    seen.push(format!("{:?}", zk.multi(Vec::new()).await));
    zk.close().await;
    seen
}

/// A watch tells of the next change, once; the reader's watch is told before the writer is answered.
pub async fn watches(at: Setting) -> Vec<String> {
    let (reader, writer) = (at.session().await, at.session().await);
    writer.create("/watched", b"", CreateMode::Persistent).await.expect("created");
    let mut seen = Vec::new();

    let (_, _, data) = reader.get_data_watch("/watched").await.expect("data");
    writer.set_data("/watched", b"1", None).await.expect("set");
    seen.push(format!("{:?}", fired(data).await));

    let (absent, created) = reader.exists_watch("/watched/new").await.expect("an answer");
    assert_eq!(absent, None);
    let (_, children) = reader.get_children_watch("/watched").await.expect("names");
    writer.create("/watched/new", b"", CreateMode::Persistent).await.expect("created");
    seen.push(format!("{:?} {:?}", fired(created).await, fired(children).await));

    let (_, _, data) = reader.get_data_watch("/watched/new").await.expect("data");
    let (_, exists) = reader.exists_watch("/watched/new").await.expect("an answer");
    let (_, own_children) = reader.get_children_watch("/watched/new").await.expect("names");
    let (_, children) = reader.get_children_watch("/watched").await.expect("names");
    writer.delete("/watched/new", None).await.expect("deleted");
    seen.push(format!("{:?} {:?}", fired(data).await, fired(exists).await));
    seen.push(format!("{:?} {:?}", fired(own_children).await, fired(children).await));

    let failed = reader.get_data_watch("/watched/new").await.map(drop);
    seen.push(format!("{failed:?}"));
    let (_, mine) = writer.exists_watch("/watched").await.expect("an answer");
    let (_, mine_too) = writer.exists_watch("/watched").await.expect("an answer");
    writer.set_data("/watched", b"2", None).await.expect("set");
    seen.push(format!("{:?} {:?}", fired(mine).await, fired(mine_too).await));

    let (_, _, ended) = reader.get_data_watch("/watched").await.expect("data");
    reader.close().await;
    seen.push(format!("{:?}", fired(ended).await));
    writer.close().await;
    seen
}

/// A cut connection costs nothing but time: the session, its nodes and its watches live on.
pub async fn reattachment(at: Setting) -> Vec<String> {
    let other = at.session().await;
    let proxy = at.proxy().await;
    let zk = connect(proxy.address(), Duration::from_secs(8)).await;
    let session = zk.session_id();
    zk.create("/again", b"", CreateMode::Persistent).await.expect("created");
    zk.create("/again/mine", b"", CreateMode::Ephemeral).await.expect("created");
    let (_, _, data) = zk.get_data_watch("/again").await.expect("data");
    let (_, created) = zk.exists_watch("/again/new").await.expect("an answer");
    let (_, children) = zk.get_children_watch("/again").await.expect("names");
    let (_, _, quiet) = zk.get_data_watch("/again/mine").await.expect("data");

    proxy.close();
    other.set_data("/again", b"missed", None).await.expect("set");
    other.create("/again/new", b"", CreateMode::Persistent).await.expect("created");
    proxy.open();
    let mut seen = Vec::new();
    seen.push(format!("{:?} {:?} {:?}", fired(data).await, fired(created).await, fired(children).await));
    assert_eq!(zk.session_id(), session);
    seen.push(format!("{:?}", zk.get_children("/again").await));
    let owner = other.exists("/again/mine").await.expect("an answer").expect("a node").ephemeral_owner;
    assert_eq!(owner, session);

    for _ in 0..3 {
        proxy.cut();
        // The request in flight, if any, may be lost; the next one waits for the new connection.
        while zk.exists("/again").await == Err(ZkError::ConnectionLost) {}
    }
    other.set_data("/again/mine", b"seen", None).await.expect("set");
    seen.push(format!("{:?}", fired(quiet).await));
    zk.close().await;
    seen.push(format!("{:?}", other.exists("/again/mine").await));
    other.close().await;
    seen
}

/// A session unheard for its timeout is over: its nodes go, and its client is told when it comes back.
pub async fn expiry(at: Setting) -> Vec<String> {
    let other = soon("attaching", at.session()).await;
    let proxy = at.proxy().await;
    let zk = soon("attaching by the proxy", connect(proxy.address(), Duration::from_secs(1))).await;
    soon("a first write", zk.create("/expiry", b"", CreateMode::Persistent)).await.expect("created");
    soon("a second write", zk.create("/expiry/a", b"", CreateMode::Ephemeral)).await.expect("created");
    soon("a third write", zk.create("/expiry/b", b"", CreateMode::EphemeralSequential))
        .await
        .expect("created");
    let (_, _, watch) = soon("a read", zk.get_data_watch("/expiry")).await.expect("data");
    let expired = (zk.session_expired(), zk.session_expired());

    // While the client lives, so does the session, for many timeouts.
    clock::sleep(Duration::from_secs(4)).await;
    assert!(soon("a look at the live node", other.exists("/expiry/a")).await.expect("an answer").is_some());

    proxy.close();
    let before = soon("a look before", other.exists("/expiry")).await.expect("an answer").expect("a node");
    soon("the end of the node", gone(&other, "/expiry/a")).await;
    let after = soon("a look after", other.exists("/expiry")).await.expect("an answer").expect("a node");
    let mut seen = vec![
        format!("{:?}", soon("a listing", other.get_children("/expiry")).await),
        format!("{} more changes of children", after.cversion - before.cversion),
    ];
    proxy.open();
    clock::timeout(PATIENCE, async { tokio::join!(expired.0, expired.1) }).await.expect("the client is told");
    seen.push(format!("{:?}", fired(watch).await));
    seen.push(format!("{:?}", soon("an answer to who has no session", zk.exists("/expiry")).await));
    soon("being told once more", zk.session_expired()).await;
    soon("closing", other.close()).await;
    seen
}

/// Closing a session takes its nodes away at once; dropping the handle leaves them until it expires.
pub async fn endings(at: Setting) -> Vec<String> {
    let other = at.session().await;
    let (closed, dropped) =
        (at.session().await, connect(at.server.to_string(), Duration::from_secs(1)).await);
    closed.create("/closed", b"", CreateMode::Ephemeral).await.expect("created");
    dropped.create("/dropped", b"", CreateMode::Ephemeral).await.expect("created");
    let clone = closed.clone();
    closed.close().await;
    let mut seen = vec![format!("{:?}", other.exists("/closed").await)];
    seen.push(format!("{:?}", clone.exists("/closed").await));
    drop(dropped);
    seen.push(format!("{:?}", other.exists("/dropped").await.map(|stat| stat.is_some())));
    gone(&other, "/dropped").await;
    other.close().await;
    seen
}

/// Data up to almost the limit passes; what exceeds it is not even sent.
pub async fn sizes(at: Setting) -> Vec<String> {
    let zk = at.session().await;
    let mut seen = Vec::new();
    for size in [0, 1, 1_000_000, 1_100_000] {
        let data = vec![7; size];
        let made = zk.create(&format!("/size-{size}"), &data, CreateMode::Ephemeral).await;
        if made.is_ok() {
            let (read, stat) = zk.get_data(&format!("/size-{size}")).await.expect("data");
            assert!(read == data && stat.data_length as usize == size);
        }
        seen.push(format!("{made:?}"));
    }
    zk.close().await;
    seen
}
