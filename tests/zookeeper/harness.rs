//! A server on one node and a story on another, in either build: simulated machines under many seeds, or this
//! machine's loopback.

use std::future::Future;
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::zk_sim::ServerConfig;

use super::stories::Setting;

/// Longer than any story takes, so that one that hangs fails.
const DEADLINE: Duration = Duration::from_secs(120);
pub const TICK: Duration = Duration::from_millis(500);

/// As the real server of these tests is configured.
pub fn config(listen: std::net::SocketAddr) -> ServerConfig {
    let mut config = ServerConfig::new(listen, TICK);
    config.min_session_timeout = Duration::from_millis(500);
    config.max_session_timeout = Duration::from_secs(40);
    config
}

#[cfg(not(feature = "real-runtime"))]
mod half {
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use seedlog::runtime::sim::world::{self, RunConfig};
    use seedlog::zk_sim::Server;
    use tokio::sync::oneshot;

    use super::*;

    pub const SEEDS: u64 = 10;
    pub const PORT: u16 = 2181;

    /// Tells the story once for every seed; what the last one observed.
    pub fn tell<T, S, F>(story: S) -> T
    where
        T: Send + 'static,
        S: Fn(Setting) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut observed = None;
        for seed in 0..SEEDS {
            observed = Some(tell_once(seed, story.clone()));
        }
        observed.expect("there is a seed")
    }

    fn tell_once<T, S, F>(seed: u64, story: S) -> T
    where
        T: Send + 'static,
        S: Fn(Setting) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let run = RunConfig { seed, keep_trace: false, event_limit: 5_000_000, buggify: false };
        let finished = world::run(run, move || async move {
            let server = world::add_node("zookeeper", || async {
                let any = SocketAddr::from(([0, 0, 0, 0], PORT));
                let _server = Server::start(config(any)).await.expect("a new node has every port free");
                std::future::pending::<()>().await;
            });
            world::start(server);
            let (done, observed) = oneshot::channel();
            let done = Arc::new(Mutex::new(Some(done)));
            let client = world::add_node("client", move || {
                let (story, done) = (story.clone(), Arc::clone(&done));
                let own_ip = world::ip_of(world::node_named("client").expect("this node"));
                let at = Setting { server: SocketAddr::new(world::ip_of(server), PORT), own_ip };
                async move {
                    let observed = story(at).await;
                    let done = done.lock().unwrap().take().expect("the client lives once");
                    assert!(done.send(observed).is_ok(), "the testbed waits");
                }
            });
            world::start(client);
            clock::timeout(DEADLINE, observed).await.expect("the story ends").expect("the client told it")
        });
        finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"))
    }
}

/// A directory that does not exist yet, on the story's machine.
#[cfg(not(feature = "real-runtime"))]
pub fn with_directory<T>(story: impl FnOnce(std::path::PathBuf) -> T) -> T {
    story("/data/zookeeper".into())
}

/// A directory that does not exist yet, on the story's machine.
#[cfg(feature = "real-runtime")]
pub fn with_directory<T>(story: impl FnOnce(std::path::PathBuf) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    story(folder.path().join("zookeeper"))
}

#[cfg(feature = "real-runtime")]
mod half {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use seedlog::runtime::task;
    use seedlog::zk_sim::Server;

    use super::*;

    /// Tells the story; what it observed.
    pub fn tell<T, S, F>(story: S) -> T
    where
        T: Send + 'static,
        S: Fn(Setting) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        task::block_on(async move {
            let own_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let server = Server::start(config(SocketAddr::new(own_ip, 0))).await.expect("a free port");
            let story = story(Setting { server: server.address(), own_ip });
            let observed = clock::timeout(DEADLINE, story).await.expect("the story ends");
            server.shutdown().await;
            observed
        })
    }
}

pub use half::*;
