//! Clocks that differ, machines that stand still, timers that are late, and threads that nobody can call back.

use std::future::{Future, pending};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedlog::runtime::clock::{self, DeadlineTimer};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world::{self, Death, RunConfig};
use seedlog::runtime::task;

fn run<T: Send + 'static, F: Future<Output = T> + 'static>(main: impl FnOnce() -> F + Send + 'static) -> T {
    let config = RunConfig { seed: 1, keep_trace: false, event_limit: 100_000, buggify: false };
    world::run(config, main).outcome.expect("no panic")
}

/// Milliseconds, of the node's clock and the world's.
type Notes = Arc<Mutex<Vec<(u64, u64)>>>;

fn note(notes: &Notes) {
    notes.lock().unwrap().push((clock::now().as_millis(), clock::world_now().as_millis()));
}

/// A node with a process that takes notes.
fn add_node<F>(name: &str, notes: &Notes, process: impl Fn(Notes) -> F + Send + Sync + 'static) -> NodeId
where
    F: Future<Output = ()> + Send + 'static,
{
    let notes = Arc::clone(notes);
    world::add_node(name, move || process(Arc::clone(&notes)))
}

/// A node that notes the time every `every` by its own clock.
fn start_ticking(every: Duration, notes: &Notes) -> NodeId {
    let node = add_node("ticking", notes, move |notes| async move {
        loop {
            clock::sleep(every).await;
            note(&notes);
        }
    });
    world::start(node);
    node
}

fn noted(notes: &Notes) -> Vec<(u64, u64)> {
    std::mem::take(&mut notes.lock().unwrap())
}

#[test]
fn timers_of_a_machine_that_was_suspended_count_only_the_time_for_which_it_ran() {
    run(|| async {
        let notes = Notes::default();
        let node = start_ticking(Duration::from_secs(2), &notes);
        clock::sleep(Duration::from_secs(1)).await;
        clock::set_stands_still(node, true);
        world::pause(node);
        clock::sleep(Duration::from_secs(10)).await;
        clock::set_stands_still(node, false);
        world::resume(node);
        clock::sleep(Duration::from_millis(3_500)).await;
        let noted = noted(&notes);
        let &[(first, _), (second, _)] = &noted[..] else { panic!("{noted:?}") };
        assert!((12_000..12_010).contains(&first) && (14_000..14_020).contains(&second), "{noted:?}");
        assert!(noted.iter().all(|(own, world)| own == world), "its clock counts all of it: {noted:?}");
    });
}

#[test]
fn a_clock_that_drifts_waits_by_its_own_measure_and_never_steps_back() {
    run(|| async {
        let notes = Notes::default();
        let node = start_ticking(Duration::from_secs(1), &notes);
        clock::set_monotonic_drift(node, -100_000);
        clock::sleep(Duration::from_secs(10)).await;
        clock::set_monotonic_drift(node, 0);
        clock::sleep(Duration::from_secs(2)).await;
        let noted = noted(&notes);
        assert_eq!(noted.iter().filter(|(_, world)| *world < 10_000).count(), 8, "{noted:?}");
        assert!(noted.is_sorted(), "{noted:?}");
    });
}

#[test]
fn late_timers_fire_together() {
    run(|| async {
        let notes = Notes::default();
        let node = add_node("late", &notes, |notes| async move {
            let group = task::TaskGroup::new(task::Lane::Data);
            for millis in [1_100, 1_200, 1_900] {
                let notes = Arc::clone(&notes);
                group.spawn("timer", async move {
                    let mut timer = DeadlineTimer::new();
                    timer.set(Some(clock::now() + Duration::from_millis(millis)));
                    timer.expired().await;
                    note(&notes);
                });
            }
            clock::sleep(Duration::from_millis(1_500)).await;
            note(&notes);
            pending::<()>().await;
        });
        clock::set_timer_grid(node, Duration::from_secs(1));
        world::start(node);
        clock::sleep(Duration::from_secs(3)).await;
        let noted = noted(&notes);
        assert_eq!(noted.len(), 4, "{noted:?}");
        assert!(noted.iter().all(|(at, _)| (2_000..2_005).contains(at)), "{noted:?}");
    });
}

#[test]
fn work_on_threads_of_its_own_runs_side_by_side_takes_time_and_cannot_be_called_back() {
    run(|| async {
        let notes = Notes::default();
        let node = add_node("working", &notes, |notes| async move {
            let work = |notes: &Notes| {
                let notes = Arc::clone(notes);
                task::blocking(move || note(&notes))
            };
            // Nobody waits for the first any longer.
            assert!(clock::timeout(Duration::ZERO, work(&notes)).await.is_err());
            tokio::join!(work(&notes), work(&notes));
            assert!(clock::now().as_millis() > 0, "it took time");
            pending::<()>().await;
        });
        world::start(node);
        clock::sleep(Duration::from_secs(3)).await;
        assert_eq!(noted(&notes).len(), 3);
    });
}

#[test]
fn work_on_a_thread_of_its_own_ends_with_the_life_that_asked_for_it() {
    run(|| async {
        let notes = Notes::default();
        let node = add_node("working", &notes, |notes| async move {
            task::blocking(move || note(&notes)).await;
        });
        world::start(node);
        task::yield_now().await;
        world::end(node, Death::Kill);
        clock::sleep(Duration::from_secs(3)).await;
        assert!(noted(&notes).is_empty());
    });
}
