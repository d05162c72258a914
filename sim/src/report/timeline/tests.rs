use std::collections::BTreeSet;

use seedlog::facts::Fact;
use seedlog::runtime::sim::net::messages::Message;
use seedlog::types::{BrokerId, LeaderEpoch, Offset, SessionId, TopicPartition};

use super::bands::Lasting;
use super::model::{CATEGORIES, MARKS_MAX};
use super::*;
use crate::history::{DiskOperation, Entered, Entry, Errno, Failure, Injected, Phase, What};
use crate::report::{Outcome, Verdict, Violation, evidence_line};

fn entry(at_ms: u64, node: &str, what: What) -> Entry {
    Entry { at_ns: at_ms * 1_000_000, node: node.into(), incarnation: 1, what }
}

fn fault(at_ms: u64, fault: Injected) -> Entry {
    entry(at_ms, "testbed", What::Fault(fault))
}

fn fact(at_ms: u64, node: &str, fact: Fact) -> Entry {
    entry(at_ms, node, What::Fact(fact))
}

fn orders() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

fn appended(at_ms: u64, last: i64) -> Entry {
    let (base, last) = (Offset(last), Offset(last));
    let (broker, epoch) = (BrokerId(2), LeaderEpoch(1));
    fact(at_ms, "broker-2", Fact::Appended { broker, partition: orders(), epoch, base, last, crc: 1 })
}

fn owned(at_ms: u64, member: &str) -> Entry {
    let owned = Fact::PartitionOwned {
        group: "billing".into(),
        consumer: member.into(),
        partition: orders(),
        stream: 0,
        session: SessionId(7),
    };
    fact(at_ms, member, owned)
}

fn joined(at_ms: u64, member: &str) -> Entry {
    let subscription = [("orders".to_owned(), 1)].into();
    let joined = Fact::GroupJoined {
        group: "billing".into(),
        consumer: member.into(),
        session: SessionId(7),
        subscription,
    };
    fact(at_ms, member, joined)
}

fn draw_with(history: &[Entry], messages: &[Message], verdict: &Verdict) -> Picture {
    picture(&Scene { verdict, history, messages, replay: "cargo sim replay x@1", necessary: &[] })
}

fn draw(history: &[Entry]) -> Picture {
    draw_with(history, &[], &Verdict::empty("x", 1))
}

fn message(sent_ms: u64, asks: bool, head: &[u8]) -> Message {
    let (from, to) = if asks { ("shop", "broker-1") } else { ("broker-1", "shop") };
    Message {
        sent_ns: sent_ms * 1_000_000,
        read_ns: asks.then_some((sent_ms + 3) * 1_000_000),
        from: from.into(),
        to: to.into(),
        connection: 4,
        is_from_connector: asks,
        port: 9092,
        bytes: 99,
        head: head.to_vec(),
    }
}

#[test]
fn lanes_go_from_those_who_write_to_those_who_coordinate() {
    let session = |node: &str| fact(1, node, Fact::SessionOpened { session: SessionId(1) });
    let history = [
        session("zookeeper"),
        appended(1, 0),
        session("broker-10"),
        session("probe"),
        joined(2, "billing-2"),
        joined(2, "billing-1"),
    ];
    let lanes: Vec<String> = draw(&history).lanes.into_iter().map(|lane| lane.label).collect();
    let expected = ["billing-1", "billing-2", "broker 2", "disk", "broker 10", "disk", "zookeeper", "probe"];
    assert_eq!(lanes, expected);
}

#[test]
fn a_fault_lasts_until_its_end_and_what_never_ends_until_the_run_does() {
    let target = || "broker-2".into();
    let history = [
        fault(10, Injected::Cut { from: "shop".into(), to: target() }),
        fault(
            20,
            Injected::DiskError {
                target: target(),
                operation: DiskOperation::Fsync,
                failure: Failure::Plain,
                errno: Errno::Eio,
                one_in: 1,
            },
        ),
        fault(30, Injected::Pause { target: target() }),
        fault(40, Injected::PowerFailure { target: target() }),
        fault(50, Injected::Mend { from: "shop".into(), to: target() }),
        fault(60, Injected::Start { target: target() }),
        fault(70, Injected::Reset { a: "shop".into(), b: target() }),
    ];
    let picture = draw(&history);
    let bands: Vec<_> =
        picture.bands.iter().map(|band| (band.kind, band.from / 1000, band.until / 1000)).collect();
    let expected =
        [(Lasting::Cut, 10, 50), (Lasting::Disk, 20, 70), (Lasting::Paused, 30, 40), (Lasting::Down, 40, 60)];
    assert_eq!(bands, expected);
    assert_eq!(picture.bands[0].other, Some(1), "a cut is seen at both of its ends");
    assert_eq!(picture.bands[1].lane, 2, "the disk's trouble stands on the disk's lane");
}

#[test]
fn a_dead_member_owns_nothing() {
    let history = [
        joined(1, "billing-1"),
        owned(10, "billing-1"),
        fault(30, Injected::Kill { target: "billing-1".into() }),
        owned(40, "billing-2"),
        fault(50, Injected::Resume { target: "billing-2".into() }),
    ];
    let picture = draw(&history);
    let owned: Vec<_> = picture.owned.iter().map(|owned| (owned.from / 1000, owned.until / 1000)).collect();
    assert_eq!(owned, [(10, 30), (40, 50)]);
}

#[test]
fn a_log_that_recovers_shorter_than_it_was_is_a_line_that_falls() {
    let recovered = Fact::LogRecovered {
        broker: BrokerId(2),
        partition: orders(),
        clean: false,
        log_start: Offset(0),
        log_end: Offset(1),
        bytes_cut: 60,
    };
    let picture = draw(&[appended(1, 0), appended(2, 1), fact(9, "broker-2", recovered)]);
    let stored = picture.lines.iter().find(|line| line.end.len() == 3).unwrap();
    assert_eq!(stored.end, [1, 2, 1]);
    assert_eq!(stored.time, [1000, 1000, 7000], "each since the one before");
}

#[test]
fn replies_are_named_by_their_requests() {
    let messages = [
        message(1, true, &[0, 0, 0, 9, 0, 0, 0, 5]),
        message(9, false, &[0, 0, 0, 5, 0, 0, 0, 0]),
        message(10, false, &[0, 0, 0, 6, 0, 0, 0, 0]),
        message(11, true, &[]),
    ];
    let picture = draw_with(&[appended(20, 0)], &messages, &Verdict::empty("x", 1));
    let kinds: Vec<&str> = picture.arrows.kind.iter().map(|kind| &*picture.strings[*kind]).collect();
    assert_eq!(kinds, ["Produce", "Produce reply", "message", "message"]);
    assert_eq!(picture.arrows.took, [3000, -1, -1, 3000], "what nobody read took for ever");
}

fn violated(history: &[Entry], proof: &[usize]) -> Verdict {
    let mut verdict = Verdict::empty("x", 1);
    verdict.verdict = Outcome::Violation;
    verdict.violations.push(Violation {
        check: "H3".into(),
        slug: "lost-write".into(),
        message: "gone".into(),
        evidence: proof.iter().map(|&index| evidence_line(&history[index])).collect(),
        faults: BTreeSet::new(),
    });
    verdict
}

#[test]
fn evidence_is_lit_and_the_violation_pinned_where_it_was_noticed() {
    let phase = entry(0, "testbed", What::Phase(Entered { phase: Phase::Storm }));
    let history = [phase, appended(1, 0), appended(2, 1), appended(3, 2)];
    let mut verdict = violated(&history, &[1, 3]);
    verdict.violations[0].evidence.push("nobody said this".into());
    let told = draw_with(&history, &[], &verdict).story.violations.remove(0);
    let marks: Vec<i64> = told.evidence.iter().map(|(_, mark)| *mark).collect();
    assert_eq!(marks, [0, 2, -1], "a phase has no mark, and an unknown line none either");
    assert_eq!(told.at, Some(3000));
}

#[test]
fn of_a_run_that_is_too_long_the_evidence_and_what_led_to_it_are_kept() {
    let last = MARKS_MAX + 5000;
    let mut history: Vec<Entry> = (0..last).map(|n| appended(n as u64, n as i64)).collect();
    history.insert(2, fault(2, Injected::Kill { target: "broker-2".into() }));
    let verdict = violated(&history, &[3, last - 9]);
    let picture = draw_with(&history, &[], &verdict);
    let count = picture.marks.time.len();
    assert!(count <= MARKS_MAX && count > MARKS_MAX * 9 / 10, "{count}");
    assert_eq!(picture.left_out.0, history.len() - count);
    assert!(picture.story.violations[0].evidence.iter().all(|(_, mark)| *mark >= 0));
    let kill = CATEGORIES.iter().position(|category| *category == "fault").unwrap();
    assert!(picture.marks.category.contains(&kill), "faults are kept wherever they are");
}

#[test]
fn no_text_of_a_history_becomes_markup() {
    let evil = "</script><script>alert(1)</script><!-- %%data%% \u{2028} &amp;";
    let history = [fact(1, "broker-2", Fact::LogDirFailed { broker: BrokerId(2), reason: evil.to_owned() })];
    let mut verdict = violated(&history, &[0]);
    verdict.scenario = evil.to_owned();
    let page =
        page(&Scene { verdict: &verdict, history: &history, messages: &[], replay: evil, necessary: &[] });
    assert_eq!(page.matches("</script>").count(), 2, "the data's end and the code's");
    assert_eq!(page.matches("<script").count(), 2);
    assert!(!page.contains("<!-- "));
    let data = page.split(r#"<script id="run" type="application/json">"#).nth(1).unwrap();
    let data = data.split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["title"]["scenario"], evil, "and nothing is lost");
}

#[test]
fn the_page_asks_nobody_for_anything() {
    let page = page(&Scene {
        verdict: &Verdict::empty("x", 1),
        history: &[],
        messages: &[],
        replay: "cargo sim replay x@1",
        necessary: &[],
    });
    assert!(page.contains("default-src 'none'"));
    for asks in ["http:", "https:", "src=", "href=", "fetch(", "XMLHttpRequest", "import(", "@import", "url("]
    {
        assert!(!page.contains(asks), "{asks}");
    }
}

/// The words between the head of a table in the page's script and its end, one of each line.
fn keys_of_the_page(head: &str) -> BTreeSet<String> {
    let script = include_str!("page/data.js");
    let table = script.split_once(head).expect("the table").1;
    let table = table.split_once("\n};").expect("its end").0;
    table.lines().filter_map(|line| line.trim().split_once(':')).map(|(key, _)| key.to_owned()).collect()
}

/// The names by which an enum of words alone is written.
fn words_of<T: schemars::JsonSchema>() -> BTreeSet<String> {
    let schema = schemars::schema_for!(T).to_value();
    let alone = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten();
    let all = described.flat_map(|one| one["enum"].as_array().into_iter().flatten().chain(one.get("const")));
    all.chain(alone).map(|word| word.as_str().expect("a word").to_owned()).collect()
}

/// The page stops at a kind that it does not know.
#[test]
fn the_page_has_words_for_every_kind_of_band_and_of_mark() {
    let bands = words_of::<Lasting>();
    assert!(bands.len() > 10, "{bands:?}");
    assert_eq!(keys_of_the_page("const BANDS = {"), bands);
    assert_eq!(keys_of_the_page("const LOOKS = {"), CATEGORIES.map(str::to_owned).into());
}
