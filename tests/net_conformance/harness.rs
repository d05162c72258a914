//! Two nodes and a listener, in either build: simulated machines under many seeds, or two parties on the
//! real machine's loopback.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::runtime::net::Listener;

/// Longer than any test takes, so that one that hangs fails.
const DEADLINE: Duration = Duration::from_secs(60);

#[cfg(not(feature = "real-runtime"))]
mod half {
    use super::*;
    use seedlog::runtime::disk;
    use seedlog::runtime::sim::identity::NodeId;
    use seedlog::runtime::sim::world::{self, RunConfig};
    use tokio::sync::mpsc;

    const SEEDS: u64 = 20;
    const PORT: u16 = 9092;

    pub fn between<S, C, SF, CF>(server: S, client: C)
    where
        S: Fn(Listener) -> SF + Clone + Send + Sync + 'static,
        C: Fn(SocketAddr) -> CF + Clone + Send + Sync + 'static,
        SF: Future<Output = ()> + Send + 'static,
        CF: Future<Output = ()> + Send + 'static,
    {
        for seed in 0..SEEDS {
            let (server, client) = (server.clone(), client.clone());
            let config = RunConfig { seed, keep_trace: false, event_limit: 1_000_000, buggify: false };
            let finished = world::run(config, move || async move {
                let (progress, mut steps) = mpsc::channel(3);
                let bound = progress.clone();
                let serving = world::add_node("server", move || {
                    let (server, bound) = (server.clone(), bound.clone());
                    async move {
                        disk::create_dir_all(&scratch()).expect("an empty disk takes a directory");
                        let any = SocketAddr::from(([0, 0, 0, 0], PORT));
                        let listener = Listener::bind(any).await.expect("a new node has every port free");
                        bound.send(()).await.expect("the testbed waits");
                        server(listener).await;
                        bound.send(()).await.expect("the testbed waits");
                    }
                });
                let address = SocketAddr::new(world::ip_of(serving), PORT);
                let calling = world::add_node("client", move || {
                    let (client, done) = (client.clone(), progress.clone());
                    async move {
                        client(address).await;
                        done.send(()).await.expect("the testbed waits");
                    }
                });
                world::start(serving);
                await_steps(&mut steps, 1).await;
                world::start(calling);
                await_steps(&mut steps, 2).await;
                assert_ne!(calling, NodeId::TESTBED);
            });
            finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"));
        }
    }

    async fn await_steps(steps: &mut mpsc::Receiver<()>, count: usize) {
        let waiting = async {
            for _ in 0..count {
                steps.recv().await.expect("the nodes hold senders");
            }
        };
        clock::timeout(DEADLINE, waiting).await.expect("the nodes come to their end");
    }

    /// A directory for files.
    pub fn scratch() -> PathBuf {
        PathBuf::from("/data/net")
    }
}

#[cfg(feature = "real-runtime")]
mod half {
    use super::*;
    use seedlog::runtime::task;

    pub fn between<S, C, SF, CF>(server: S, client: C)
    where
        S: Fn(Listener) -> SF + Clone + Send + Sync + 'static,
        C: Fn(SocketAddr) -> CF + Clone + Send + Sync + 'static,
        SF: Future<Output = ()> + Send + 'static,
        CF: Future<Output = ()> + Send + 'static,
    {
        task::block_on(async move {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = Listener::bind(any).await.expect("loopback has a free port");
            let address = listener.local_address();
            let both = async { tokio::join!(server(listener), client(address)) };
            clock::timeout(DEADLINE, both).await.expect("both parties come to their end");
        });
    }

    /// A directory for files.
    pub fn scratch() -> PathBuf {
        std::env::temp_dir()
    }
}

pub use half::{between, scratch};

/// Waits until what was sent must have arrived: far longer than a link's latency, in either build.
pub async fn until_arrived() {
    clock::sleep(Duration::from_millis(100)).await;
}
