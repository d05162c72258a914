//! Messages as arrows, each with the name of what it asks or answers.
//!
//! Pure. A reply is named by its request; a frame whose request was not seen is called a message.

use std::collections::BTreeMap;

use seedlog::protocol::ApiKey;
use seedlog::runtime::sim::net::messages::Message;
use seedlog::zookeeper::codec::opcode;
use serde::Serialize;

use super::lanes::Lanes;
use super::model::{Strings, micros};
use crate::cluster::ZOOKEEPER;

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
    let mut kinds = Kinds::default();
    let named: Vec<(&Message, String)> =
        messages.iter().map(|message| (message, kinds.of(message))).collect();
    let middle = messages.partition_point(|message| micros(message.sent_ns) < around);
    let end = (middle + max / 4).max(max).min(messages.len());
    let first = end.saturating_sub(max);
    let mut arrows = Arrows::default();
    let mut before = 0;
    for (message, kind) in &named[first..end] {
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

/// What is known of connections: the requests that wait for their replies.
#[derive(Default)]
struct Kinds {
    asked: BTreeMap<(u64, i32), String>,
    /// ZooKeeper's connections begin with a request and a reply of their own form.
    greeted: BTreeMap<(u64, bool), ()>,
}

impl Kinds {
    fn of(&mut self, message: &Message) -> String {
        let server = if message.is_from_connector { &message.to } else { &message.from };
        let is_zookeeper = server.starts_with(ZOOKEEPER);
        if is_zookeeper && self.greeted.insert((message.connection, message.is_from_connector), ()).is_none()
        {
            return if message.is_from_connector { "zk connect" } else { "zk connect reply" }.to_owned();
        }
        let name = if is_zookeeper { self.zookeeper(message) } else { self.kafka(message) };
        name.unwrap_or_else(|| "message".to_owned())
    }

    fn kafka(&mut self, message: &Message) -> Option<String> {
        let head = &message.head;
        if !message.is_from_connector {
            return self.reply(message.connection, int(head, 0)?);
        }
        let key = i16::from_be_bytes(head.first_chunk::<2>().copied()?);
        let name = ApiKey::try_from(key).ok()?.name().to_owned();
        self.asked.insert((message.connection, int(head, 4)?), name.clone());
        Some(name)
    }

    fn zookeeper(&mut self, message: &Message) -> Option<String> {
        let xid = int(&message.head, 0)?;
        if !message.is_from_connector {
            return if xid == -1 { Some("zk event".to_owned()) } else { self.reply(message.connection, xid) };
        }
        let name = match int(&message.head, 4)? {
            opcode::CREATE | opcode::CREATE2 => "zk create",
            opcode::DELETE => "zk delete",
            opcode::EXISTS => "zk exists",
            opcode::GET_DATA => "zk get",
            opcode::SET_DATA => "zk set",
            opcode::GET_CHILDREN | opcode::GET_CHILDREN2 => "zk children",
            opcode::SYNC => "zk sync",
            opcode::PING => "zk ping",
            opcode::MULTI => "zk multi",
            opcode::SET_WATCHES => "zk set watches",
            opcode::CLOSE => "zk close",
            _ => "zk request",
        };
        self.asked.insert((message.connection, xid), name.to_owned());
        Some(name.to_owned())
    }

    fn reply(&self, connection: u64, id: i32) -> Option<String> {
        self.asked.get(&(connection, id)).map(|name| format!("{name} reply"))
    }
}

fn int(head: &[u8], at: usize) -> Option<i32> {
    let bytes = head.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_be_bytes(*bytes))
}
