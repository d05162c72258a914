//! `timeline.html` in a real browser: a run that failed, and a page of 20,000 events.
#![allow(clippy::disallowed_methods)] // A browser is outside of any simulation.

mod driver;

use std::path::PathBuf;

use seedlog::facts::{Fact, RecordTag};
use seedlog::rules::Rule;
use seedlog::runtime::sim::net::messages::Message;
use seedlog::types::{Acks, BrokerId, LeaderEpoch, Offset, TopicPartition};
use seedlog_sim::history::{Entered, Entry, Injected, Phase, What};
use seedlog_sim::phases::{self, RunOptions};
use seedlog_sim::report::timeline::{self, Scene};
use seedlog_sim::report::{Outcome, Verdict, Violation, evidence_line};
use seedlog_sim::runner::EVENT_LIMIT;
use seedlog_sim::scenario::library::built_in_sweep;

use driver::{Browser, have_browser};

const READY_MS_MAX: f64 = 2000.0;
const BYTES_MAX: usize = 10 << 20;
const SEEDS_TRIED_MAX: u64 = 300;

/// Where pages and screenshots are left for people to look at.
fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("timeline");
    std::fs::create_dir_all(&folder).expect("a folder below target/");
    folder
}

/// The page of the first seed that loses an acked record because acks come before the append.
fn page_of_a_lost_write() -> String {
    let scenario = built_in_sweep();
    let options =
        RunOptions { without: vec![Rule::AppendBeforeAck], keep_trace: true, event_limit: EVENT_LIMIT };
    let lost =
        (0..SEEDS_TRIED_MAX).map(|seed| phases::run_seed(&scenario, seed, &options)).find_map(|mut run| {
            let nth = run.verdict.violations.iter().position(|violation| violation.slug == "lost-write")?;
            run.verdict.violations.swap(0, nth);
            Some(run)
        });
    let run = lost.expect("the sweep finds the suspended rule");
    assert!(!run.messages.is_empty(), "everything was kept");
    let (verdict, history, messages) = (&run.verdict, &run.history, &run.messages);
    timeline::page(&Scene { verdict, history, messages, replay: "cargo sim replay sweep@1", necessary: &[] })
}

/// Events of the large page.
const LARGE_EVENTS: u64 = 20_000;

/// 20,000 events of 3 brokers and 8 clients, and as many messages; one label tries to break out.
fn large_page() -> String {
    let history = large_history();
    let messages: Vec<Message> = (0..LARGE_EVENTS).map(message).collect();
    let mut verdict = Verdict::empty("large", u64::MAX);
    verdict.verdict = Outcome::Violation;
    verdict.violations.push(Violation {
        check: "H3".into(),
        slug: "lost-write".into(),
        message: "orders-0@17 </script><script>throw 1</script> was lost".into(),
        evidence: [9_000, 10_003, 11_002].iter().map(|&n: &usize| evidence_line(&history[n])).collect(),
        faults: Default::default(),
    });
    timeline::page(&Scene {
        verdict: &verdict,
        history: &history,
        messages: &messages,
        replay: "cargo sim replay large@1",
        necessary: &[],
    })
}

fn large_history() -> Vec<Entry> {
    let partition = |n: u64| TopicPartition::new("orders", (n % 12) as i32);
    let entry =
        |n: u64, node: String, what| Entry { at_ns: n * 1_500_000, node: node.into(), incarnation: 1, what };
    let mut history = vec![entry(0, "testbed".into(), What::Phase(Entered { phase: Phase::Storm }))];
    for n in 1..LARGE_EVENTS {
        let (producer, broker, reader) = (format!("shop-{}", n % 4), n % 3 + 1, format!("billing-{}", n % 4));
        let offset = Offset(n as i64 / 60);
        let record =
            RecordTag { value: n as u32, label: format!("</script><b>{n}</b>"), ..RecordTag::default() };
        history.push(match n % 5 {
            0 => entry(
                n,
                producer.clone(),
                What::Fact(Fact::SendInvoked {
                    producer,
                    seq: n,
                    partition: partition(n),
                    record,
                    acks: Acks::All,
                }),
            ),
            1 => entry(
                n,
                format!("broker-{broker}"),
                What::Fact(Fact::Appended {
                    broker: BrokerId(broker as i32),
                    partition: partition(n),
                    epoch: LeaderEpoch(1),
                    base: offset,
                    last: offset,
                    crc: n as u32,
                }),
            ),
            2 => entry(
                n,
                producer.clone(),
                What::Fact(Fact::SendOk { producer, seq: n, partition: partition(n), offset: Some(offset) }),
            ),
            3 if n % 500 == 3 => entry(
                n,
                "testbed".into(),
                What::Fault(if n % 1000 == 3 {
                    Injected::Kill { target: format!("broker-{broker}").into() }
                } else {
                    Injected::Start { target: "broker-2".into() }
                }),
            ),
            _ => entry(
                n,
                reader.clone(),
                What::Fact(Fact::Delivered { consumer: reader, partition: partition(n), offset, record }),
            ),
        });
    }
    history
}

fn message(n: u64) -> Message {
    Message {
        sent_ns: n * 1_500_000,
        read_ns: (!n.is_multiple_of(97)).then_some(n * 1_500_000 + 4_000_000),
        from: format!("shop-{}", n % 4).into(),
        to: format!("broker-{}", n % 3 + 1).into(),
        connection: n % 12,
        is_from_connector: true,
        port: 9092,
        bytes: 300,
        head: vec![0, 0, 0, 7, 0, 0, 0, n as u8],
    }
}

/// Opens the page, times it, works it with keys and clicks, and takes its pictures.
fn look_at(browser: &Browser, name: &str, page: &str) {
    assert!(page.len() < BYTES_MAX, "{name}: {} bytes", page.len());
    let file = folder().join(format!("{name}.html"));
    std::fs::write(&file, page).expect("the page is written");
    browser.prefer("light");
    browser.open(&file);
    let number =
        |script: &str| browser.evaluate(script).as_f64().unwrap_or_else(|| panic!("{name}: {script}"));
    let ready_ms = number("return window.seedlog.readyMs");
    assert!(ready_ms < READY_MS_MAX, "{name}: first drawn after {ready_ms} ms");
    browser.screenshot(&folder().join(format!("{name}-light.png")));
    let events = number("return seedlog.run.marks.count");
    println!(
        "{name}: {events} events, {} messages, {:.2} MB, first drawn after {ready_ms:.0} ms",
        number("return seedlog.run.arrows.count"),
        page.len() as f64 / 1e6
    );

    keys_work(name, browser, &number);
    what_is_clicked_tells_its_details(name, browser, &number);
    choices_hide_and_the_violation_undoes_them(name, browser, &number);

    browser.press("0");
    let whole_ms = number("seedlog.drawNow(); return seedlog.drawn.frameMs");
    println!("{name}: the whole run is drawn in {whole_ms:.0} ms");
    assert!(whole_ms < 250.0, "{name}: a frame takes {whole_ms} ms");
    browser.screenshot(&folder().join(format!("{name}-whole.png")));
    browser.press("v");
    browser.prefer("dark");
    browser.evaluate("seedlog.drawNow()");
    browser.screenshot(&folder().join(format!("{name}-dark.png")));
    assert_eq!(browser.evaluate("return seedlog.errors").to_string(), "[]", "{name}");
    assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
}

fn keys_work(name: &str, browser: &Browser, number: &dyn Fn(&str) -> f64) {
    let span = || number("return seedlog.state.until - seedlog.state.from");
    let total = number("return seedlog.run.end");
    browser.press("0");
    assert!(span() >= total, "{name}: 0 shows the whole run");
    browser.press("+++");
    let zoomed = span();
    assert!(zoomed < total * 0.4, "{name}: + zooms in");
    browser.press("-");
    assert!(span() > zoomed * 1.2, "{name}: - zooms out");
    let from = number("return seedlog.state.from");
    browser.press("d");
    assert!(number("return seedlog.state.from") > from, "{name}: d moves on");

    browser.press("v");
    let at = number("return seedlog.run.story.violations[seedlog.state.violation].at");
    let (first, last) = (number("return seedlog.state.from"), number("return seedlog.state.until"));
    assert!(first < at && at < last, "{name}: v shows the violation at {at}, not {first}..{last}");
    assert!(number("return seedlog.lit.size") >= 2.0, "{name}: evidence is lit");
    let selected = || number("return seedlog.state.selected.index");
    let before = selected();
    browser.press("p");
    assert!(selected() < before, "{name}: p goes back");
    browser.press("n");
    assert_eq!(selected(), before, "{name}: n goes on");

    let all = number("return seedlog.countPassing()");
    browser.press("/broker-1");
    let filtered = number("return seedlog.countPassing()");
    assert!(filtered > 0.0 && filtered < all, "{name}: / filters: {filtered} of {all}");
    browser.press("\u{e00c}"); // Escape
    assert_eq!(number("return seedlog.countPassing()"), all, "{name}: Escape clears the filter");
    browser.press("?");
    assert_eq!(
        browser.evaluate("return document.getElementById('help').open"),
        true,
        "{name}: ? opens the help"
    );
    browser.press("\u{e00c}");
    assert_eq!(browser.evaluate("return document.getElementById('help').open"), false, "{name}");
}

fn choices_hide_and_the_violation_undoes_them(name: &str, browser: &Browser, number: &dyn Fn(&str) -> f64) {
    browser.press("0");
    let messages = number("return arrowsInView().length");
    browser.press("/broker-1 produce");
    let filtered = number("return arrowsInView().length");
    assert!(filtered > 0.0 && filtered < messages, "{name}: / filters messages: {filtered} of {messages}");
    browser.press("\u{e00c}");
    assert_eq!(number("return arrowsInView().length"), messages, "{name}: Escape shows them again");

    let lanes = number("return layout.lanes.length");
    let choose = "const node = document.getElementById('node');\
                  const has = (option) => option.value.startsWith('group ');\
                  node.value = ([...node.options].find(has) ?? node.options[1]).value;\
                  node.dispatchEvent(new Event('change')); seedlog.drawNow(); return layout.lanes.length";
    assert!(number(choose) < lanes, "{name}: a choice of nodes leaves lanes out");
    browser.evaluate("document.getElementById('chart').focus()");
    browser.press("v");
    let hidden =
        number("return [...seedlog.lit.keys()].filter((mark) => seedlog.placeOf(mark) === null).length");
    assert_eq!(hidden, 0.0, "{name}: all evidence is there");
    let lane = "const lane = layout.byLane[run.marks.lane[[...lit.keys()].filter(isTelling)[0]]];";
    let top = number(&format!("{lane} return lane.top - state.scroll"));
    assert!(top >= 0.0, "{name}: the lane of the first evidence is in view, not at {top}");
    browser.evaluate("document.getElementById('node').value = ''; document.getElementById('node').dispatchEvent(new Event('change'))");
}

/// The last mark of the evidence that can be clicked: the page shows the lane of the first.
const LAST_IN_VIEW: &str = "[...seedlog.lit.keys()].findLast((lit) => { const at = seedlog.placeOf(lit);\
    return at !== null && at.y > 0 && at.y < document.getElementById('chart').getBoundingClientRect().height; })";

fn what_is_clicked_tells_its_details(name: &str, browser: &Browser, number: &dyn Fn(&str) -> f64) {
    browser.press("v\u{e00c}"); // Escape: nothing is selected.
    browser.evaluate("seedlog.drawNow()");
    let place = format!(
        "const mark = {LAST_IN_VIEW}; const place = seedlog.placeOf(mark);\
         const box = document.getElementById('chart').getBoundingClientRect();"
    );
    let (x, y) = (
        number(&format!("{place} return box.left + place.x")),
        number(&format!("{place} return box.top + place.y")),
    );
    browser.click(x, y);
    assert_eq!(
        number("return seedlog.state.selected?.index ?? -1"),
        number(&format!("return {LAST_IN_VIEW}")),
        "{name}: what was clicked is selected"
    );
    let details = browser.evaluate("return document.getElementById('details').innerText");
    let wanted = browser
        .evaluate(&format!("return seedlog.detailsOf({{ what: 'mark', index: {LAST_IN_VIEW} }})[0][1]"));
    let (details, wanted) = (details.as_str().expect("text"), wanted.as_str().expect("text"));
    let blanks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(blanks(details).contains(&blanks(wanted)), "{name}: {details:?} should say {wanted:?}");
}

#[test]
fn the_picture_of_a_lost_write_opens_fast_and_can_be_worked_with() {
    if have_browser() {
        look_at(&Browser::start(), "lost-write", &page_of_a_lost_write());
    }
}

#[test]
fn twenty_thousand_events_open_fast_and_stay_small() {
    if have_browser() {
        let page = large_page();
        assert_eq!(page.matches("</script>").count(), 2, "no label ends the script");
        look_at(&Browser::start(), "large", &page);
    }
}
