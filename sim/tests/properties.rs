//! What the paper promises, as properties of any cluster, workload and schedule of faults.
//!
//! A few cases each, the same ones in every run; set `SEEDLOG_PROP_CASES` for more.
#![allow(clippy::disallowed_methods)] // Reads the environment of the machine it is on.

use proptest::test_runner::TestError;
use seedlog::rules::Rule;
use seedlog_sim::prop;
use seedlog_sim::scenario::Class;

/// Cases of a property where nobody asks for more.
const CASES: u32 = 12;

fn cases() -> u32 {
    std::env::var("SEEDLOG_PROP_CASES").map_or(CASES, |text| text.parse().expect("a number of cases"))
}

fn holds(property: &str, slugs: &[&str]) {
    let outcome = prop::runner(cases()).run(&(prop::scenario(), prop::seed()), |(scenario, seed)| {
        prop::uphold(property, &scenario, seed, slugs)
    });
    if let Err(TestError::Fail(reason, _)) = &outcome {
        panic!("{property}:\n{reason}");
    }
    outcome.unwrap();
}

#[test]
fn what_was_acknowledged_is_delivered_at_least_once() {
    holds("at least once", &["lost-write", "unseen", "commit-ahead", "never-processed"]);
}

#[test]
fn records_of_a_partition_keep_their_order() {
    holds(
        "order in a partition",
        &["inconsistent-offsets", "send-order", "real-time-order", "skip", "step-back", "skip-in-poll"],
    );
}

/// Faults, without their ends, in the smallest failure.
const FAULTS_LEFT_MAX: usize = 2;

#[test]
fn a_suspended_rule_is_found_and_shrunk_to_few_faults() {
    let cases =
        prop::scenario_of(prop::topology(), prop::workload(), prop::faults(&[Class::Process, Class::Disk]));
    let outcome = prop::runner(200).run(&(cases, prop::seed()), |(scenario, seed)| {
        let verdict = prop::run_without(&scenario, seed, &[Rule::AppendBeforeAck]);
        prop::demand("suspended rule", &scenario, &verdict, &["lost-write", "unseen", "storage"])
    });
    let Err(TestError::Fail(reason, (smallest, _))) = outcome else { panic!("nobody noticed: {outcome:?}") };
    let faults = smallest.steps.iter().filter(|step| !step.text.starts_with("restart")).count();
    assert!(faults <= FAULTS_LEFT_MAX, "{faults} faults are left:\n{reason}");
    assert!(reason.message().contains("--without append-before-ack"), "{reason}");
}
