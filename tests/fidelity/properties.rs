//! Steps on clocks and tasks: each looks at one property, by its name.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use seedlog::runtime::clock::{self, DeadlineTimer};
use seedlog::runtime::task::{self, Lane, TaskGroup};
use serde::{Deserialize, Serialize};

use crate::program::History;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    MonotonicClockStepsBack,
    SleepEndsEarly,
    SleepUntilThePast,
    TimeoutOfWhatIsReady,
    TimerMovedEarlier,
    DisarmedTimer,
    TasksBeginInOrder,
    TaskAbortedBeforeItBegan,
    TaskOfADroppedGroup,
    TaskBesideOneThatWorks,
    BlockingGivenUp,
    BlockingBesideAnother,
}

pub async fn perform(steps: Vec<Step>) -> History {
    let mut history = History::new();
    for step in steps {
        history.push(look(step).await.to_owned());
    }
    history
}

async fn look(step: Step) -> &'static str {
    match step {
        Step::MonotonicClockStepsBack => either(steps_back().await, "it does", "never"),
        Step::SleepEndsEarly => either(ends_early().await, "it does", "never"),
        Step::SleepUntilThePast => either(is_over_at_once().await, "at once", "after a millisecond"),
        Step::TimeoutOfWhatIsReady => {
            let ended = clock::timeout(Duration::ZERO, async {}).await;
            either(ended.is_ok(), "ready", "elapsed")
        }
        Step::TimerMovedEarlier => either(moved_earlier().await, "at the new time", "at the old time"),
        Step::DisarmedTimer => either(disarmed_fires().await, "fires", "never"),
        Step::TasksBeginInOrder => either(begin_in_order().await, "in order", "in another order"),
        Step::TaskAbortedBeforeItBegan => either(aborted_runs().await, "ran", "did not run"),
        Step::TaskOfADroppedGroup => either(outlives_its_group().await, "runs on", "is gone"),
        Step::TaskBesideOneThatWorks => either(runs_beside_work().await, "runs meanwhile", "waits"),
        Step::BlockingGivenUp => either(blocking_runs_on().await, "runs to its end", "is not done"),
        Step::BlockingBesideAnother => either(blocking_overlaps().await, "together", "one after the other"),
    }
}

fn either(is_so: bool, yes: &'static str, no: &'static str) -> &'static str {
    if is_so { yes } else { no }
}

async fn steps_back() -> bool {
    let mut last = clock::now();
    for _ in 0..1_000 {
        let now = clock::now();
        if now < last {
            return true;
        }
        last = now;
        task::yield_now().await;
    }
    false
}

async fn ends_early() -> bool {
    for micros in [1, 10, 100, 999, 1_000, 1_001, 2_500, 5_000] {
        let (begun, time) = (clock::now(), Duration::from_micros(micros));
        clock::sleep(time).await;
        if clock::now().saturating_since(begun) < time {
            return true;
        }
    }
    false
}

/// Whether it sometimes is.
async fn is_over_at_once() -> bool {
    for micros in 0..100 {
        let waits_until = clock::now();
        clock::sleep_until(waits_until).await;
        if clock::now().saturating_since(waits_until) < Duration::from_micros(700) {
            return true;
        }
        // The timer's milliseconds are met at every place.
        clock::sleep(Duration::from_micros(1_000 + 10 * micros)).await;
    }
    false
}

/// A timer that somebody waits for, and that is moved to an earlier time.
async fn moved_earlier() -> bool {
    let begun = clock::now();
    let mut timer = DeadlineTimer::new();
    timer.set(Some(begun + Duration::from_secs(1)));
    let waited = clock::timeout(Duration::from_millis(2), timer.expired()).await;
    assert!(waited.is_err(), "a second is longer than two milliseconds");
    timer.set(Some(begun + Duration::from_millis(20)));
    timer.expired().await;
    clock::now().saturating_since(begun) < Duration::from_secs(1)
}

async fn disarmed_fires() -> bool {
    let mut timer = DeadlineTimer::new();
    timer.set(Some(clock::now() + Duration::from_millis(5)));
    timer.set(None);
    clock::timeout(Duration::from_millis(50), timer.expired()).await.is_ok()
}

async fn begin_in_order() -> bool {
    let group = TaskGroup::new(Lane::Data);
    let begun = Arc::new(Mutex::new(Vec::new()));
    for number in 0..10 {
        let begun = Arc::clone(&begun);
        group.spawn("begins", async move { begun.lock().expect("numbers").push(number) });
    }
    group.all_gone().await;
    begun.lock().expect("numbers").is_sorted()
}

async fn aborted_runs() -> bool {
    let group = TaskGroup::new(Lane::Data);
    let has_run = Arc::new(AtomicBool::new(false));
    let runs = Arc::clone(&has_run);
    group.spawn("aborted", async move { runs.store(true, Ordering::SeqCst) });
    group.abort_all();
    group.all_gone().await;
    has_run.load(Ordering::SeqCst)
}

async fn outlives_its_group() -> bool {
    let group = TaskGroup::new(Lane::Data);
    let held = Arc::new(());
    let theirs = Arc::clone(&held);
    group.spawn("waits", async move {
        pending::<()>().await;
        drop(theirs);
    });
    task::yield_now().await;
    drop(group);
    clock::sleep(Duration::from_millis(50)).await;
    Arc::strong_count(&held) > 1
}

/// Looks of one that works without a pause; on a machine of several cores another thread needs far fewer.
const LOOKS: u32 = 300_000;

fn looks_until(flag: &AtomicBool) -> bool {
    (0..LOOKS).any(|look| {
        if look % 64 == 0 {
            std::thread::yield_now();
        }
        flag.load(Ordering::SeqCst)
    })
}

async fn runs_beside_work() -> bool {
    let group = TaskGroup::new(Lane::Data);
    let [works, answered, seen] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    let (begun, answers) = (Arc::clone(&works), Arc::clone(&answered));
    group.spawn("beside", async move {
        while !begun.load(Ordering::SeqCst) {
            task::yield_now().await;
        }
        answers.store(true, Ordering::SeqCst);
    });
    clock::sleep(Duration::from_millis(5)).await;
    let sees = Arc::clone(&seen);
    group.spawn("works", async move {
        works.store(true, Ordering::SeqCst);
        sees.store(looks_until(&answered), Ordering::SeqCst);
    });
    group.all_gone().await;
    seen.load(Ordering::SeqCst)
}

/// Work on the thread pool whose caller waits no longer.
async fn blocking_runs_on() -> bool {
    let is_done = Arc::new(AtomicBool::new(false));
    let does = Arc::clone(&is_done);
    {
        let mut work = pin!(task::blocking(move || does.store(true, Ordering::SeqCst)));
        let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending() || is_done.load(Ordering::SeqCst));
    }
    clock::sleep(Duration::from_millis(100)).await;
    is_done.load(Ordering::SeqCst)
}

async fn blocking_overlaps() -> bool {
    let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
    let met = Arc::new(AtomicU32::new(0));
    let work = |own: usize| {
        let (flags, met) = (Arc::clone(&flags), Arc::clone(&met));
        task::blocking(move || {
            flags[own].store(true, Ordering::SeqCst);
            if looks_until(&flags[1 - own]) {
                met.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    tokio::join!(work(0), work(1));
    // One after the other, the second alone would see the first one's mark.
    met.load(Ordering::SeqCst) == 2
}
