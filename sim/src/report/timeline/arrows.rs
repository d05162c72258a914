//! Messages as arrows, each with the name of what it asks or answers.
//!
//! Pure.

use seedlog::runtime::sim::net::messages::Message;
use serde::Serialize;

use super::lanes::Lanes;
use super::model::{Strings, micros};
use crate::report::wire;

/// Arrows by column, in the order of sending.
#[derive(Debug, Default, Serialize)]
pub struct Arrows {
    /// Time since the arrow before.
    pub time: Vec<u64>,
    pub from: Vec<usize>,
    pub to: Vec<usize>,
    /// How long it took until it was read; -1: never.
    pub took: Vec<i64>,
    pub bytes: Vec<u64>,
    pub kind: Vec<usize>,
}

impl Arrows {
    pub fn len(&self) -> usize {
        self.time.len()
    }
}

/// At most `max` arrows, those about `around` rather than others.
pub fn arrows(messages: &[Message], lanes: &Lanes, strings: &mut Strings, around: u64, max: usize) -> Arrows {
    let names = wire::names(messages);
    let middle = messages.partition_point(|message| micros(message.sent_ns) < around);
    let end = (middle + max / 4).max(max).min(messages.len());
    let first = end.saturating_sub(max);
    let mut arrows = Arrows::default();
    let mut before = 0;
    for (message, kind) in messages[first..end].iter().zip(&names[first..end]) {
        let (Some(from), Some(to)) = (lanes.node(&message.from), lanes.node(&message.to)) else { continue };
        let at = micros(message.sent_ns);
        arrows.time.push(at - before);
        arrows.from.push(from);
        arrows.to.push(to);
        arrows.took.push(message.read_ns.map_or(-1, |read| (micros(read) - at) as i64));
        arrows.bytes.push(message.bytes);
        arrows.kind.push(strings.index(kind));
        before = at;
    }
    arrows
}
