//! What is read as it is written, and what is refused with what would be right.

use seedlog::types::TopicPartition;

use super::*;
use crate::scenario::Selector;

fn broker(id: i32) -> Selector {
    Selector::Broker(BrokerId(id))
}

#[test]
fn the_page_on_scenario_files_names_every_action() {
    let page = include_str!("../../../../../docs/scenario-files.md");
    let verbs = FORMS.split(", ").map(|form| form.split(' ').next().expect("a form begins with its verb"));
    let missing: Vec<&str> = verbs.filter(|verb| !page.contains(&format!("`{verb}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn actions_are_read_as_written() {
    assert_eq!(parse("kill broker(1)"), Ok(Action::Kill(broker(1))));
    assert_eq!(parse("kill broker:1"), Ok(Action::Kill(broker(1))));
    assert_eq!(
        parse("power-fail leader(orders-0)"),
        Ok(Action::PowerFail(Selector::Leader(TopicPartition::new("orders", 0))))
    );
    let lasting = Some(Duration::from_secs(3));
    assert_eq!(
        parse("cut client(shop) -> broker(1) for 3s"),
        Ok(Action::Cut { from: Selector::Named("shop".into()), to: broker(1), both_ways: false, lasting })
    );
    assert_eq!(
        parse("disk-slow any x100"),
        Ok(Action::DiskSlow { target: Selector::Any, factor: 100, stalls: false, lasting: None })
    );
}

const ACTIONS: &[&str] = &[
    "stop broker(1)",
    "leave member(billing)",
    "join billing-1",
    "wipe broker(1)",
    "rolling-restart 2s",
    "crash broker(1) at append 3",
    "power-crash broker(1) at fsync",
    "crash billing-1 at partition-owned",
    "configure broker(1) log.segment.bytes=4096",
    "isolate broker(1) for 2s",
    "split for 3s",
    "delay shop -> broker(1) 50ms for 2s",
    "delay shop | broker(1) 50ms",
    "delay shop | broker(1) 50ms + 20ms for 1s",
    "limit shop -> broker(1) to 64KiB/s for 5s",
    "limit broker:* -> client:* to 500B/s",
    "stall shop | broker(1) 2",
    "disk-error broker(1) short-write 1/4 for 2s",
    "disk-error broker(1) fsync-reverts once",
    "disk-error broker(1) fsync ENOSPC once",
    "disk-error broker(1) open ENFILE 1/4 for 2s",
    "disk-error broker(1) unlink EROFS",
    "disk-full broker(1) leaving 1KiB for 2s",
    "bit-rot broker(1)",
    "bit-rot broker(1) at orders-0/00000000000000000000.log:137",
    "power-crash broker(1) at mkdir 2",
    "disk-slow broker(1) x10 stalling for 2s",
    "bit-flip broker(1) at orders-0/00000000000000000000.log:137",
    "disk-sector-lost broker(1) at orders-0/00000000000000000000.log:0 for 2s",
    "truncate broker(1)",
    "truncate broker(1) at orders-0/checkpoint:3",
    "hot-key shop for 2s",
    "huge-record shop 256KiB",
    "stall shop | broker(1) for 1s",
    "drop shop | broker(1)",
    "refuse zookeeper for 2s",
    "ignore-connects broker(1)",
    "accept-late broker(1) for 5s",
    "disk-lies broker(1)",
    "disk-misdirects broker(1)",
    "disk-sector-lost broker(1) for 2s",
    "bit-flip broker(1)",
    "clock broker(1) +30s for 2s",
    "clock broker(1) -11ms",
    "clock broker(1) +500ppm",
    "strobe broker(1) +200ms for 3s",
    "monotonic broker(1) -500ppm for 3s",
    "timers-late shop 100ms for 3s",
    "suspend broker(1) for 8s",
    "few-descriptors broker(1) 3 for 2s",
    "reset shop -> broker(1)",
    "lose-reply broker(1)",
    "lose-reply billing-2 at registration",
    "watches-late broker(1) 500ms for 4s",
    "cut-short broker(1) after 2 times 3",
    "break-off /consumers/billing/offsets after 2 times 3",
    "garble-offset billing orders-0 for 3s",
    "break-off /brokers/ids after 0 times 1 unmade",
    "disk-hang broker(1) for 3s",
    "disk-hang broker(1) write for 3s",
    "disk-hang broker(1) everything",
    "disk-hang broker(1) read at orders-0/00000000000000000000.log",
    "disk-hang broker(1) at orders-0/00000000000000000000.log",
    "detach broker(1) for 4s",
    "detach broker(1) reaching others for 4s",
    "rejoin broker(1)",
    "zookeeper-lags for 4s",
    "reconnect-storm",
    "zookeeper-down for 4s",
    "idle shop for 2s",
    "burst shop for 2s",
    "slow billing-1 x10 for 4s",
];

#[test]
fn every_form_is_read() {
    for text in ACTIONS {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
    }
}

#[test]
fn what_is_no_action_is_refused_with_what_would_be_right() {
    for (text, hint) in [
        ("kil broker(1)", "`kil` is no action; did you mean `kill`? It is written as `kill WHO`"),
        ("kill", "kill WHO"),
        ("kill broker(0)", "`broker(1)`"),
        ("kill brokr(1)", "did you mean `broker`?"),
        ("restart old for 2s", "no action that lasts; write it as `restart WHO`"),
        ("pause broker(1) for ever", "`4s`"),
        ("disk-slow any 100", "`x100`"),
        ("disk-error any stat", "fsync"),
        ("disk-error any read ENOSPC", "there are EIO"),
        ("disk-error any read EPERM once", "`EPERM` is no error"),
        ("disk-error any fsync-revert", "did you mean `fsync-reverts`?"),
        ("disk-error any fsync twice", "`1/4`"),
        ("disk-slow any x10 stallin", "[stalling]"),
        ("break-off offsets after 0 times 1", "no path"),
        ("break-off /a after 0 times 1 made", "`unmade`"),
        ("disk-hang any at ../x", "no file of a log"),
        ("disk-hang any short-write", "no operation of a disk that may hang"),
        ("limit shop -> any 64KiB/s", "limit WHO -> WHO to BYTES/s [for TIME]"),
        ("limit shop | any to 64KiB/s", "limit WHO -> WHO to BYTES/s [for TIME]"),
        ("limit shop -> any to 64", "`64KiB/s`"),
        ("limit shop -> any to 0B/s", "`64KiB/s`"),
        ("limit shop -> any to 64KiB/s for ever", "`4s`"),
        ("truncate any orders-0", "`at orders-0/00000000000000000000.log:137`"),
        ("truncate any at ../meta.properties:3", "`at orders-0/00000000000000000000.log:137`"),
        ("bit-flip any at orders-0/checkpoint", "`at orders-0/00000000000000000000.log:137`"),
        ("huge-record shop lots", "`64KiB`"),
        ("stall shop | any 0", "`stall shop | any 2`"),
        ("crash any at lunch", "recovery"),
        ("crash any at append 0", "`at append 3`"),
        ("configure any log.segment.byte=4", "log.segment.bytes"),
        ("clock any 30s", "`+30s`"),
        ("clock any +xppm", "`+500ppm`"),
        ("strobe any +1s", "`for 4s`"),
        ("monotonic any +1s", "`+500ppm`"),
        ("few-descriptors any few", "`few-descriptors broker(1) 3`"),
        ("kill leader(orders)", "`leader(orders-0)`"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(hint), "{text}: {error}");
    }
}
