//! A run as the picture shows it: lanes, marks, bands, arrows, lines, and the story that proves a violation.
//!
//! Pure: history and messages in, a picture out. Holds at most [`MARKS_MAX`] marks and [`ARROWS_MAX`] arrows;
//! what is beyond is counted in `left_out`, and never a mark that proves something.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seedlog::facts::Fact;
use seedlog::runtime::sim::net::messages::Message;
use serde::Serialize;

use super::arrows::{self, Arrows};
use super::bands::{self, Band, Bands, Owned};
use super::lanes::{Lane, Lanes};
use super::lines::{Line, Lines};
use super::story::{self, Story};
use crate::history::{Entry, Injected, What};
use crate::report::{Verdict, evidence};

pub const MARKS_MAX: usize = 60_000;
pub const ARROWS_MAX: usize = 60_000;

/// What there is to picture.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub verdict: &'a Verdict,
    pub history: &'a [Entry],
    pub messages: &'a [Message],
    /// How to run it again.
    pub replay: &'a str,
    /// Faults without which the violation goes away, as lines of the evidence.
    pub necessary: &'a [String],
}

/// Everything that the page knows. Times are microseconds; texts are indices of `strings`; -1 is nothing.
#[derive(Debug, Serialize)]
pub struct Picture {
    pub title: Title,
    pub end: u64,
    /// What `marks.category` counts in.
    pub categories: [&'static str; 14],
    pub strings: Vec<String>,
    pub lanes: Vec<Lane>,
    /// Name, from, until.
    pub phases: Vec<(String, u64, u64)>,
    pub marks: Marks,
    pub bands: Vec<Band>,
    pub owned: Vec<Owned>,
    pub lines: Vec<Line>,
    pub arrows: Arrows,
    pub story: Story,
    /// Marks and messages that are not shown.
    pub left_out: (usize, usize),
}

#[derive(Debug, Serialize)]
pub struct Title {
    pub scenario: String,
    /// As text: it may be more than a JavaScript number holds.
    pub seed: String,
    pub verdict: String,
    pub replay: String,
    pub without: Vec<String>,
    pub trace_hash: String,
    pub sent: u64,
    pub acked: u64,
    pub delivered: u64,
    pub faults: BTreeMap<String, u64>,
}

/// Marks by column, in the order of time.
#[derive(Debug, Default, Serialize)]
pub struct Marks {
    /// Time since the mark before.
    pub time: Vec<u64>,
    pub lane: Vec<usize>,
    /// Index of [`CATEGORIES`].
    pub category: Vec<usize>,
    pub kind: Vec<usize>,
    pub text: Vec<usize>,
    pub partition: Vec<i64>,
    pub incarnation: Vec<u32>,
}

/// What marks are coloured and filtered by. The page has a colour and a word for each.
pub const CATEGORIES: [&str; 14] = [
    "sent", "acked", "doubt", "log", "flush", "read", "finish", "commit", "group", "session", "znode",
    "trouble", "fault", "mend",
];

/// Categories that a long run has by the thousand.
const BULK: [&str; 8] = ["sent", "acked", "log", "flush", "read", "finish", "commit", "znode"];

/// Every text once.
#[derive(Debug, Default)]
pub struct Strings {
    known: BTreeMap<String, usize>,
    all: Vec<String>,
}

impl Strings {
    pub fn index(&mut self, text: &str) -> usize {
        if let Some(&index) = self.known.get(text) {
            return index;
        }
        self.known.insert(text.to_owned(), self.all.len());
        self.all.push(text.to_owned());
        self.all.len() - 1
    }
}

/// Draws the run.
pub fn picture(scene: &Scene) -> Picture {
    let history = scene.history;
    let mut strings = Strings::default();
    let lanes = Lanes::of(history, scene.messages);
    let end = history.last().map_or(0, |entry| micros(entry.at_ns)).max(1);
    let proven = story::proven(scene);
    let shown = shown(history, &proven, MARKS_MAX);
    let mut marks = Marks::default();
    let mut mark_of: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut bands, mut lines) = (Bands::default(), Lines::default());
    let mut before = 0;
    for (index, entry) in history.iter().enumerate() {
        bands.observe(entry, &lanes, &mut strings);
        lines.observe(entry, &lanes, &mut strings);
        let Some(lane) = lane_of(entry, &lanes).filter(|_| shown.contains(&index)) else { continue };
        mark_of.insert(index, marks.time.len());
        let at = micros(entry.at_ns);
        marks.push(entry, lane, at - before, &mut strings);
        before = at;
    }
    let around = proven.iter().flatten().max().map_or(end, |&index| micros(history[index].at_ns));
    let arrows = arrows::arrows(scene.messages, &lanes, &mut strings, around, ARROWS_MAX);
    let left_out = (
        history.iter().filter(|entry| lane_of(entry, &lanes).is_some()).count() - marks.time.len(),
        scene.messages.len() - arrows.len(),
    );
    let story = story::story(scene, &proven, &mark_of);
    let (bands, owned) = bands.finish(end);
    Picture {
        title: title(scene),
        end,
        categories: CATEGORIES,
        phases: phases(history, end),
        marks,
        bands,
        owned,
        lines: lines.finish(),
        arrows,
        story,
        left_out,
        lanes: lanes.finish(),
        strings: strings.all,
    }
}

pub(super) fn micros(nanos: u64) -> u64 {
    nanos / 1000
}

impl Marks {
    fn push(&mut self, entry: &Entry, lane: usize, since: u64, strings: &mut Strings) {
        self.time.push(since);
        self.lane.push(lane);
        self.category.push(category(entry));
        let (kind, partition) = match &entry.what {
            What::Fact(fact) => (fact.kind().to_owned(), fact.partition()),
            What::Fault(fault) => (tag(fault), None),
            What::Phase(_) => ("phase".to_owned(), None),
            What::Seen(seen) => ("seen".to_owned(), seen.partition()),
        };
        self.kind.push(strings.index(&kind));
        self.text.push(strings.index(&evidence::text(entry)));
        self.partition.push(partition.map_or(-1, |p| strings.index(&p.to_string()) as i64));
        self.incarnation.push(entry.incarnation);
    }
}

/// The entries that get a mark: all, or of the many kinds only those shortly before what is proven.
fn shown(history: &[Entry], proven: &[Vec<usize>], max: usize) -> BTreeSet<usize> {
    if history.len() <= max {
        return (0..history.len()).collect();
    }
    let is_bulk = |entry: &Entry| BULK.contains(&CATEGORIES[category(entry)]);
    let mut shown: BTreeSet<usize> = proven.iter().flatten().copied().collect();
    let noticed = shown.last().copied().unwrap_or(history.len() - 1);
    shown.extend((0..history.len()).filter(|&index| !is_bulk(&history[index])).take(max / 2));
    let room = max.saturating_sub(shown.len());
    let after = (history.len() - noticed).min(room / 4);
    let first = (noticed + after).saturating_sub(room);
    shown.extend(first..(noticed + after));
    shown
}

/// Where an entry is marked. Phases are the background, and have no mark.
fn lane_of(entry: &Entry, lanes: &Lanes) -> Option<usize> {
    match &entry.what {
        What::Phase(_) | What::Seen(_) => None,
        What::Fault(fault) => {
            let target = fault.targets().first().map(|target| Arc::clone(target));
            let target = target.unwrap_or_else(|| Arc::clone(&entry.node));
            if bands::is_of_disk(fault) { lanes.disk(&target) } else { lanes.node(&target) }
        }
        What::Fact(
            Fact::Flushed { .. }
            | Fact::LogRecovered { .. }
            | Fact::UnsoundTailCut { .. }
            | Fact::SegmentRolled { .. }
            | Fact::Truncated { .. }
            | Fact::LogDirFailed { .. },
        ) => lanes.disk(&entry.node),
        What::Fact(_) => lanes.node(&entry.node),
    }
}

/// The name under which a fault, or its end, is serialised.
fn tag(fault: &Injected) -> String {
    let value = serde_json::to_value(fault).unwrap_or_default();
    value["fault"].as_str().unwrap_or("fault").to_owned()
}

fn category(entry: &Entry) -> usize {
    let name = match &entry.what {
        What::Phase(_) | What::Seen(_) => "mend",
        What::Fault(fault) if fault.kind().is_none() => "mend",
        What::Fault(_) => "fault",
        What::Fact(fact) => match fact.kind() {
            "send-invoked" => "sent",
            "send-ok" => "acked",
            "send-failed" | "send-unknown" | "send-retried" => "doubt",
            "appended" | "became-leader" | "segment-rolled" => "log",
            "flushed" => "flush",
            "assigned" | "seeked" | "delivered" => "read",
            "finished" | "processed" => "finish",
            "znode-read" | "znode-changed" | "children-read" | "watch-fired" | "watch-forgotten"
            | "leader-asked" | "leader-answered" => "znode",
            "commit-invoked" | "commit-ok" | "offset-fetched" => "commit",
            "broker-registered" | "session-opened" | "session-expired" | "broker-stopped" => "session",
            "broker-start-failed"
            | "log-recovered"
            | "truncated"
            | "log-dir-failed"
            | "corrupt-skipped"
            | "position-reset"
            | "member-unreadable"
            | "commit-failed" => "trouble",
            kind if kind.starts_with("group-")
                || kind.starts_with("rebalance-")
                || kind.starts_with("partition-")
                || kind.starts_with("delivery-") =>
            {
                "group"
            }
            _ => "session",
        },
    };
    CATEGORIES.iter().position(|category| *category == name).expect("every name above is a category")
}

fn phases(history: &[Entry], end: u64) -> Vec<(String, u64, u64)> {
    let mut phases: Vec<(String, u64, u64)> = Vec::new();
    for entry in history {
        let What::Phase(entered) = &entry.what else { continue };
        let at = micros(entry.at_ns);
        if let Some(last) = phases.last_mut() {
            last.2 = at;
        }
        phases.push((format!("{:?}", entered.phase).to_lowercase(), at, end));
    }
    phases
}

fn title(scene: &Scene) -> Title {
    let verdict = scene.verdict;
    Title {
        scenario: verdict.scenario.clone(),
        seed: verdict.seed.to_string(),
        verdict: format!("{:?}", verdict.verdict).to_lowercase(),
        replay: scene.replay.to_owned(),
        without: verdict.without.clone(),
        trace_hash: verdict.trace_hash.clone(),
        sent: verdict.sends,
        acked: verdict.acked,
        delivered: verdict.delivered,
        faults: verdict.faults.clone(),
    }
}
