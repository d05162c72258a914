//! What happened to partitions, stated: facts for checkers, log lines for people.

use super::Shared;
use crate::consumer::AutoReset;
use crate::consumer::chunk::Damage;
use crate::consumer::partition::Event;
use crate::facts::{self, Fact};
use crate::marks::{self, Mark};

impl Shared {
    pub(super) fn state_facts(&self, events: &[Event]) {
        for event in events {
            if let Event::CorruptSkipped { partition, damage } = event {
                let Damage { offset, reason, .. } = damage;
                tracing::warn!(%partition, %offset, reason, "corrupt_batch_skipped");
            }
            if let Event::PositionReset { from: None, .. } = event
                && self.config.auto_reset == AutoReset::Latest
            {
                marks::sometimes(Mark::BeganAtTheLogsEnd);
            }
            facts::record(|| self.fact(event));
        }
    }

    fn fact(&self, event: &Event) -> Fact {
        let consumer = self.config.client_id.clone();
        match event.clone() {
            Event::Assigned(partition, position) => Fact::Assigned { consumer, partition, position },
            Event::Seeked { partition, position, reason } => {
                Fact::Seeked { consumer, partition, position, reason }
            }
            Event::PositionReset { partition, from, to, log_start, log_end } => {
                Fact::PositionReset { consumer, partition, from, to, log_start, log_end }
            }
            Event::CorruptSkipped { partition, damage } => {
                Fact::CorruptSkipped { consumer, partition, offset: damage.offset }
            }
        }
    }
}
