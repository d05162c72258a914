//! Every written fault strikes a cluster: it is stated, has its effect, is undone by its end or the heal, and
//! the cluster works again after that.

use std::collections::BTreeSet;
use std::time::Duration;

use seedlog::facts::Fact;
use seedlog::rules::Rule;
use seedlog_sim::history::{Entry, Injected, Phase, What};
use seedlog_sim::phases::{Run, RunOptions, run_seed};
use seedlog_sim::report::Outcome;
use seedlog_sim::scenario::{Library, SWEEP, Scenario};

/// One broker, a producer of 10 s, a consumer; these steps.
fn told_with(seed: u64, steps: &[(&str, &str)]) -> Run {
    let mut text = r#"
format = 1
story  = "One fault."
[cluster]
brokers = 1
config = { "zookeeper.session.timeout.ms" = 2000 }
[topics.orders]
partitions = 2
config = { durability = "fsync" }
[producers.shop]
topic = "orders"
records = 500
rate = "50/s"
acks = "all"
[consumers.billing]
topics = ["orders"]
"#
    .to_owned();
    for (at, action) in steps {
        text.push_str(&format!("[[step]]\nat = \"{at}\"\ndo = \"{action}\"\n"));
    }
    let scenario = Scenario::parse("catalogue", "catalogue.toml", &text).unwrap_or_else(|e| panic!("{e}"));
    let options = RunOptions { without: Vec::new(), keep_trace: false, event_limit: 20_000_000 };
    run_seed(&scenario, seed, &options)
}

/// As [`told_with`]; nothing may be violated.
fn told(steps: &[(&str, &str)]) -> Run {
    let run = told_with(3, steps);
    assert_eq!(
        run.verdict.verdict,
        Outcome::Pass,
        "{steps:?}: {:#?}",
        (&run.verdict.violations, &run.verdict.vacuous)
    );
    run
}

fn faults(run: &Run) -> impl Iterator<Item = (Duration, &Injected)> {
    run.history.iter().filter_map(|entry| match &entry.what {
        What::Fault(fault) => Some((Duration::from_nanos(entry.at_ns), fault)),
        _ => None,
    })
}

/// How long the first fault of this kind lasted, up to the first entry that `ends` it.
fn lasted(run: &Run, kind: &str, ends: impl Fn(&Injected) -> bool) -> Duration {
    let began = faults(run).find(|(_, fault)| fault.kind() == Some(kind)).expect("it is stated").0;
    let ended = faults(run).find(|(at, fault)| *at >= began && ends(fault)).expect("its end is stated").0;
    ended - began
}

fn facts(run: &Run) -> impl Iterator<Item = (&Entry, &Fact)> {
    run.history.iter().filter_map(|entry| match &entry.what {
        What::Fact(fact) => Some((entry, fact)),
        _ => None,
    })
}

#[test]
fn every_fault_within_budget_is_stated_and_survived() {
    for (action, kind) in [
        ("kill shop", "client-kill"),
        ("kill billing", "client-kill"),
        ("kill zookeeper", "zookeeper-kill"),
        ("power-fail zookeeper", "zookeeper-power-failure"),
        ("power-fail shop", "client-power-failure"),
        ("power-fail billing", "client-power-failure"),
        ("stop broker(1)", "stop"),
        ("rolling-restart 2s", "stop"),
        ("rolling-restart 2s", "rolling-restart"),
        ("power-crash broker(1) at fsync 3", "crash-in-disk"),
        ("power-crash broker(1) at append 3", "crash-at-point"),
        ("isolate broker(1) for 3s", "cut"),
        ("split for 3s", "cut"),
        ("delay shop | broker(1) 50ms for 3s", "delay"),
        ("delay shop -> broker(1) 5ms + 50ms for 3s", "delay"),
        ("limit shop -> broker(1) to 1KiB/s for 3s", "bandwidth"),
        ("limit broker(1) -> billing to 1KiB/s for 3s", "bandwidth"),
        ("limit broker(1) -> zookeeper to 200B/s for 3s", "bandwidth"),
        ("stall shop | broker(1) for 3s", "stall"),
        ("stall shop | broker(1) 1 for 3s", "stall"),
        ("drop shop | broker(1)", "silent-drop"),
        ("drop billing | broker(1)", "silent-drop"),
        ("drop broker(1) | zookeeper", "silent-drop"),
        ("refuse broker(1) for 3s", "connect-refused"),
        ("ignore-connects zookeeper for 3s", "connect-unanswered"),
        ("accept-late broker(1) for 3s", "slow-accept"),
        ("disk-sector-lost broker(1) for 3s", "disk-sector-lost"),
        ("disk-error broker(1) short-write once", "disk-error"),
        ("disk-error broker(1) read 1/4 for 1s", "disk-error"),
        ("disk-error broker(1) fsync-reverts once", "disk-error"),
        ("disk-slow broker(1) x10 stalling for 3s", "disk-slow"),
        ("clock broker(1) -30s for 3s", "clock-bump"),
        ("clock zookeeper +500ppm", "clock-drift"),
        ("strobe broker(1) +5s for 2s", "clock-strobe"),
        ("lose-reply broker(1)", "lost-reply"),
        ("watches-late broker(1) 500ms for 3s", "watches-late"),
        ("cut-short broker(1) after 1 times 4", "cut-short"),
        ("break-off /consumers/billing/owners after 0 times 4", "registry-breaks"),
        ("garble-offset billing orders-0 for 2s", "offset-garbled"),
        ("disk-hang broker(1) for 3s", "disk-hangs"),
        ("disk-hang broker(1) write for 3s", "disk-hangs"),
        ("disk-hang broker(1) everything for 3s", "disk-hangs"),
        ("disk-hang broker(1) at orders-0/00000000000000000000.log for 3s", "disk-hangs"),
        ("detach broker(1) for 8s", "detach"),
        ("zookeeper-lags for 3s", "server-lags"),
        ("reconnect-storm", "reconnect-storm"),
        ("zookeeper-down for 5s", "quorum-lost"),
        ("idle shop for 3s", "idle"),
        ("burst shop for 3s", "burst"),
        ("hot-key shop for 3s", "hot-key"),
        ("huge-record shop 256KiB", "huge-record"),
        ("huge-record shop 2MiB", "huge-record"),
    ] {
        let run = told(&[("2s", action)]);
        assert!(run.verdict.faults.contains_key(kind), "{action}: {:?}", run.verdict.faults);
    }
}

#[test]
fn a_failure_that_an_fsync_tells_late_is_survived_by_writing_everything_again() {
    let run = told(&[
        ("2s", "disk-error broker(1) fsync-late once"),
        ("4s", "power-fail broker(1)"),
        ("5s", "restart broker(1)"),
    ]);
    assert!(run.verdict.budget.over.is_empty(), "{:?}", run.verdict.budget.over);
}

#[test]
fn damage_behind_the_brokers_back_is_over_budget_and_nothing_else_is_excused() {
    for action in [
        "wipe broker(1)",
        "bit-flip broker(1)",
        "disk-misdirects broker(1)",
        "disk-lies broker(1)",
        "truncate broker(1) at orders-0/00000000000000000000.log:200",
        "truncate broker(1) at orders-1/checkpoint:3",
    ] {
        let run = told(&[("2s", action), ("4s", "power-fail broker(1)"), ("5s", "restart broker(1)")]);
        assert!(!run.verdict.budget.over.is_empty(), "{action}");
        let excused = run.verdict.excused.iter();
        assert!(excused.clone().all(|e| !["H5", "H6", "H8", "H9"].contains(&&*e.check)), "{action}");
    }
}

#[test]
fn a_wiped_broker_comes_back_with_empty_logs() {
    let run = told(&[("4s", "wipe broker(1)"), ("5s", "restart broker(1)")]);
    let second_incarnation =
        facts(&run).filter(|(entry, _)| *entry.node == *"broker-1" && entry.incarnation == 2);
    let appended = second_incarnation.filter_map(|(_, fact)| match fact {
        Fact::Appended { base, .. } => Some(base.0),
        _ => None,
    });
    assert_eq!(appended.min(), Some(0));
}

#[test]
fn a_crash_at_the_third_append_comes_at_the_third_append() {
    let run = told(&[("2s", "crash broker(1) at append 3")]);
    let armed = run.history.iter().position(|e| matches!(&e.what, What::Fault(Injected::CrashArmed { .. })));
    let after = &run.history[armed.expect("it is stated")..];
    let death = after.iter().position(|e| matches!(&e.what, What::Fault(Injected::Kill { .. }))).unwrap();
    let appends = |entries: &[Entry]| {
        entries.iter().filter(|e| matches!(&e.what, What::Fact(Fact::Appended { .. }))).count()
    };
    assert_eq!(appends(&after[..death]), 3);
    let stated = after[..death].iter().rfind(|entry| !matches!(&entry.what, What::Seen(_)));
    assert!(matches!(&stated.expect("something").what, What::Fact(Fact::Appended { .. })));
}

#[test]
fn a_crash_in_the_recovery_comes_before_the_broker_is_registered() {
    let run =
        told(&[("2s", "kill broker(1)"), ("2s", "crash broker(1) at recovery"), ("3s", "restart broker(1)")]);
    assert!(run.verdict.faults.contains_key("crash-in-recovery"));
    let in_second_incarnation =
        |(entry, _): &(&Entry, &Fact)| *entry.node == *"broker-1" && entry.incarnation == 2;
    let kinds: Vec<_> = facts(&run).filter(in_second_incarnation).map(|(_, fact)| fact.kind()).collect();
    assert_eq!(kinds.last(), Some(&"log-recovered"), "{kinds:?}");
    assert!(!kinds.contains(&"broker-registered"), "{kinds:?}");
}

#[test]
fn a_stopped_broker_recovers_from_a_clean_stop() {
    let run = told(&[("2s", "stop broker(1)"), ("6s", "restart broker(1)")]);
    let clean = facts(&run)
        .any(|(_, fact)| matches!(fact, Fact::LogRecovered { clean: true, log_end, .. } if log_end.0 > 0));
    assert!(clean);
}

#[test]
fn a_changed_setting_holds_in_the_next_incarnation() {
    let rolled = |run: &Run| facts(run).filter(|(_, fact)| fact.kind() == "segment-rolled").count();
    let usual = told(&[("2s", "stop broker(1)"), ("4s", "restart broker(1)")]);
    let changed = told(&[
        ("1s", "configure broker(1) log.segment.bytes=1024"),
        ("2s", "stop broker(1)"),
        ("4s", "restart broker(1)"),
    ]);
    assert!(rolled(&changed) > rolled(&usual) + 3, "{} and {}", rolled(&changed), rolled(&usual));
}

#[test]
fn a_restarted_producer_goes_on_with_fresh_numbers() {
    let run = told(&[("2s", "kill shop"), ("3s", "restart shop")]);
    let of_shop = facts(&run).filter(|(entry, _)| *entry.node == *"shop");
    let sent = of_shop.filter_map(|(entry, fact)| match fact {
        Fact::SendInvoked { record, .. } => Some((entry.incarnation, record.label.clone())),
        _ => None,
    });
    let sent: Vec<_> = sent.collect();
    assert!(
        sent.iter().any(|(incarnation, _)| *incarnation == 1)
            && sent.iter().any(|(incarnation, _)| *incarnation == 2)
    );
    let labels: std::collections::BTreeSet<_> = sent.iter().map(|(_, label)| label).collect();
    assert_eq!(labels.len(), sent.len(), "no record was sent under an old number");
    assert!(sent.len() >= 490, "the new incarnation sends what is left: {}", sent.len());
}

#[test]
fn lasting_faults_end_when_they_were_to() {
    for (action, kind, ends) in [
        ("delay shop -> broker(1) 50ms for 3s", "delay", "prompt"),
        ("limit shop -> broker(1) to 8KiB/s for 3s", "bandwidth", "full-bandwidth"),
        ("hot-key shop for 3s", "hot-key", "usual-load"),
        ("refuse broker(1) for 3s", "connect-refused", "accept"),
        ("clock broker(1) +30s for 3s", "clock-bump", "clock-right"),
        ("watches-late broker(1) 500ms for 3s", "watches-late", "watches-prompt"),
        ("zookeeper-down for 3s", "quorum-lost", "quorum-back"),
        ("detach broker(1) for 3s", "detach", "rejoin"),
        ("zookeeper-lags for 3s", "server-lags", "server-caught-up"),
        ("idle shop for 3s", "idle", "usual-load"),
    ] {
        let run = told(&[("2s", action)]);
        let is_end = |fault: &Injected| {
            let json = serde_json::to_value(fault).expect("plain data");
            json["fault"] == ends
        };
        assert_eq!(lasted(&run, kind, is_end).as_millis(), 3_000, "{action}");
    }
}

#[test]
fn the_default_sweep_draws_every_kind_so_that_it_bites_within_400_seeds() {
    let sweep = Library::load().unwrap().named(SWEEP).unwrap();
    let options = RunOptions { without: Vec::new(), keep_trace: false, event_limit: 20_000_000 };
    let mut missing: BTreeSet<&str> = Injected::KINDS.iter().copied().collect();
    for seed in 0..400 {
        let verdict = run_seed(&sweep, seed, &options).verdict;
        assert_eq!(verdict.verdict, Outcome::Pass, "seed {seed}: {:#?}", verdict.violations);
        missing.retain(|kind| !verdict.faults.contains_key(*kind));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never drawn, or without effect: {missing:?}");
}

#[test]
fn damage_strikes_the_place_that_the_step_names() {
    let file = "/data/orders-0/00000000000000000000.log";
    let struck = |action: &str| {
        let run = told(&[("3s", action)]);
        faults(&run).map(|(_, fault)| fault.clone()).find(|fault| fault.kind().is_some())
    };
    let (target, file) = (|| "broker-1".into(), || file.into());
    let flipped = struck("bit-flip broker(1) at orders-0/00000000000000000000.log:137");
    assert_eq!(flipped, Some(Injected::BitFlip { target: target(), file: file(), offset: 137 }));
    let lost = struck("disk-sector-lost broker(1) at orders-0/00000000000000000000.log:137 for 2s");
    assert_eq!(lost, Some(Injected::DiskSectorLost { target: target(), file: file(), offset: 137 }));
    let cut_off = struck("truncate broker(1) at orders-0/00000000000000000000.log:137");
    assert_eq!(cut_off, Some(Injected::FileTruncated { target: target(), file: file(), length: 137 }));
}

#[test]
fn a_place_that_is_not_there_is_struck_by_nobody() {
    let run = told_with(3, &[("3s", "bit-flip broker(1) at orders-7/00000000000000000000.log:137")]);
    assert_eq!(run.verdict.verdict, Outcome::Vacuous, "{:#?}", run.verdict.vacuous);
}

#[test]
fn a_log_without_its_index_reads_the_same() {
    let setting = ("1s", "configure broker(1) log.segment.bytes=1024");
    let cut_off = ("6s", "truncate broker(1) at orders-0/00000000000000000000.index:1");
    let run = told(&[
        setting,
        ("1s", "kill broker(1)"),
        ("2s", "restart broker(1)"),
        cut_off,
        ("7s", "kill broker(1)"),
        ("8s", "restart broker(1)"),
    ]);
    assert!(run.verdict.faults.contains_key("file-truncated"));
    assert!(run.verdict.budget.over.is_empty(), "{:?}", run.verdict.budget);
}

#[test]
fn under_a_hot_key_everything_goes_to_one_partition() {
    let run = told(&[("2s", "hot-key shop for 3s")]);
    let began = faults(&run).find(|(_, fault)| fault.kind() == Some("hot-key")).expect("it is stated").0;
    let window = began + Duration::from_millis(200)..began + Duration::from_millis(2_900);
    let sent = facts(&run).filter(|(entry, _)| window.contains(&Duration::from_nanos(entry.at_ns)));
    let partitions: Vec<_> = sent
        .filter_map(|(_, fact)| match fact {
            Fact::SendInvoked { partition, .. } => Some(partition.to_string()),
            _ => None,
        })
        .collect();
    assert!(partitions.len() > 100, "{}", partitions.len());
    assert!(partitions.iter().all(|partition| *partition == partitions[0]), "{partitions:?}");
}

#[test]
fn sessions_survive_a_lost_quorum_and_a_storm_of_reconnects() {
    for action in ["zookeeper-down for 8s", "reconnect-storm"] {
        let run = told(&[("1s", action)]);
        let expired = facts(&run).any(|(_, fact)| matches!(fact, Fact::SessionExpired { .. }));
        assert!(!expired, "{action}");
    }
}

#[test]
fn a_topic_is_made_while_members_rebalance() {
    let text = r#"
format = 1
story  = "A topic appears."
[cluster]
brokers = 1
[topics.orders]
partitions = 2
[topics.late]
partitions = 1
created = "CREATED"
[producers.shop]
topic = "orders"
records = 500
rate = "50/s"
[groups.billing]
topics = ["orders", "late"]
consumers = 2
[[step]]
at = "3s"
do = "kill billing-1"
as = "gone"
[[step]]
at = "4s"
do = "restart gone"
"#;
    for created in ["2s rebalancing", "healing"] {
        let text = text.replace("CREATED", created);
        let scenario = Scenario::parse("late", "late.toml", &text).unwrap_or_else(|e| panic!("{e}"));
        let options = RunOptions { without: Vec::new(), keep_trace: false, event_limit: 20_000_000 };
        let run = run_seed(&scenario, 3, &options);
        let verdict = &run.verdict;
        assert_eq!(verdict.verdict, Outcome::Pass, "{:#?}", (&verdict.violations, &verdict.vacuous));
        let is_led =
            |fact: &Fact| matches!(fact, Fact::BecameLeader { partition, .. } if &*partition.topic == "late");
        let led = facts(&run).position(|(_, fact)| is_led(fact)).expect("it is made");
        let led_at = facts(&run).nth(led).expect("just found").0.at_ns;
        let rebalances = facts(&run).take(led).filter(|(_, fact)| fact.kind() == "rebalance-started");
        let since = led_at - rebalances.last().expect("its members came").0.at_ns;
        if created == "healing" {
            // Nobody looks for it any more, and it waits for that for its time.
            let is_healing = |e: &&Entry| matches!(&e.what, What::Phase(p) if p.phase == Phase::Heal);
            let healing = run.history.iter().find(is_healing).expect("it heals").at_ns;
            assert!(led_at > healing + 300_000_000, "{led_at} after {healing}");
        } else {
            assert!(since < 200_000_000 && led_at > 3_000_000_000, "{since} ns after a rebalance");
        }
    }
}

#[test]
fn an_idle_producer_sends_nothing_and_a_burst_sends_all() {
    let sent_in = |run: &Run, from_ms: u64, to_ms: u64| {
        let storm = run
            .history
            .iter()
            .find(|e| matches!(&e.what, What::Phase(p) if p.phase == seedlog_sim::history::Phase::Storm));
        let begin = storm.expect("it raged").at_ns / 1_000_000;
        let window = begin + from_ms..begin + to_ms;
        facts(run)
            .filter(|(e, f)| f.kind() == "send-invoked" && window.contains(&(e.at_ns / 1_000_000)))
            .count()
    };
    let idle = told(&[("2s", "idle shop for 3s")]);
    assert_eq!(sent_in(&idle, 2_200, 4_900), 0);
    let burst = told(&[("2s", "burst shop for 3s")]);
    assert!(sent_in(&burst, 2_000, 3_000) > 200, "{}", sent_in(&burst, 2_000, 3_000));
}

/// Rules that no story can prove to be needed yet, and why.
const RULES_WITHOUT_A_STORY: [(Rule, &str); 1] = [(
    Rule::RaiseLeaderEpochOnStart,
    "only followers, and leaders that were replaced, tell one epoch from the next: it takes replication",
)];

/// The scenarios themselves are run, with the rule and without it, by the test `scenarios`.
#[test]
fn every_rule_has_a_story_that_fails_without_it() {
    let library = Library::load().expect("every scenario file can be read");
    let needed = library.stories().iter().flat_map(|story| &story.expect.without);
    let proven: BTreeSet<Rule> = needed.map(|without| without.rule).collect();
    let excepted: BTreeSet<Rule> = RULES_WITHOUT_A_STORY.into_iter().map(|(rule, _)| rule).collect();
    let forgotten: Vec<_> =
        Rule::ALL.iter().filter(|rule| !proven.contains(rule) && !excepted.contains(rule)).collect();
    assert!(forgotten.is_empty(), "no story has `[[expect.without]]` for {forgotten:?}");
    assert!(proven.is_disjoint(&excepted), "these have a story by now: {:?}", proven.intersection(&excepted));
}
