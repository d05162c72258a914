//! Tasks on tokio's multi-thread runtime, each owned by a group that stops it.

use std::future::Future;
use std::sync::{Mutex, OnceLock};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::runtime::living::Living;

/// Which threads a group's tasks run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The data plane: connections, partitions.
    Data,
    /// Session pings and other duties with a deadline; an inline disk write never stalls them.
    Control,
}

/// Owns tasks; dropping it stops them all.
pub struct TaskGroup {
    lane: Lane,
    /// The runtime that the group was made on, if any, for who starts a task from a thread that is none of a runtime's.
    home: Option<Handle>,
    living: Living,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// Finished handles are swept out when this many have gathered, and at each doubling.
const SWEEP_AT: usize = 64;

impl TaskGroup {
    pub fn new(lane: Lane) -> TaskGroup {
        let home = Handle::try_current().ok();
        TaskGroup { lane, home, living: Living::default(), tasks: Mutex::new(Vec::new()) }
    }

    /// Starts a task that lives at most as long as this group.
    pub fn spawn<F>(&self, _name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let future = self.living.count(future);
        let task = match self.lane {
            Lane::Data => {
                let here = Handle::try_current().ok();
                let handle = here.as_ref().or(self.home.as_ref());
                handle.expect("the group was made, or is used, on a runtime").spawn(future)
            }
            Lane::Control => control_runtime().spawn(future),
        };
        let mut tasks = self.tasks.lock().expect("task list");
        if tasks.len() >= SWEEP_AT && tasks.len() == tasks.capacity() {
            tasks.retain(|task| !task.is_finished());
        }
        tasks.push(task.abort_handle());
    }

    /// Waits until every task that was started so far is gone: it returned, or it was stopped, and all that it
    /// held is dropped. A task on another thread that is stopped takes its present step to its end first.
    pub async fn all_gone(&self) {
        self.living.all_gone().await;
    }

    /// Stops every task of the group.
    pub fn abort_all(&self) {
        for task in self.tasks.lock().expect("task list").drain(..) {
            task.abort();
        }
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        self.abort_all();
    }
}

fn control_runtime() -> &'static tokio::runtime::Handle {
    static CONTROL: OnceLock<tokio::runtime::Handle> = OnceLock::new();
    CONTROL.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("seedlog-control")
            .enable_all()
            .build()
            .expect("cannot start the control threads");
        let handle = runtime.handle().clone();
        // The control runtime lives as long as the process.
        std::mem::forget(runtime);
        handle
    })
}

/// Lets other tasks run.
pub async fn yield_now() {
    tokio::task::yield_now().await;
}

/// Runs long work (recovery, compaction) on a thread pool.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    #[allow(clippy::disallowed_methods)] // The seam's own thread pool.
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Whether the running task's node still lives: always.
#[inline(always)]
pub const fn current_is_alive() -> bool {
    true
}

/// Runs `main` to its end on a new multi-thread runtime (the `seedlog` command and tests).
pub fn block_on<F: Future>(main: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("seedlog-data")
        .enable_all()
        .build()
        .expect("cannot start the runtime's threads")
        .block_on(main)
}

/// Lets an ordinary thread wait for async work; its tasks run on threads of its own, until it is dropped.
pub struct Blocking {
    runtime: tokio::runtime::Runtime,
}

impl Blocking {
    /// Starts the threads.
    pub fn start() -> Blocking {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("seedlog-blocking")
            .enable_all()
            .build()
            .expect("cannot start the runtime's threads");
        Blocking { runtime }
    }

    /// Runs `work` to its end while the calling thread waits. Panics on a thread that runs async code.
    pub fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }
}
