//! One task for each broker that leads something, started when it is first needed, and woken when there is work.
//!
//! The producer's senders and the consumer's fetchers are such tasks. What they do is theirs; that a broker leads
//! no more is found out by the task, which then finds nothing to do.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use crate::runtime::lock::Mutex;
use crate::runtime::task::TaskGroup;
use crate::types::BrokerId;

/// What one task does until it is stopped.
pub type LeaderTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes the task that serves a broker. It looks for work whenever it is woken.
pub type StartLeaderTask<C> = fn(Arc<C>, BrokerId, Arc<Notify>) -> LeaderTask;

/// See the module. `C` is the client that the tasks share.
pub struct LeaderTasks<C> {
    name: &'static str,
    start: StartLeaderTask<C>,
    /// Owned by the client's handle: tasks never keep themselves or the client alive.
    tasks: Weak<TaskGroup>,
    client: Weak<C>,
    /// What wakes each. Under it only the task group's own lock is taken.
    wakers: Mutex<BTreeMap<BrokerId, Arc<Notify>>>,
}

impl<C: Send + Sync + 'static> LeaderTasks<C> {
    /// `name` is what the tasks are called in traces.
    pub fn new(
        name: &'static str,
        tasks: &Arc<TaskGroup>,
        client: Weak<C>,
        start: StartLeaderTask<C>,
    ) -> LeaderTasks<C> {
        LeaderTasks { name, start, tasks: Arc::downgrade(tasks), client, wakers: Mutex::default() }
    }

    /// Has the broker's task look for work. A client that is gone has no tasks.
    pub fn wake(&self, broker: BrokerId) {
        let mut wakers = self.wakers.lock().expect("no holder of the wakers panics");
        wakers.entry(broker).or_insert_with(|| self.start_task(broker)).notify_one();
    }

    fn start_task(&self, broker: BrokerId) -> Arc<Notify> {
        let waker = Arc::new(Notify::new());
        if let (Some(tasks), Some(client)) = (self.tasks.upgrade(), self.client.upgrade()) {
            tasks.spawn(self.name, (self.start)(client, broker, Arc::clone(&waker)));
        }
        waker
    }
}
