//! Workers for questions: which of these runs is the first that fails as asked?
//!
//! The answer does not depend on how many workers there are, nor on which of them is done first.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::child::Worker;
use super::pool;
use super::worker::{Job, Reply};

/// Worker processes that live as long as the question is open.
pub struct Crew {
    workers: Vec<Worker>,
    /// A run that takes longer is a hang.
    pub wall_limit: Duration,
    /// After this nothing new is started.
    pub deadline: Instant,
    runs: u64,
}

impl Crew {
    pub fn new(jobs: usize, wall_limit: Duration, deadline: Instant) -> anyhow::Result<Crew> {
        let workers = (0..jobs.max(1)).map(|_| Worker::new()).collect::<anyhow::Result<_>>()?;
        Ok(Crew { workers, wall_limit, deadline, runs: 0 })
    }

    /// How many runs were done.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    pub fn is_in_time(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// One run, whatever the time.
    pub fn run(&mut self, job: &Job) -> anyhow::Result<Reply> {
        self.runs += 1;
        let outcome = self.workers[0].run(job, self.wall_limit)?;
        Ok(outcome.unwrap_or_else(|broken| pool::broken_reply(job, broken)))
    }

    /// The first of `jobs`, in their order, whose reply is as wanted. Those behind it need not run.
    pub fn first(
        &mut self,
        jobs: &[Job],
        is_wanted: impl Fn(&Reply) -> bool + Sync,
    ) -> anyhow::Result<Option<(usize, Reply)>> {
        let next = AtomicUsize::new(0);
        let found: Mutex<Option<(usize, Reply)>> = Mutex::new(None);
        let best = AtomicUsize::new(jobs.len());
        let (deadline, wall_limit) = (self.deadline, self.wall_limit);
        let work = |worker: &mut Worker| -> anyhow::Result<u64> {
            for runs in 0.. {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= best.load(Ordering::Relaxed) || Instant::now() >= deadline {
                    return Ok(runs);
                }
                let reply = worker.run(&jobs[at], wall_limit)?;
                let reply = reply.unwrap_or_else(|broken| pool::broken_reply(&jobs[at], broken));
                if is_wanted(&reply) {
                    let mut found = found.lock().expect("no worker thread panics with it");
                    if found.as_ref().is_none_or(|(other, _)| at < *other) {
                        *found = Some((at, reply));
                        best.fetch_min(at, Ordering::Relaxed);
                    }
                }
            }
            Ok(0)
        };
        let runs: anyhow::Result<Vec<u64>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                self.workers.iter_mut().map(|worker| scope.spawn(|| work(worker))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a worker thread does not panic")).collect()
        });
        self.runs += runs?.iter().sum::<u64>();
        Ok(found.into_inner().expect("no worker thread panics with it"))
    }
}
