//! One fake broker and one client, in either build.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::runtime::net::Listener;

use super::fake_broker::{self, FakeBroker};

/// Longer than any test takes, so that one that hangs fails.
const DEADLINE: Duration = Duration::from_secs(60);

#[cfg(not(feature = "real-runtime"))]
mod half {
    use super::*;
    use seedlog::runtime::sim::world::{self, RunConfig};
    use tokio::sync::mpsc;

    const SEEDS: u64 = 10;
    const PORT: u16 = 9092;

    /// Of the machine that the client runs on.
    pub fn own_ip() -> IpAddr {
        world::ip_of(world::node_named("client").expect("this very node"))
    }

    pub fn with_broker<C, CF>(client: C)
    where
        C: Fn(Arc<FakeBroker>) -> CF + Clone + Send + Sync + 'static,
        CF: Future<Output = ()> + Send + 'static,
    {
        for seed in 0..SEEDS {
            let client = client.clone();
            // Buggify would make batches tiny where a test counts them.
            let config = RunConfig { seed, keep_trace: false, event_limit: 2_000_000, buggify: false };
            let finished = world::run(config, move || async move {
                let (step, mut steps) = mpsc::channel(2);
                let (told, mut addresses) = mpsc::channel::<Arc<FakeBroker>>(1);
                let bound = told.clone();
                let serving = world::add_node("broker", move || {
                    let bound = bound.clone();
                    async move {
                        let any = SocketAddr::from(([0, 0, 0, 0], PORT));
                        let listener = Listener::bind(any).await.expect("a new node has every port free");
                        let node = world::node_named("broker").expect("this very node");
                        let broker = FakeBroker::new(SocketAddr::new(world::ip_of(node), PORT));
                        bound.send(Arc::clone(&broker)).await.expect("the testbed waits");
                        fake_broker::serve(listener, broker).await;
                    }
                });
                world::start(serving);
                let broker = addresses.recv().await.expect("the broker starts");
                let calling = world::add_node("client", move || {
                    let (client, step, broker) = (client.clone(), step.clone(), Arc::clone(&broker));
                    async move {
                        client(broker).await;
                        step.send(()).await.expect("the testbed waits");
                    }
                });
                world::start(calling);
                let ended = clock::timeout(DEADLINE, steps.recv()).await;
                ended.expect("the client comes to its end").expect("the client holds the sender");
                drop(told);
            });
            finished.outcome.unwrap_or_else(|message| panic!("seed {seed}: {message}"));
        }
    }
}

#[cfg(feature = "real-runtime")]
mod half {
    use super::*;
    use seedlog::runtime::task;

    /// Of the machine that the client runs on.
    pub fn own_ip() -> IpAddr {
        IpAddr::from([127, 0, 0, 1])
    }

    pub fn with_broker<C, CF>(client: C)
    where
        C: Fn(Arc<FakeBroker>) -> CF + Clone + Send + Sync + 'static,
        CF: Future<Output = ()> + Send + 'static,
    {
        task::block_on(async move {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = Listener::bind(any).await.expect("loopback has a free port");
            let broker = FakeBroker::new(listener.local_address());
            let both = async {
                tokio::select! {
                    biased;
                    () = client(Arc::clone(&broker)) => {}
                    () = fake_broker::serve(listener, broker) => {}
                }
            };
            clock::timeout(DEADLINE, both).await.expect("the client comes to its end");
        });
    }
}

pub use half::{own_ip, with_broker};
