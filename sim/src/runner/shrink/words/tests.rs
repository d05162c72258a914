//! Every fault, written and read again: the step does what the fault did.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use seedlog::runtime::sim::world::Death;
use seedlog::types::{BrokerId, SessionId, TopicPartition};

use super::*;
use crate::scenario::{Action, CrashPoint, Place, Selector, parse_action};

const FILE: &str = "/data/orders-0/00000000000000000017.log";

fn broker() -> Arc<str> {
    "broker-1".into()
}

fn shop() -> Arc<str> {
    "shop".into()
}

fn zookeeper() -> Arc<str> {
    ZOOKEEPER.into()
}

fn b() -> Selector {
    Selector::Broker(BrokerId(1))
}

fn s() -> Selector {
    Selector::Named("shop".into())
}

fn place() -> Option<Place> {
    Some(Place { file: "orders-0/00000000000000000017.log".into(), offset: 137 })
}

/// Faults of processes and machines, and the actions that do the same.
fn of_processes() -> Vec<(Injected, Action)> {
    let armed = |point: &str, power_failure| Injected::CrashArmed {
        target: broker(),
        point: point.into(),
        nth: 2,
        power_failure,
    };
    let crash = |point, death| Action::Crash { target: b(), point, nth: 2, death };
    let fact = |kind: &str| CrashPoint::Fact(kind.to_owned());
    let configured = Injected::Reconfigure {
        target: broker(),
        key: "log.segment.bytes".into(),
        value: toml::Value::Integer(4096).to_string().into(),
    };
    let key = "log.segment.bytes".to_owned();
    let configure = Action::Configure { target: b(), key, value: toml::Value::Integer(4096) };
    vec![
        (Injected::Kill { target: broker() }, Action::Kill(b())),
        (Injected::Kill { target: zookeeper() }, Action::Kill(Selector::ZooKeeper)),
        (Injected::Kill { target: shop() }, Action::Kill(s())),
        (Injected::PowerFailure { target: broker() }, Action::PowerFail(b())),
        (Injected::PowerFailure { target: zookeeper() }, Action::PowerFail(Selector::ZooKeeper)),
        (Injected::PowerFailure { target: shop() }, Action::PowerFail(s())),
        (Injected::Pause { target: broker() }, Action::Pause { target: b(), lasting: None }),
        (Injected::Suspend { target: broker() }, Action::Suspend { target: b(), lasting: None }),
        (
            Injected::FewDescriptors { target: broker(), left: 3 },
            Action::FewDescriptors { target: b(), left: 3, lasting: None },
        ),
        (Injected::Stop { target: broker() }, Action::Stop(b())),
        (Injected::Stop { target: shop() }, Action::Stop(s())),
        (
            Injected::RollingRestart { target: broker(), every_ms: 1_250 },
            Action::RollingRestart { every: Duration::from_millis(1_250) },
        ),
        (Injected::Wipe { target: broker() }, Action::Wipe(b())),
        (armed("appended", true), crash(fact("appended"), Death::PowerFailure)),
        (armed("log-recovered", false), crash(fact("log-recovered"), Death::Kill)),
        (armed("fsync", false), crash(CrashPoint::Disk(DiskOperation::Fsync), Death::Kill)),
        (configured, configure),
    ]
}

fn of_the_network() -> Vec<(Injected, Action)> {
    let refuse = |how| {
        (Injected::Refuse { target: broker(), how }, Action::Refuse { target: b(), how, lasting: None })
    };
    vec![
        (
            Injected::Cut { from: shop(), to: broker() },
            Action::Cut { from: s(), to: b(), both_ways: false, lasting: None },
        ),
        (Injected::Reset { a: shop(), b: broker() }, Action::Reset { a: s(), b: b() }),
        (Injected::ResetOneEnd { of: shop(), with: broker() }, Action::ResetOneEnd { of: s(), with: b() }),
        (
            Injected::Delay { from: shop(), to: broker(), floor_ms: 0, mean_ms: 40 },
            Action::Delay {
                from: s(),
                to: b(),
                both_ways: false,
                by: Duration::ZERO,
                mean: Duration::from_millis(40),
                lasting: None,
            },
        ),
        (
            Injected::Bandwidth { from: shop(), to: broker(), bytes_per_second: 2048 },
            Action::Limit { from: s(), to: b(), bytes_per_second: 2048, lasting: None },
        ),
        (
            Injected::Stall { a: shop(), b: broker(), connections: 2 },
            Action::Stall { a: s(), b: b(), connections: Some(2), lasting: None },
        ),
        (Injected::Drop { a: shop(), b: zookeeper() }, Action::Drop { a: s(), b: Selector::ZooKeeper }),
        refuse(Refusal::Refused),
        refuse(Refusal::Unanswered),
        refuse(Refusal::Late),
    ]
}

fn of_disks() -> Vec<(Injected, Action)> {
    let file: Arc<str> = FILE.into();
    let mut all = vec![
        (
            Injected::DiskFull { target: broker(), free_bytes: 0 },
            Action::DiskFull { target: b(), free_bytes: 0, lasting: None },
        ),
        (
            Injected::DiskFull { target: broker(), free_bytes: 1500 },
            Action::DiskFull { target: b(), free_bytes: 1500, lasting: None },
        ),
        (
            Injected::DiskHangs {
                target: broker(),
                operation: Some(DiskOperation::Write),
                file: Some("orders-0/17.log".into()),
            },
            Action::DiskHangs {
                target: b(),
                operation: Some(DiskOperation::Write),
                file: Some("orders-0/17.log".to_owned()),
                lasting: None,
            },
        ),
        (
            Injected::DiskHangs { target: broker(), operation: None, file: None },
            Action::DiskHangs { target: b(), operation: None, file: None, lasting: None },
        ),
        (Injected::DiskLies { target: broker() }, Action::DiskLies { target: b(), lasting: None }),
        (Injected::DiskMisdirects { target: broker() }, Action::DiskMisdirects(b())),
        (
            Injected::DiskSectorLost { target: broker(), file: file.clone(), offset: 137 },
            Action::DiskSectorLost { target: b(), at: place(), lasting: None },
        ),
        (
            Injected::BitFlip { target: broker(), file: file.clone(), offset: 137 },
            Action::BitFlip { target: b(), at: place() },
        ),
        (
            Injected::BitRot { target: broker(), file: file.clone(), offset: 137 },
            Action::BitRot { target: b(), at: place() },
        ),
        (
            Injected::FileTruncated { target: broker(), file, length: 137 },
            Action::Truncate { target: b(), at: place() },
        ),
    ];
    for (_, operation, failure) in DISK_FAILURES {
        for (one_in, errno) in
            [0, 1, 4].into_iter().flat_map(|n| operation.errnos().iter().map(move |e| (n, *e)))
        {
            all.push((
                Injected::DiskError { target: broker(), operation, failure, errno, one_in },
                Action::DiskError { target: b(), operation, failure, errno, one_in, lasting: None },
            ));
        }
    }
    for stalls in [false, true] {
        all.push((
            Injected::DiskSlow { target: broker(), factor: 100, stalls },
            Action::DiskSlow { target: b(), factor: 100, stalls, lasting: None },
        ));
    }
    all
}

fn of_clocks_and_zookeeper() -> Vec<(Injected, Action)> {
    vec![
        (
            Injected::ClockBump { target: broker(), by_ms: -288_000 },
            Action::ClockBump { target: b(), by_ms: -288_000, lasting: None },
        ),
        (
            Injected::ClockDrift { target: shop(), ppm: 500 },
            Action::ClockDrift { target: s(), ppm: 500, lasting: None },
        ),
        (
            Injected::MonotonicDrift { target: broker(), ppm: -500 },
            Action::MonotonicDrift { target: b(), ppm: -500, lasting: None },
        ),
        (
            Injected::TimersLate { target: shop(), grid_ms: 250 },
            Action::TimersLate { target: s(), grid: Duration::from_millis(250), lasting: None },
        ),
        (Injected::ExpireSession { target: broker(), session: SessionId(1) }, Action::Expire(b())),
        (Injected::LoseReply { target: shop(), session: SessionId(1) }, Action::LoseReply(s())),
        (Injected::LoseRegistration { target: shop() }, Action::LoseRegistration(s())),
        (
            Injected::WatchesLate { target: broker(), session: SessionId(1), millis: 300 },
            Action::WatchesLate { target: b(), by: Duration::from_millis(300), lasting: None },
        ),
        (
            Injected::OffsetGarbled {
                target: zookeeper(),
                group: "billing".into(),
                partition: TopicPartition::new("orders", 0),
                millis: 1500,
            },
            Action::GarbleOffset {
                group: "billing".to_owned(),
                partition: TopicPartition::new("orders", 0),
                lasting: Duration::from_millis(1500),
            },
        ),
        (
            Injected::RegistryBreaks {
                target: zookeeper(),
                below: "/brokers".into(),
                answered: 2,
                broken: 3,
                applies: false,
                reads: false,
            },
            Action::BreakOff {
                below: "/brokers".into(),
                answered: 2,
                broken: 3,
                applies: false,
                reads: false,
            },
        ),
        (
            Injected::CutShort { target: broker(), session: SessionId(1), answered: 2, broken: 3 },
            Action::CutShort { target: b(), answered: 2, broken: 3 },
        ),
        (
            Injected::Detach { target: broker(), session: SessionId(1), reaches_others: true },
            Action::Detach { target: b(), reaches_others: true, lasting: None },
        ),
        (Injected::ServerLags { target: zookeeper() }, Action::ServerLags { lasting: None }),
        (Injected::ReconnectStorm { target: zookeeper() }, Action::ReconnectStorm),
        (Injected::QuorumLost { target: zookeeper() }, Action::QuorumLost { lasting: None }),
    ]
}

fn of_the_load() -> Vec<(Injected, Action)> {
    vec![
        (Injected::Idle { target: shop() }, Action::Idle { target: s(), lasting: None }),
        (Injected::Burst { target: shop() }, Action::Burst { target: s(), lasting: None }),
        (Injected::HotKey { target: shop() }, Action::HotKey { target: s(), lasting: None }),
        (
            Injected::HugeRecord { target: shop(), bytes: 1_000_000 },
            Action::HugeRecord { target: s(), bytes: 1_000_000 },
        ),
        (
            Injected::Slow { target: shop(), factor: 10 },
            Action::Slow { target: s(), factor: 10, lasting: None },
        ),
    ]
}

#[test]
fn every_kind_of_fault_is_read_as_it_was_written() {
    let mut written = BTreeSet::new();
    let all = [of_processes(), of_the_network(), of_disks(), of_clocks_and_zookeeper(), of_the_load()];
    for (injected, action) in all.into_iter().flatten() {
        let words = of(&injected).expect("it is a fault");
        assert_eq!(parse_action(&words), Ok(action), "{words}");
        written.extend(injected.kind());
    }
    // A strobe has no words without its end.
    let strobe = Injected::ClockStrobe { target: broker(), by_ms: 20 };
    let words = format!("{} for 2s", of(&strobe).expect("it is a fault"));
    let lasting = Duration::from_secs(2);
    assert_eq!(parse_action(&words), Ok(Action::ClockStrobe { target: b(), by_ms: 20, lasting }));
    written.extend(strobe.kind());
    let all: BTreeSet<_> = Injected::KINDS.iter().copied().collect();
    assert_eq!(written, all, "a kind of fault has no words, or is missing in this test");
}

#[test]
fn the_end_of_a_fault_has_no_words() {
    assert_eq!(of(&Injected::Mend { from: shop(), to: broker() }), None);
    assert_eq!(of(&Injected::FullBandwidth { from: shop(), to: broker() }), None);
}
