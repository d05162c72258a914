//! Named points in the code that make rare things common. Each point is switched on or off for a whole run
//! by the seed; a point that is on fires now and then.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::rng::{self, Rng};

struct Point {
    when: When,
    draws: Rng,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Never,
    NowAndThen,
    Always,
}

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(false) };
    static POINTS: RefCell<BTreeMap<&'static str, Point>> = const { RefCell::new(BTreeMap::new()) };
}

/// One run in this many has a given point on.
const ON_ONE_IN: u64 = 4;
/// A point that is on fires once in this many times.
const FIRES_ONE_IN: u64 = 8;

/// Whether the named rare event happens here and now.
pub fn fires(point: &'static str) -> bool {
    ENABLED.get()
        && POINTS.with_borrow_mut(|points| {
            let point = points.entry(point).or_insert_with(|| {
                let is_on = rng::seed_word(point).is_multiple_of(ON_ONE_IN);
                let when = if is_on { When::NowAndThen } else { When::Never };
                Point { when, draws: rng::world_stream(point) }
            });
            match point.when {
                When::Never => false,
                When::NowAndThen => point.draws.chance(1, FIRES_ONE_IN),
                When::Always => true,
            }
        })
}

/// Whether points fire at all just now.
pub(super) fn is_enabled() -> bool {
    ENABLED.get()
}

/// Turns all points off (or back to what the seed says): the heal phase runs without them.
pub fn enable(enabled: bool) {
    ENABLED.set(enabled);
}

/// This point does not fire for the rest of the run: its test needs what it makes rare to stay away.
pub fn silence(point: &'static str) {
    set(point, When::Never);
}

/// This point fires each time, for the rest of the run: its test is about what it makes rare.
pub fn insist(point: &'static str) {
    set(point, When::Always);
}

fn set(point: &'static str, when: When) {
    POINTS.with_borrow_mut(|points| {
        points.insert(point, Point { when, draws: rng::world_stream(point) });
    });
}

pub(super) fn begin(enabled: bool) {
    ENABLED.set(enabled);
    POINTS.with_borrow_mut(BTreeMap::clear);
}
