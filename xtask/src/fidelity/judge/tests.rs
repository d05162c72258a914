use std::collections::BTreeSet;

use super::*;
use crate::fidelity::record::Counts;

fn compared(name: &str, sim: &str, real: &str) -> Compared {
    let histories = |outcome: &str| BTreeSet::from([vec![outcome.to_owned()]]);
    Compared {
        name: name.to_owned(),
        limits: serde_json::Value::Null,
        steps: vec![serde_json::json!({"open": [0, "a"]})],
        sim: histories(sim),
        real: Some(histories(real)),
    }
}

/// A record of one drawn program and one row's own, and a row about both.
fn judged(row: &str, drawn: (&str, &str), own: (&str, &str)) -> Vec<String> {
    let row = format!(
        "[[row]]\nname = \"r\"\narea = \"disk\"\nbehaviour = \"b\"\nthemes = [\"disk/plain\"]\n{row}"
    );
    let ledger = Ledger::parse(&row).unwrap();
    let programs = vec![compared("disk/plain/7", drawn.0, drawn.1), compared("disk/row r", own.0, own.1)];
    let counts = Counts { compared: [("disk/plain".to_owned(), 1)].into() };
    judge(&ledger, &Record { counts, programs }, Path::new(env!("CARGO_MANIFEST_DIR")))
}

const SAME: (&str, &str) = ("ok", "ok");
const OTHER: (&str, &str) = ("ok", "!Full");
const PROBE: &str = "probe = [{ open = [0, \"a\"] }]\n";

fn has(wrong: &[String], text: &str) -> bool {
    wrong.len() == 1 && wrong[0].contains(text)
}

#[test]
fn a_difference_that_no_row_accounts_for_is_found_with_its_program() {
    assert!(judged("verdict = \"same\"", SAME, SAME).is_empty());
    let wrong = judged("verdict = \"same\"", OTHER, SAME);
    assert!(has(
        &wrong,
        "disk/plain/7, step 0 (`open`) came to !Full on the machine, and to ok in the simulation"
    ));
    assert!(wrong[0].contains(r#"{"open":[0,"a"]}"#));
}

#[test]
fn a_difference_is_accounted_for_by_a_row_that_is_not_same() {
    let row = |verdict: &str| {
        format!(
            "verdict = \"{verdict}\"\ndiffers = [{{ step = \"open\", sim = \"ok\", real = \"!*\" }}]\nreason = \"why\""
        )
    };
    assert!(judged(&row("kinder"), OTHER, SAME).is_empty());
    assert!(has(&judged(&row("same"), OTHER, SAME), "same, and yet it accounts for differences"));
}

#[test]
fn a_kinder_row_says_why_it_stays() {
    let kinder = format!("{PROBE}verdict = \"kinder\"\n");
    assert!(has(&judged(&kinder, SAME, OTHER), "without a reason"));
    assert!(has(&judged(&format!("{kinder}reason = \" \""), SAME, OTHER), "without a reason"));
    assert!(judged(&format!("{kinder}reason = \"why\""), SAME, OTHER).is_empty());
}

#[test]
fn a_verdict_is_what_the_rows_own_program_says() {
    let row = |verdict: &str| format!("{PROBE}verdict = \"{verdict}\"\nreason = \"why\"");
    assert!(has(&judged(&row("same"), SAME, OTHER), "same, and yet step 0"));
    assert!(has(&judged(&row("kinder"), SAME, SAME), "kinder, and yet"));
    assert!(has(&judged(&row("harsher"), SAME, SAME), "harsher, and yet"));
    assert!(judged(&row("harsher"), SAME, OTHER).is_empty());
    let another = "probe = [{ len = 0 }]\nverdict = \"same\"";
    assert!(has(&judged(another, SAME, SAME), "the record has another program"));
}

#[test]
fn a_row_has_evidence_that_is_there() {
    let row = |evidence: &str| format!("verdict = \"same\"\ntests = [\"{evidence}\"]");
    assert!(
        judged(&row("src/fidelity/judge/tests.rs::a_row_has_evidence_that_is_there"), SAME, SAME).is_empty()
    );
    assert!(has(&judged(&row("src/main.rs::no_such_test"), SAME, SAME), "there is no test"));
    let ledger =
        Ledger::parse("[[row]]\nname = \"r\"\narea = \"disk\"\nbehaviour = \"b\"\nverdict = \"same\"")
            .unwrap();
    let record = Record { counts: Counts::default(), programs: Vec::new() };
    assert!(has(&judge(&ledger, &record, Path::new(".")), "without any evidence"));
}
