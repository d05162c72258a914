//! Both halves' task groups keep the seam's contract: the same test bodies run in the simulation and on tokio.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::runtime::task::{self, Lane, TaskGroup};

/// Runs `body` as a process on a simulated node.
#[cfg(not(feature = "real-runtime"))]
fn as_process<F>(body: fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    use seedlog::runtime::sim::world::{self, RunConfig};

    for seed in 0..20 {
        let config = RunConfig { seed, keep_trace: false, event_limit: 100_000, buggify: true };
        let finished = world::run(config, move || async move {
            let node = world::add_node("tasks", body);
            world::start(node);
            while world::is_running(node) {
                clock::sleep(Duration::from_millis(10)).await;
            }
        });
        finished.outcome.expect("the body ran to its end");
    }
}

/// Runs `body` on threads.
#[cfg(feature = "real-runtime")]
fn as_process<F>(body: fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    task::block_on(body());
}

#[test]
fn a_group_without_tasks_is_gone_at_once() {
    as_process(|| async {
        TaskGroup::new(Lane::Data).all_gone().await;
    });
}

#[test]
fn tasks_that_return_are_waited_for_with_all_they_hold() {
    as_process(|| async {
        let group = TaskGroup::new(Lane::Data);
        let held = Arc::new(());
        for millis in [0, 1, 5] {
            let held = Arc::clone(&held);
            group.spawn("returns", async move {
                clock::sleep(Duration::from_millis(millis)).await;
                drop(held);
            });
        }

        group.all_gone().await;

        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn tasks_that_are_stopped_are_gone_with_all_they_hold_begun_or_not() {
    as_process(|| async {
        for lane in [Lane::Data, Lane::Control] {
            let group = TaskGroup::new(lane);
            let held = Arc::new(());
            for begins in [true, false] {
                for _ in 0..10 {
                    let held = Arc::clone(&held);
                    group.spawn("waits", async move {
                        pending::<()>().await;
                        drop(held);
                    });
                }
                if begins {
                    clock::sleep(Duration::from_millis(1)).await;
                }
            }

            group.abort_all();
            group.all_gone().await;

            assert_eq!(Arc::strong_count(&held), 1);
        }
    });
}

#[test]
fn a_stopped_task_that_still_takes_a_step_is_waited_for() {
    as_process(|| async {
        let group = Arc::new(TaskGroup::new(Lane::Data));
        let held = Arc::new(());
        let theirs = Arc::clone(&held);
        group.spawn("busy", async move {
            loop {
                task::yield_now().await;
                assert!(Arc::strong_count(&theirs) > 1, "whoever waited for this task has gone on");
            }
        });
        clock::sleep(Duration::from_millis(1)).await;

        group.abort_all();
        group.all_gone().await;

        assert_eq!(Arc::strong_count(&held), 1);
        // What is started later is none of that wait's business.
        group.spawn("later", pending());
        group.abort_all();
    });
}

/// The blocking half of a client is called from threads that are no runtime's.
#[cfg(feature = "real-runtime")]
#[test]
#[allow(clippy::disallowed_methods)] // Outside of any simulation.
fn a_thread_that_is_no_runtimes_starts_tasks_where_their_group_was_made() {
    as_process(|| async {
        let group = Arc::new(TaskGroup::new(Lane::Data));
        let (done, ran) = tokio::sync::oneshot::channel();
        let of_thread = Arc::clone(&group);
        let thread = std::thread::spawn(move || {
            of_thread.spawn("from-a-thread", async move { done.send(()).expect("it is waited for") });
        });
        clock::timeout(Duration::from_secs(10), ran).await.expect("in time").expect("it ran");
        thread.join().expect("it did not panic");
    });
}
