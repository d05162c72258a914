//! What messages on the wire are called: `Produce`, `Produce reply`, `zk set`.
//!
//! Pure. A reply is named by its request; a frame whose request was not seen is called a message.

use std::collections::BTreeMap;

use seedlog::protocol::ApiKey;
use seedlog::runtime::sim::net::messages::Message;
use seedlog::zookeeper::codec::opcode;

use crate::cluster::ZOOKEEPER;

/// The name of each message, in their order.
pub fn names(messages: &[Message]) -> Vec<String> {
    let mut kinds = Kinds::default();
    messages.iter().map(|message| kinds.of(message)).collect()
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
