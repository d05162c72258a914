use std::cell::Cell;

use proptest::strategy::ValueTree;
use proptest::test_runner::TestError;

use super::*;
use crate::report::Breakdown;

fn drawn(count: usize) -> Vec<Scenario> {
    let mut runner = runner(1);
    (0..count).map(|_| scenario().new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn whatever_the_strategies_make_is_a_scenario_that_the_parser_takes() {
    let scenarios = drawn(300);
    assert!(scenarios.iter().any(|scenario| scenario.steps.is_empty()));
    assert!(scenarios.iter().any(|scenario| scenario.steps.len() > 8));
    assert!(scenarios.iter().any(|scenario| !scenario.groups.is_empty()));
    assert!(scenarios.iter().all(|scenario| !scenario.producers.is_empty()));
}

#[test]
fn the_runner_draws_the_same_cases_every_time() {
    let texts = || drawn(20).into_iter().map(|scenario| scenario.text).collect::<Vec<_>>();
    assert_eq!(texts(), texts());
}

#[test]
fn a_schedule_shrinks_to_the_one_fault_that_matters() {
    let kills = |scenario: &Scenario| scenario.text.contains("kill client(reader)");
    let runs = Cell::new(0);
    let outcome = runner(500).run(&scenario(), |scenario| {
        runs.set(runs.get() + 1);
        if kills(&scenario) { Err(TestCaseError::fail("killed")) } else { Ok(()) }
    });
    let Err(TestError::Fail(_, smallest)) = outcome else { panic!("no schedule kills the reader") };
    // The kill, and the restart that belongs to it.
    assert_eq!(smallest.steps.len(), 2, "{}", smallest.text);
    assert_eq!((smallest.brokers, smallest.groups.len()), (Some(1), 0), "{}", smallest.text);
    assert!(smallest.text.contains("at = \"0ms\""), "{}", smallest.text);
}

#[test]
fn a_failure_shows_the_scenario_and_the_line_that_replays_it() {
    let scenario = &drawn(1)[0];
    let verdict = Verdict::of_breakdown("prop", 7, &[Rule::CutTornTail], Breakdown::Panic.violation("gone"));
    let error = demand("a test's property", scenario, &verdict, &["lost-write"]).unwrap_err().to_string();
    assert!(error.contains("FAIL prop  seed 7  panic (X1)"), "{error}");
    assert!(error.contains("[topics.orders]") && error.contains("seed   = \"7\""), "{error}");
    let replay = error.lines().last().unwrap();
    assert!(replay.ends_with("a_test_s_property.toml --without cut-torn-tail"), "{replay}");
    assert!(!error.contains("replay prop@7"), "{error}");
}

#[test]
fn a_run_in_which_nothing_happened_is_rejected() {
    let mut verdict = Verdict::empty("prop", 7);
    verdict.vacuous.push("nothing was sent".into());
    verdict.conclude();
    let error = demand("p", &drawn(1)[0], &verdict, &[]).unwrap_err();
    assert!(matches!(error, TestCaseError::Reject(_)), "{error}");
}
