//! Smaller scenarios than a given one: fewer clients, brokers, partitions and records, less time, simpler
//! settings and steps.
//!
//! Proposes, boldest first. Whether the failure survives is tried elsewhere.

use std::time::Duration;

use toml::{Table, Value};

use super::literal::duration;
use crate::scenario::{Document, units};

/// A kind of smaller scenario.
pub type Pass = (&'static str, fn(&Document) -> Vec<Document>);

/// What is tried, in this order, again and again until nothing gets smaller.
pub const PASSES: [Pass; 10] = [
    ("storm", shorter_storm),
    ("clients", without_one_client),
    ("topics", without_one_topic),
    ("brokers", fewer_brokers),
    ("partitions", fewer_partitions),
    ("members", fewer_members),
    ("records", fewer_records),
    ("steps", simpler_steps),
    ("time", less_time),
    ("settings", simpler_settings),
];

fn changed(document: &Document, change: impl FnOnce(&mut Document)) -> Document {
    let mut smaller = document.clone();
    change(&mut smaller);
    smaller
}

fn without_one_client(document: &Document) -> Vec<Document> {
    let mut found = Vec::new();
    for kind in ["consumers", "groups", "producers"] {
        for name in document.names(&[kind]) {
            found.push(changed(document, |d| d.remove(&[kind, &name])));
        }
    }
    found
}

/// As long as the workload, or else shorter.
fn shorter_storm(document: &Document) -> Vec<Document> {
    let storm = document.get(&["storm"]).and_then(Value::as_str).and_then(time);
    let Some(storm) = storm else { return Vec::new() };
    let mut found = vec![changed(document, |d| d.remove(&["storm"]))];
    for shorter in [storm / 4, storm / 2, storm * 3 / 4] {
        let shorter = rounded(shorter, Duration::from_secs(1));
        if shorter < storm && !shorter.is_zero() {
            found.push(changed(document, |d| d.set(&["storm"], duration(shorter))));
        }
    }
    found
}

/// A topic goes with everything that uses it alone.
fn without_one_topic(document: &Document) -> Vec<Document> {
    let topics = document.names(&["topics"]);
    let without = |topic: &String| {
        changed(document, |d| {
            d.remove(&["topics", topic]);
            for name in d.names(&["producers"]) {
                if d.get(&["producers", &name, "topic"]).and_then(Value::as_str) == Some(topic) {
                    d.remove(&["producers", &name]);
                }
            }
            for kind in ["consumers", "groups"] {
                for name in d.names(&[kind]) {
                    drop_topic(d, kind, &name, topic);
                }
            }
        })
    };
    if topics.len() > 1 { topics.iter().map(without).collect() } else { Vec::new() }
}

fn drop_topic(document: &mut Document, kind: &str, name: &str, topic: &str) {
    let path = [kind, name, "topics"];
    let topics = document.get(&path).and_then(Value::as_array).cloned().unwrap_or_default();
    let left: Vec<Value> = topics.into_iter().filter(|used| used.as_str() != Some(topic)).collect();
    if left.is_empty() {
        document.remove(&[kind, name]);
    } else {
        document.set(&path, left);
    }
}

/// Fewer brokers; the steps' brokers are counted anew so that those named keep their places.
fn fewer_brokers(document: &Document) -> Vec<Document> {
    let count = integer(document, &["cluster", "brokers"]).unwrap_or(1);
    let mut found = Vec::new();
    for fewer in smaller_counts(count, 1) {
        let fewer_of = changed(document, |d| d.set(&["cluster", "brokers"], fewer));
        // As they are called now, and all of them as the first.
        found.push(fewer_of.clone());
        found.push(changed(&fewer_of, |d| {
            let renamed = d.steps().into_iter().map(|step| with_action(step, first_broker));
            let renamed = renamed.collect();
            d.set_steps(renamed);
        }));
    }
    found
}

/// `broker(3)` as `broker(1)`.
fn first_broker(action: &str) -> String {
    let mut text = String::new();
    let mut rest = action;
    while let Some(at) = rest.find("broker(") {
        let digits = at + "broker(".len();
        text.push_str(&rest[..digits]);
        text.push('1');
        rest = rest[digits..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    text + rest
}

fn fewer_partitions(document: &Document) -> Vec<Document> {
    fewer_of_each(document, "topics", "partitions", 1)
}

fn fewer_members(document: &Document) -> Vec<Document> {
    let mut found = fewer_of_each(document, "groups", "consumers", 1);
    found.extend(fewer_of_each(document, "groups", "streams", 1));
    found
}

fn fewer_records(document: &Document) -> Vec<Document> {
    fewer_of_each(document, "producers", "records", 1)
}

fn fewer_of_each(document: &Document, kind: &str, key: &str, least: i64) -> Vec<Document> {
    let mut found = Vec::new();
    for name in document.names(&[kind]) {
        let count = integer(document, &[kind, &name, key]).unwrap_or(least);
        for fewer in smaller_counts(count, least) {
            found.push(changed(document, |d| d.set(&[kind, &name, key], fewer)));
        }
    }
    found
}

/// From the least to nearly as many: few enough to be tried, and one of them close.
fn smaller_counts(count: i64, least: i64) -> Vec<i64> {
    let mut counts = vec![least, 10, 20, 40, count / 4, count / 2, count * 3 / 4, count * 9 / 10, count - 1];
    counts.retain(|fewer| (least..count).contains(fewer));
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Steps without their end, without what nobody refers to, or shorter.
fn simpler_steps(document: &Document) -> Vec<Document> {
    let steps = document.steps();
    let mut found = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let name = text(step, "as");
        let is_needed = name.as_deref().is_some_and(|name| steps.iter().any(|other| refers(other, name)));
        if !is_needed {
            found.push(changed(document, |d| d.set_steps(without(&steps, at))));
        }
        let action = text(step, "do").unwrap_or_default();
        if name.is_some() && !is_needed {
            found.push(replaced(document, &steps, at, |step| {
                step.remove("as");
            }));
        }
        if let Some((what, _)) = action.rsplit_once(" for ") {
            found.push(replaced(document, &steps, at, |step| set(step, "do", what)));
        }
        if action.contains(" | ") {
            found
                .push(replaced(document, &steps, at, |step| set(step, "do", &action.replace(" | ", " -> "))));
        }
    }
    found
}

/// Everything sooner, and in round numbers.
fn less_time(document: &Document) -> Vec<Document> {
    let steps = document.steps();
    let first = steps.iter().filter_map(|step| time(&text(step, "at")?)).min();
    let mut found = Vec::new();
    if let Some(first) = first {
        for earliest in [Duration::from_millis(100), Duration::from_secs(1), first / 2] {
            if earliest < first {
                let sooner = |at: Duration| at.saturating_sub(first - earliest);
                found.push(retimed(document, &steps, "at", sooner));
            }
        }
        found.push(retimed(document, &steps, "at", |at| at / 2));
    }
    for round in [Duration::from_secs(1), Duration::from_millis(100)] {
        found.push(retimed(document, &steps, "at", |at| rounded(at, round)));
    }
    for at in 0..steps.len() {
        found.extend(shorter(document, &steps, at));
    }
    found.retain(|smaller| smaller != document);
    found
}

/// One step after a shorter wait, or lasting shorter.
fn shorter(document: &Document, steps: &[Table], at: usize) -> Vec<Document> {
    let mut found = Vec::new();
    let step = &steps[at];
    let after = text(step, "after").unwrap_or_default();
    if let Some((name, wait)) = after.rsplit_once(" + ") {
        for wait in shorter_times(wait) {
            let after = format!("{name} + {}", duration(wait));
            found.push(replaced(document, steps, at, |step| set(step, "after", &after)));
        }
    }
    let action = text(step, "do").unwrap_or_default();
    if let Some((what, lasting)) = action.rsplit_once(" for ") {
        for lasting in shorter_times(lasting) {
            let action = format!("{what} for {}", duration(lasting));
            found.push(replaced(document, steps, at, |step| set(step, "do", &action)));
        }
    }
    found
}

fn shorter_times(text: &str) -> Vec<Duration> {
    let Some(now) = time(text) else { return Vec::new() };
    let second = Duration::from_secs(1);
    let mut times = vec![rounded(now, second), now / 2, rounded(now, Duration::from_millis(100))];
    times.retain(|time| *time < now && !time.is_zero());
    times
}

fn rounded(time: Duration, to: Duration) -> Duration {
    let (time, to) = (time.as_millis() as u64, to.as_millis() as u64);
    Duration::from_millis(if time < to { time } else { time / to * to })
}

/// The plain values that most scenarios have.
fn simpler_settings(document: &Document) -> Vec<Document> {
    let mut found = Vec::new();
    let mut simpler = |path: &[&str], value: Value| {
        if document.get(path).is_some_and(|now| *now != value) {
            found.push(changed(document, |d| d.set(path, value)));
        }
    };
    simpler(&["cluster", "config", "log.segment.bytes"], Value::Integer(1 << 20));
    simpler(&["cluster", "config", "zookeeper.session.timeout.ms"], Value::Integer(6000));
    for name in document.names(&["topics"]) {
        simpler(&["topics", &name, "config", "durability"], "fsync".into());
    }
    for name in document.names(&["producers"]) {
        simpler(&["producers", &name, "acks"], "all".into());
        simpler(&["producers", &name, "compression"], "none".into());
        simpler(&["producers", &name, "keyed"], false.into());
        simpler(&["producers", &name, "linger"], "0ms".into());
        simpler(&["producers", &name, "value-bytes"], Value::Integer(32));
        simpler(&["producers", &name, "rate"], "20/s".into());
    }
    for name in document.names(&["groups"]) {
        simpler(&["groups", &name, "processing"], "0ms".into());
        simpler(&["groups", &name, "session"], "6s".into());
    }
    found.extend(fewer_settings(document));
    found
}

/// Nothing drawn besides what is written, and each written setting at its default.
fn fewer_settings(document: &Document) -> Vec<Document> {
    let mut owners = vec![vec!["cluster".to_owned()]];
    for kind in ["topics", "producers", "consumers", "groups"] {
        owners.extend(document.names(&[kind]).into_iter().map(|name| vec![kind.to_owned(), name]));
    }
    let mut found = Vec::new();
    for owner in owners {
        let path = |rest: &[&str]| -> Vec<String> {
            owner.iter().cloned().chain(rest.iter().map(|key| (*key).to_owned())).collect()
        };
        let mut paths = vec![path(&["settings"]), path(&["habits"])];
        for table in ["config", "habits"] {
            let there: Vec<String> = path(&[table]);
            let keys = document.names(&there.iter().map(String::as_str).collect::<Vec<_>>());
            paths.extend(keys.iter().map(|key| path(&[table, key])));
        }
        for path in paths {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if document.get(&path).is_some() {
                found.push(changed(document, |d| d.remove(&path)));
            }
        }
    }
    found
}

fn integer(document: &Document, path: &[&str]) -> Option<i64> {
    document.get(path).and_then(Value::as_integer)
}

fn text(step: &Table, key: &str) -> Option<String> {
    step.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn time(text: &str) -> Option<Duration> {
    units::duration(text).ok()
}

fn set(step: &mut Table, key: &str, value: &str) {
    step.insert(key.to_owned(), Value::String(value.to_owned()));
}

fn with_action(mut step: Table, change: impl Fn(&str) -> String) -> Table {
    if let Some(action) = text(&step, "do") {
        set(&mut step, "do", &change(&action));
    }
    step
}

/// Whether a step speaks of another by its name.
pub fn refers(step: &Table, name: &str) -> bool {
    let is_word = |text: String| {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).any(|word| word == name)
    };
    ["after", "do", "when"].iter().any(|key| text(step, key).is_some_and(is_word))
}

/// Steps with those that refer to them: what can be left out together.
pub fn groups(steps: &[Table]) -> Vec<Vec<Table>> {
    let mut groups: Vec<Vec<Table>> = Vec::new();
    for step in steps {
        let belongs = |group: &Vec<Table>| {
            group.iter().any(|earlier| text(earlier, "as").is_some_and(|name| refers(step, &name)))
        };
        match groups.iter_mut().find(|group| belongs(group)) {
            Some(group) => group.push(step.clone()),
            None => groups.push(vec![step.clone()]),
        }
    }
    groups
}

fn without(steps: &[Table], left_out: usize) -> Vec<Table> {
    steps.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, step)| step.clone()).collect()
}

fn replaced(document: &Document, steps: &[Table], at: usize, change: impl FnOnce(&mut Table)) -> Document {
    let mut steps = steps.to_vec();
    change(&mut steps[at]);
    changed(document, |d| d.set_steps(steps))
}

fn retimed(
    document: &Document,
    steps: &[Table],
    key: &str,
    change: impl Fn(Duration) -> Duration,
) -> Document {
    let retime = |step: &Table| {
        let mut step = step.clone();
        if let Some(now) = text(&step, key).and_then(|now| time(&now)) {
            set(&mut step, key, &duration(change(now)));
        }
        step
    };
    changed(document, |d| d.set_steps(steps.iter().map(retime).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let text = "format = 1\nstory = \"S.\"\n[cluster]\nbrokers = 3\n[topics.a]\npartitions = 4\n[topics.b]\n\
             [producers.p]\ntopic = \"a\"\nrecords = 300\n[consumers.c]\ntopics = [\"a\", \"b\"]\n\
             [[step]]\nat = \"7316ms\"\ndo = \"kill broker(3)\"\nas = \"f0\"\n\
             [[step]]\nafter = \"f0 + 1816ms\"\ndo = \"restart f0\"\n";
        Document::of(text).unwrap()
    }

    #[test]
    fn a_topic_goes_with_those_who_use_nothing_else() {
        let smaller = without_one_topic(&document());
        assert_eq!(smaller[0].names(&["producers"]), Vec::<String>::new());
        assert_eq!(smaller[0].names(&["consumers"]), ["c"]);
        assert_eq!(smaller[1].names(&["producers"]), ["p"]);
    }

    #[test]
    fn with_fewer_brokers_the_named_ones_may_become_the_first() {
        let texts: Vec<String> = fewer_brokers(&document()).iter().map(Document::text).collect();
        assert!(texts[1].contains("brokers = 1") && texts[1].contains("kill broker(1)"), "{}", texts[1]);
        assert_eq!(first_broker("cut broker(12) | broker(3) for 1s"), "cut broker(1) | broker(1) for 1s");
    }

    #[test]
    fn a_step_that_others_refer_to_is_not_left_out() {
        let left = |d: &Document| d.steps().len();
        assert_eq!(simpler_steps(&document()).iter().map(left).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_fault_and_its_end_are_left_out_together() {
        let mut steps = document().steps();
        let mut other = steps[0].clone();
        other.remove("as");
        steps.insert(1, other);
        let lengths: Vec<usize> = groups(&steps).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
    }

    #[test]
    fn a_storm_lasts_as_long_as_the_workload_or_gets_shorter() {
        let mut long = document();
        long.set(&["storm"], "9s");
        let storms = shorter_storm(&long);
        let storms: Vec<Option<&str>> = storms.iter().map(|d| d.get(&["storm"])?.as_str()).collect();
        assert_eq!(storms, [None, Some("2s"), Some("4s"), Some("6s")]);
        assert!(shorter_storm(&document()).is_empty());
    }

    #[test]
    fn times_get_shorter_and_round() {
        let texts: Vec<String> = less_time(&document()).iter().map(Document::text).collect();
        for expected in ["at = \"100ms\"", "at = \"7s\"", "f0 + 1s", "f0 + 908ms"] {
            assert!(texts.iter().any(|text| text.contains(expected)), "{expected}: {texts:?}");
        }
        assert_eq!(smaller_counts(300, 1), [1, 10, 20, 40, 75, 150, 225, 270, 299]);
        assert!(smaller_counts(1, 1).is_empty());
    }
}
