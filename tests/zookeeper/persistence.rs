//! Stories of a server that saves: what it answered is there after a restart; what is corrupt is refused.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::runtime::disk::{self, OpenMode};
use seedlog::zk_sim::{Server, ServerConfig};
use seedlog::zookeeper::{CreateMode, ZkError};

use super::harness;
use super::raw::Raw;
use super::stories::{Setting, connect};

const SNAPSHOT: &str = "zookeeper.snapshot";

fn saving(listen: SocketAddr, directory: &Path) -> ServerConfig {
    ServerConfig { snapshot_dir: Some(directory.to_owned()), ..harness::config(listen) }
}

async fn start(listen: SocketAddr, directory: &Path) -> Server {
    Server::start(saving(listen, directory)).await.expect("the server starts")
}

/// The address where a server that listens on `at`'s machine is reached.
fn reached(at: Setting, server: &Server) -> SocketAddr {
    SocketAddr::new(at.own_ip, server.address().port())
}

/// A server that came back knowing nothing of what its client has seen refuses it. The client learns all the same that
/// its session is over.
pub async fn a_past_that_was_restored(at: Setting) {
    let server =
        Server::start(harness::config(SocketAddr::new(at.own_ip, 0))).await.expect("the server starts");
    let address = reached(at, &server);
    let zk = connect(address.to_string(), Duration::from_secs(1)).await;
    zk.create("/seen", b"", CreateMode::Persistent).await.expect("created");
    server.shutdown().await;

    let server = Server::start(harness::config(address)).await.expect("the server starts");
    clock::timeout(Duration::from_secs(10), zk.session_expired()).await.expect("the client is told");
    assert_eq!(zk.exists("/seen").await, Err(ZkError::SessionExpired));
    server.shutdown().await;
}

/// Nodes, versions, zxids and sessions outlive a stop.
pub async fn restarts(at: Setting, directory: PathBuf) {
    let server = start(SocketAddr::new(at.own_ip, 0), &directory).await;
    let address = reached(at, &server);
    let zk = connect(address.to_string(), Duration::from_secs(8)).await;
    zk.create("/kept", b"1", CreateMode::Persistent).await.expect("created");
    zk.create("/kept/mine", b"", CreateMode::Ephemeral).await.expect("created");
    let first = zk.create("/kept/s-", b"", CreateMode::PersistentSequential).await.expect("created");
    zk.delete(&first, None).await.expect("deleted");
    let stat = zk.set_data("/kept", b"2", Some(0)).await.expect("set");
    let (_, _, watch) = zk.get_data_watch("/kept").await.expect("data");
    let session = zk.session_id();
    server.shutdown().await;

    let server = start(address, &directory).await;
    loop {
        // What waited for the server may have been given up.
        match zk.get_data("/kept").await {
            Ok((data, again)) => {
                assert_eq!((&data[..], again), (&b"2"[..], stat));
                break;
            }
            Err(error) => assert_eq!(error, ZkError::ConnectionLost),
        }
    }
    assert_eq!(zk.session_id(), session);
    assert_eq!(server.control().sessions(), [session]);
    let owner = zk.exists("/kept/mine").await.expect("an answer").expect("a node").ephemeral_owner;
    assert_eq!(owner, session);
    let second = zk.create("/kept/s-", b"", CreateMode::PersistentSequential).await.expect("created");
    assert!(second > first, "{second} after {first}");
    zk.set_data("/kept", b"3", None).await.expect("set");
    watch.await;
    zk.close().await;
    assert!(server.control().sessions().is_empty());
    server.shutdown().await;
}

/// A snapshot that is not what was saved stops the start, and says what to do.
pub async fn corruption(at: Setting, directory: PathBuf) {
    let listen = SocketAddr::new(at.own_ip, 0);
    let server = start(listen, &directory).await;
    let zk = connect(reached(at, &server).to_string(), Duration::from_secs(8)).await;
    zk.create("/kept", b"1", CreateMode::Persistent).await.expect("created");
    zk.close().await;
    let twice = Server::start(saving(listen, &directory)).await.err().expect("the directory is taken");
    assert_eq!(twice.kind(), io::ErrorKind::WouldBlock);
    server.shutdown().await;

    let path = directory.join(SNAPSHOT);
    let file = disk::open(&path, OpenMode::ReadWrite).expect("the snapshot");
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, 40).expect("a byte"), 1);
    file.write_at(&[io::IoSlice::new(&[byte[0] ^ 4])], 40).expect("damage");
    let refused = Server::start(saving(listen, &directory)).await.err().expect("it is corrupt");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    let text = refused.to_string();
    assert!(text.contains(SNAPSHOT) && text.contains("corrupt") && text.contains("move it away"), "{text}");
    disk::remove_file(&path).expect("removed");
    start(listen, &directory).await.shutdown().await;
}

/// Writes that arrive while a snapshot is written are saved together.
pub async fn group_commit(at: Setting, directory: PathBuf) {
    let server = start(SocketAddr::new(at.own_ip, 0), &directory).await;
    let address = reached(at, &server).to_string();
    let zk = connect(address, Duration::from_secs(8)).await;
    zk.create("/all", b"", CreateMode::Persistent).await.expect("created");
    let paths: Vec<_> = (0..200).map(|n| format!("/all/{n}")).collect();
    let making = paths.iter().map(|path| Box::pin(zk.create(path, &[0; 100], CreateMode::Persistent)));
    let made = all(making.collect()).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(made.len(), zk.get_children("/all").await.expect("names").len());
    zk.close().await;
    server.shutdown().await;
}

/// A session saved and never heard of again expires after its timeout, counted from the restart.
pub async fn orphans(at: Setting, directory: PathBuf) {
    let server = start(SocketAddr::new(at.own_ip, 0), &directory).await;
    let address = reached(at, &server);
    let zk = connect(address.to_string(), Duration::from_secs(2)).await;
    zk.create("/orphan", b"", CreateMode::Ephemeral).await.expect("created");
    let session = zk.session_id();
    server.shutdown().await;
    drop(zk);
    clock::sleep(Duration::from_secs(4)).await;
    let server = start(address, &directory).await;
    let control = server.control();
    assert_eq!(control.sessions(), [session], "its time starts anew");
    let mut zk = Raw::open(address).await;
    while control.sessions().contains(&session) {
        clock::sleep(Duration::from_millis(100)).await;
        zk.last_zxid().await;
    }
    server.shutdown().await;
}

/// Runs futures at once; their outputs in order.
async fn all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(ready) = Pin::new(future).poll(cx)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
