//! The state at a moment as text for people.

use super::{Down, State};
use crate::cluster::ZOOKEEPER;
use crate::report::evidence::person;
use seedlog::types::SessionId;

impl State {
    /// What a node is doing, in a word or two.
    pub fn process(&self, node: &str) -> String {
        match self.down.get(node) {
            Some(Down { since_ms, why }) => format!("down since {} s ({why})", seconds(*since_ms)),
            None if self.paused.contains(node) => "paused".to_owned(),
            None => "up".to_owned(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let phase = self.phase.map_or("before the start".into(), |phase| format!("{phase:?}").to_lowercase());
        let mut lines = vec![format!("{} s, {phase}", seconds(self.at_ms))];
        lines.push(format!("{ZOOKEEPER}: {}, {} sessions", self.process(ZOOKEEPER), self.sessions.len()));
        self.tell_brokers(&mut lines);
        self.tell_clients(&mut lines);
        self.tell_groups(&mut lines);
        for (fault, since) in &self.faults {
            lines.push(format!("FAULT since {} s: {fault}", seconds(*since)));
        }
        lines.join("\n")
    }

    fn tell_brokers(&self, lines: &mut Vec<String>) {
        for (name, broker) in &self.brokers {
            let session = match broker.session {
                None => "not registered".to_owned(),
                Some(session) if self.down.contains_key(name) => format!("its {}", self.session(session)),
                Some(session) => format!("registered, {}", self.session(session)),
            };
            lines.push(format!("{name}: {}, {session}", self.process(name)));
            for (partition, log) in &broker.partitions {
                let leads = log.leads.map_or(String::new(), |epoch| format!(", leads in epoch {epoch}"));
                lines.push(format!(
                    "  {partition:<14} {}..{}, flushed to {}{leads}",
                    log.start, log.end, log.flushed
                ));
            }
        }
    }

    /// A session, and what is to become of it where it is not simply alive.
    fn session(&self, session: SessionId) -> String {
        match self.session_ends.get(&session) {
            _ if !self.sessions.contains(&session) => format!("session {session:#x} is over"),
            Some(end) => format!("session {session:#x} lives in ZooKeeper until {} s", seconds(*end)),
            None => format!("session {session:#x}"),
        }
    }

    fn tell_clients(&self, lines: &mut Vec<String>) {
        for (name, producer) in &self.producers {
            lines.push(format!(
                "{name}: {}, {} sent: {} acked, {} failed, {} unknown, {} open",
                self.process(name),
                producer.sent,
                producer.acked,
                producer.failed,
                producer.unknown,
                producer.open()
            ));
        }
        for (name, consumer) in &self.consumers {
            let positions: Vec<String> =
                consumer.positions.iter().map(|(p, at)| format!("{p}@{at}")).collect();
            let group = consumer.group.as_ref().map_or(String::new(), |group| {
                let session = consumer.session.map_or("no session".into(), |s| self.session(s));
                let owns: Vec<&str> = consumer.owns.iter().map(String::as_str).collect();
                let paused = if consumer.is_paused { ", delivery paused" } else { "" };
                format!(", of {group}, {session}, owns [{}]{paused}", owns.join(", "))
            });
            lines.push(format!("{name}: {}, at [{}]{group}", self.process(name), positions.join(", ")));
        }
    }

    /// Each group's partitions: whose they are in ZooKeeper, how far that member is, and what is committed.
    fn tell_groups(&self, lines: &mut Vec<String>) {
        for (name, group) in &self.groups {
            lines.push(format!("group {name}:"));
            for (partition, place) in group {
                let owner = place.owner.as_ref().map_or("owned by nobody".to_owned(), |owner| {
                    let down = self.down.contains_key(&owner.consumer);
                    let down = if down { ", which is down" } else { "" };
                    format!("owned by {}{down} ({})", person(&owner.consumer), self.session(owner.session))
                });
                let at = place.position.map_or(String::new(), |position| format!(", at {position}"));
                let committed = place.committed.map_or("nothing".into(), |offset| offset.to_string());
                lines.push(format!("  {partition:<14} {owner}{at}, committed {committed}"));
            }
        }
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
