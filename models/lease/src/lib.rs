//! A model of the lock-free hand-out of records: shuttle runs the product's own file, thread by thread, in orders of
//! its choosing. The same model finds the bug that is planted beside it.
//!
//! A package of its own, so that nothing of the product is built with shuttle or waits for it.
#![cfg(test)]
#![allow(clippy::disallowed_methods)] // shuttle's threads.
#![allow(clippy::duplicate_mod)] // The file under test stands once as it is and once over planted bugs.

mod planted;
mod whole;

/// What the file under test finds in its crate.
mod types {
    use std::fmt;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Offset(pub i64);

    impl Offset {
        pub fn next(self) -> Offset {
            Offset(self.0 + 1)
        }
    }

    impl fmt::Display for Offset {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }
}

/// Schedules drawn for each model, beside all those of a depth-first search up to this number.
const SCHEDULES: usize = 20_000;

macro_rules! model {
    ($name:ident, $half:ident) => {
        // Not every model has a bug to find.
        #[allow(dead_code)]
        mod $name {
            use std::collections::BTreeSet;

            use shuttle::sync::{Arc, Mutex};
            use shuttle::thread;

            use super::$half::shared_half::Lease;
            use crate::types::Offset;

            fn lease(records: i64) -> Arc<Lease> {
                Arc::new(Lease::new((0..records).map(Offset).collect(), Offset(records), 0))
            }

            /// Hands out what there is; how many came out.
            fn read(lease: &Lease, records: usize) -> usize {
                (0..records).take_while(|handed_out| lease.hand_out(*handed_out)).count()
            }

            /// Who ends a lease knows from then on exactly what came out.
            pub fn the_end_counts_whatever_came_out() {
                let lease = lease(3);
                let reading = Arc::clone(&lease);
                let reader = thread::spawn(move || read(&reading, 3));
                lease.end();
                let counted = lease.position();
                let came_out = reader.join().expect("the reader does not panic");
                assert_eq!(
                    counted,
                    Offset(came_out as i64),
                    "what came out, and what was counted at the end"
                );
            }

            /// As above, with marks that stop counting meanwhile: the flag that does not end the lease.
            pub fn a_forgotten_lease_ends_like_any_other() {
                let lease = lease(2);
                let (reading, forgetting) = (Arc::clone(&lease), Arc::clone(&lease));
                let reader = thread::spawn(move || read(&reading, 2));
                let forgetter = thread::spawn(move || forgetting.forget());
                lease.end();
                let counted = lease.position();
                let came_out = reader.join().expect("the reader does not panic");
                forgetter.join().expect("it does not panic");
                assert_eq!(
                    counted,
                    Offset(came_out as i64),
                    "what came out, and what was counted at the end"
                );
                assert!(!lease.finish(Offset(0)), "no mark counts");
            }

            /// Everything below what a commit says was finished before. `moments`: how often it looks what was
            /// handed out; the product looks once.
            fn commit_while_reading(moments: usize) {
                let lease = lease(2);
                let finished: Arc<Mutex<BTreeSet<i64>>> = Arc::default();
                let (reading, finishing) = (Arc::clone(&lease), Arc::clone(&finished));
                let reader = thread::spawn(move || {
                    for record in 0..2 {
                        assert!(reading.hand_out(record), "nothing ends the lease");
                        finishing.lock().expect("no panic").insert(record as i64);
                        assert!(reading.finish(Offset(record as i64)), "it was handed out");
                    }
                });
                let once = lease.delivered();
                let first = once.unfinished().next();
                let end = if moments == 1 { once.end() } else { lease.delivered().end() };
                if let Some(commit) = first.or(end) {
                    let finished = finished.lock().expect("no panic");
                    assert!((0..commit.0).all(|below| finished.contains(&below)), "{commit} is committed");
                }
                reader.join().expect("the reader does not panic");
            }

            pub fn everything_below_a_commit_is_finished() {
                commit_while_reading(1);
            }

            pub fn a_commit_that_looks_twice() {
                commit_while_reading(2);
            }

            /// Two threads mark one record: it is news to one of them.
            pub fn a_record_is_finished_once() {
                let lease = lease(1);
                assert!(lease.hand_out(0));
                let marking = Arc::clone(&lease);
                let other = thread::spawn(move || marking.finish(Offset(0)));
                let here = lease.finish(Offset(0));
                let there = other.join().expect("it does not panic");
                assert!(here != there, "finished twice or never: {here}, {there}");
            }
        }
    };
}

model!(product, whole);
model!(planted_bug, planted);

/// Every order up to a number of them, and others at random.
fn explore(model: fn()) {
    shuttle::check_dfs(model, Some(SCHEDULES));
    shuttle::check_random(model, SCHEDULES);
}

#[test]
fn whoever_ends_a_lease_knows_what_came_out() {
    explore(product::the_end_counts_whatever_came_out);
    explore(product::a_forgotten_lease_ends_like_any_other);
}

#[test]
fn a_commit_says_at_most_what_is_true() {
    explore(product::everything_below_a_commit_is_finished);
}

#[test]
fn a_mark_counts_once() {
    explore(product::a_record_is_finished_once);
}

#[test]
#[should_panic(expected = "what came out, and what was counted at the end")]
fn the_model_finds_a_count_that_is_not_one_step() {
    explore(planted_bug::the_end_counts_whatever_came_out);
}

#[test]
#[should_panic(expected = "what came out, and what was counted at the end")]
fn the_model_finds_it_beside_the_other_flag_too() {
    explore(planted_bug::a_forgotten_lease_ends_like_any_other);
}

#[test]
#[should_panic(expected = "is committed")]
fn the_model_finds_a_commit_that_counts_at_two_moments() {
    explore(product::a_commit_that_looks_twice);
}

#[test]
#[should_panic(expected = "finished twice or never")]
fn the_model_finds_a_mark_that_is_not_one_step() {
    explore(planted_bug::a_record_is_finished_once);
}

/// The planted bug is in what it says, and not in everything.
#[test]
fn a_planted_bug_shows_only_with_two_threads() {
    explore(|| {
        let lease = planted::shared_half::Lease::new(Box::new([types::Offset(0)]), types::Offset(1), 0);
        assert!(lease.hand_out(0));
        assert!(lease.finish(types::Offset(0)));
        lease.end();
        assert!(lease.has_ended() && lease.is_exhausted());
    });
}
