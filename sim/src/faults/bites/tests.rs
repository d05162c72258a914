use seedlog::types::BrokerId;

use super::*;
use crate::faults::Origin;
use crate::history::Entered;

fn history(all: impl IntoIterator<Item = What>) -> Vec<Entry> {
    let entry = |(at_ms, what): (u64, What)| Entry {
        at_ns: at_ms * 1_000_000,
        node: "broker-1".into(),
        incarnation: 0,
        what,
    };
    (0..).zip(all).map(entry).collect()
}

fn drawn(kind: &str, did: &[Injected]) -> Struck {
    Struck { by: Origin::Drawn(0), kind: Some(kind.into()), at_ns: 0, did: did.to_vec() }
}

fn bites(fault: Injected, then: Vec<What>) -> bool {
    let struck = drawn(fault.kind().expect("a fault"), std::slice::from_ref(&fault));
    has_bitten(&struck, &history([What::Fault(fault)].into_iter().chain(then)))
}

fn held_up(from: &str, to: &str) -> What {
    What::Seen(Seen::HeldUp { from: from.into(), to: to.into() })
}

fn struck(target: &str, fault: &str) -> What {
    What::Seen(Seen::Struck { target: target.into(), fault: fault.into() })
}

fn session_struck(session: i64, fault: &str) -> What {
    What::Seen(Seen::SessionStruck { session: SessionId(session), fault: fault.into() })
}

fn cut(from: &str, to: &str) -> Injected {
    Injected::Cut { from: from.into(), to: to.into() }
}

#[test]
fn a_cut_between_nodes_that_do_not_speak_does_nothing() {
    assert!(bites(cut("shop", "broker-1"), vec![held_up("shop", "broker-1")]));
    let others = vec![held_up("broker-1", "shop"), held_up("shop", "broker-2")];
    assert!(!bites(cut("shop", "broker-1"), others));
    let mended = What::Fault(Injected::Mend { from: "shop".into(), to: "broker-1".into() });
    assert!(!bites(cut("shop", "broker-1"), vec![mended, held_up("shop", "broker-1")]));
}

#[test]
fn one_direction_that_bites_is_enough_for_a_fault_of_many() {
    let directions = [cut("shop", "broker-1"), cut("broker-1", "shop"), cut("shop", "zookeeper")];
    let told = || directions.iter().cloned().map(What::Fault);
    let struck = drawn("cut", &directions);
    assert!(!has_bitten(&struck, &history(told())));
    assert!(has_bitten(&struck, &history(told().chain([held_up("broker-1", "shop")]))));
}

#[test]
fn what_comes_along_with_a_fault_does_not_bite_for_it() {
    let refuse = Injected::Refuse { target: "broker-1".into(), how: crate::history::Refusal::Refused };
    let reset = Injected::Reset { a: "shop".into(), b: "broker-1".into() };
    let fault = drawn("connect-refused", &[refuse.clone(), reset.clone()]);
    let told = || [What::Fault(refuse.clone()), What::Fault(reset.clone()), held_up("shop", "broker-1")];
    assert!(!has_bitten(&fault, &history(told())));
    let hindered = told().into_iter().chain([struck("broker-1", "connect-hindered")]);
    assert!(has_bitten(&fault, &history(hindered)));
}

fn entered(phase: Phase) -> What {
    What::Phase(Entered { phase })
}

#[test]
fn what_the_heal_leaves_broken_counts_where_it_changed_something() {
    let detach = || Injected::Detach { target: "m-1".into(), session: SessionId(7), reaches_others: true };
    let left = |then: &[What]| {
        let begin = [entered(Phase::Heal), What::Fault(detach()), entered(Phase::Converge)];
        let all = history(begin.into_iter().chain(then.iter().cloned()));
        left_by_the_heal(&all).into_iter().map(|(_, has_bitten)| has_bitten).collect::<Vec<_>>()
    };
    assert_eq!(left(&[]), [false]);
    assert_eq!(left(&[session_struck(8, "unanswered")]), [false]);
    assert_eq!(left(&[session_struck(7, "unanswered")]), [true]);
    let dead = What::Fault(Injected::Kill { target: "m-1".into() });
    assert_eq!(left(&[dead]), [false, true]);
    let before = history([What::Fault(detach()), session_struck(7, "unanswered"), entered(Phase::Heal)]);
    assert!(left_by_the_heal(&before).is_empty(), "of the storm");
}

#[test]
fn the_kill_before_a_crash_in_recovery_is_not_that_crash() {
    let kill = Injected::Kill { target: "broker-1".into() };
    let armed = Injected::CrashArmed {
        target: "broker-1".into(),
        point: "write".into(),
        nth: 1,
        power_failure: false,
    };
    let fault = drawn("crash-in-recovery", &[kill.clone(), armed.clone()]);
    let told = [What::Fault(kill), What::Fault(armed)];
    assert!(!has_bitten(&fault, &history(told.clone())));
    assert!(has_bitten(&fault, &history(told.into_iter().chain([struck("broker-1", "crash-inside")]))));
}

#[test]
fn a_disk_that_fails_nobody_does_nothing_and_one_that_was_cured_does_no_more() {
    let full = || Injected::DiskFull { target: "broker-1".into(), free_bytes: 0 };
    assert!(bites(full(), vec![struck("broker-1", "no-space")]));
    assert!(!bites(full(), vec![struck("broker-2", "no-space"), struck("broker-1", "slow")]));
    let cured = What::Fault(Injected::DiskHealthy { target: "broker-1".into() });
    assert!(!bites(full(), vec![cured, struck("broker-1", "no-space")]));
}

#[test]
fn an_error_of_another_operation_is_not_this_disk_error() {
    let broken = || Injected::DiskError {
        target: "broker-1".into(),
        operation: DiskOperation::Mkdir,
        failure: Failure::Plain,
        errno: crate::history::Errno::Eio,
        one_in: 1,
    };
    assert!(bites(broken(), vec![struck("broker-1", "create-dir-error")]));
    assert!(!bites(broken(), vec![struck("broker-1", "write-error")]));
}

#[test]
fn what_is_undone_by_the_heal_does_not_bite_after_it_and_what_is_broken_for_good_does() {
    let heal = || What::Phase(Entered { phase: Phase::Heal });
    assert!(!bites(cut("a", "b"), vec![heal(), held_up("a", "b")]));
    let dropped = Injected::Drop { a: "a".into(), b: "b".into() };
    assert!(bites(dropped, vec![heal(), held_up("b", "a")]));
    let flipped = Injected::BitFlip { target: "broker-1".into(), file: "a.log".into(), offset: 3 };
    assert!(bites(flipped, vec![heal(), struck("broker-1", "damage-read")]));
}

#[test]
fn a_clock_bites_whom_it_misleads() {
    let target = || "till".into();
    let bump = Injected::ClockBump { target: target(), by_ms: 60_000 };
    assert!(!bites(bump.clone(), Vec::new()));
    assert!(bites(bump, vec![struck("till", "wrong-clock")]));
    let late = Injected::TimersLate { target: target(), grid_ms: 500 };
    assert!(!bites(late.clone(), vec![struck("till", "wrong-clock")]));
    assert!(bites(late, vec![struck("till", "timer-late")]));
    let drift = Injected::MonotonicDrift { target: target(), ppm: 500 };
    assert!(bites(drift, vec![struck("till", "timer-drifted")]));
}

#[test]
fn zookeepers_faults_bite_the_session_that_they_are_for() {
    let (target, session) = (|| "broker-1".into(), SessionId(7));
    let late = || Injected::WatchesLate { target: target(), session, millis: 50 };
    assert!(bites(late(), vec![session_struck(7, "watch-late")]));
    assert!(!bites(late(), vec![session_struck(8, "watch-late"), session_struck(7, "unanswered")]));
    let detach = || Injected::Detach { target: target(), session, reaches_others: false };
    assert!(!bites(detach(), Vec::new()));
    assert!(bites(detach(), vec![session_struck(7, "unanswered")]));
    assert!(bites(detach(), vec![What::Fact(Fact::SessionExpired { session })]));
    let storm = || Injected::ReconnectStorm { target: "zookeeper".into() };
    assert!(!bites(storm(), Vec::new()), "nobody was connected");
    assert!(bites(storm(), vec![session_struck(9, "connection-closed")]));
}

#[test]
fn a_lost_registration_is_that_of_the_node_meant() {
    let lose = |target: &str| Injected::LoseRegistration { target: target.into() };
    let registered = Fact::BrokerRegistered { broker: BrokerId(1), session: SessionId(7) };
    let then = || vec![session_struck(7, "registration-lost"), What::Fact(registered.clone())];
    assert!(bites(lose("broker-1"), then()));
    assert!(!bites(lose("broker-2"), then()));
}

#[test]
fn a_load_bites_when_it_was_there() {
    let huge = || Injected::HugeRecord { target: "shop".into(), bytes: 1 << 20 };
    assert!(!bites(huge(), Vec::new()));
    assert!(bites(huge(), vec![struck("shop", "huge-record")]));
    let idle = || Injected::Idle { target: "shop".into() };
    let usual = What::Fault(Injected::UsualLoad { target: "shop".into() });
    assert!(!bites(idle(), vec![usual, struck("shop", "idle")]));
}

#[test]
fn a_kill_bites_by_itself_and_the_end_of_a_fault_never_does() {
    assert!(bites(Injected::Kill { target: "broker-1".into() }, Vec::new()));
    let start = Injected::Start { target: "broker-1".into() };
    let written = Struck { by: Origin::Written(0), kind: None, at_ns: 0, did: vec![start.clone()] };
    assert!(!has_bitten(&written, &history([What::Fault(start)])));
}
