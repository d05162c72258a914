//! Programs on a real ZooKeeper of three servers, started by the first program that needs it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use seedlog::runtime::task;
use seedlog::types::SessionId;

use crate::program::{History, Program};
use crate::support::{self, ensemble::Ensemble};
use crate::zookeeper;

/// Ticks of half a second for which a follower bears a silent leader: far longer than one is cut.
const SYNC_LIMIT: u32 = 60;

static RUNNING: Mutex<Option<Arc<Ensemble>>> = Mutex::new(None);

/// Who cuts the follower is alone with it.
static ALONE: RwLock<()> = RwLock::new(());

/// Stops what was started, when dropped.
pub struct Servers;

impl Drop for Servers {
    fn drop(&mut self) {
        drop(RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The servers, if they are installed.
fn ensemble() -> Option<Arc<Ensemble>> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if running.is_none() && support::have_zookeeper() {
        *running = Some(Arc::new(Ensemble::start(SYNC_LIMIT)));
    }
    running.clone()
}

/// The server of the second session, which is cut from its leader at its relay.
pub struct Follower {
    ensemble: Arc<Ensemble>,
}

impl Follower {
    pub async fn cut(&self, _session: SessionId) {
        let ensemble = Arc::clone(&self.ensemble);
        task::blocking(move || ensemble.cut_the_third()).await;
    }

    pub async fn join(&self, _session: SessionId) {
        self.ensemble.join_the_third();
    }
}

/// Runs a program, so often; in no way where there is no ZooKeeper.
pub fn on_zookeeper(program: &Program, runs: u64) -> BTreeSet<History> {
    let Some(ensemble) = ensemble() else { return BTreeSet::new() };
    if program.steps.iter().any(|step| step == "cut_follower") {
        let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
        return (0..runs).map(|_| run(program, &ensemble)).collect();
    }
    let _beside_others = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    (0..runs).map(|_| run(program, &ensemble)).collect()
}

fn run(program: &Program, ensemble: &Arc<Ensemble>) -> History {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let steps = program.steps_as::<zookeeper::Step>();
    let name = format!("program-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let servers = [0, 2].map(|number| SocketAddr::from((Ipv4Addr::LOCALHOST, ensemble.ports[number])));
    let follower = Follower { ensemble: Arc::clone(ensemble) };
    let place = zookeeper::Place { servers, name, follower };
    // On a thread of the pool, as whatever the product does.
    task::block_on(async { tokio::spawn(zookeeper::perform(place, steps)).await.expect("no step panics") })
}
