//! The readers' side: portions are taken over under the lock, and handed out without one.
//!
//! A reader takes the lock, and wakes the fetchers, once for each portion of records: see `lease`.

use super::{Shared, State};
use crate::consumer::lease::Portion;
use crate::consumer::partition::Reader;
use crate::consumer::{ConsumeError, ConsumedRecord};
use crate::facts::{self, Fact, RecordTag};
use crate::record::RecordHeader;
use crate::runtime::buggify;
use crate::runtime::clock::{self, DeadlineTimer};
use crate::types::TopicPartition;

impl Shared {
    /// Hands out what is there, or waits for it until the timer runs out.
    pub(in crate::consumer) async fn take(
        &self,
        portion: &mut Option<Portion>,
        records_max: usize,
        timer: &mut DeadlineTimer,
    ) -> Result<Vec<ConsumedRecord>, ConsumeError> {
        loop {
            let arrived = self.arrived.notified();
            let records = self.take_now(portion, records_max)?;
            let is_over = timer.deadline().is_some_and(|deadline| deadline <= clock::now());
            if !records.is_empty() || is_over {
                return Ok(records);
            }
            tokio::select! {
                biased;
                () = arrived => {}
                () = timer.expired() => {}
            }
        }
    }

    /// Resolves when there may be something new to hand out, counted from this call on.
    pub(in crate::consumer) fn arrival(&self) -> tokio::sync::futures::Notified<'_> {
        self.arrived.notified()
    }

    /// What the only reader of a consumer without a group gets now.
    fn take_now(
        &self,
        portion: &mut Option<Portion>,
        records_max: usize,
    ) -> Result<Vec<ConsumedRecord>, ConsumeError> {
        let mut records = Vec::new();
        while records.len() < records_max {
            if let Some(record) = self.hand_out(portion) {
                records.push(record);
                continue;
            }
            match self.renew(Reader::default(), portion) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if records.is_empty() => return Err(error),
                // It comes again, after these.
                Err(_) => break,
            }
        }
        Ok(records)
    }

    /// The next record of the portion, if it may be handed out at this instant. Takes no lock.
    pub(in crate::consumer) fn hand_out(&self, portion: &mut Option<Portion>) -> Option<ConsumedRecord> {
        let record = portion.as_mut()?.next(clock::now)?;
        facts::record(|| Fact::Delivered {
            consumer: self.config.client_id.clone(),
            partition: record.partition.clone(),
            offset: record.offset,
            record: RecordTag::of(record.key.as_deref(), record.value.as_deref())
                .with(record.headers.iter().map(RecordHeader::parts), record.timestamp),
        });
        Some(record)
    }

    /// Makes a portion ready to hand out a record: opens it again, or replaces it once it has no more. Says whether
    /// it is ready. One step: positions, facts and what the reader gets always agree.
    pub(in crate::consumer) fn renew(
        &self,
        reader: Reader,
        portion: &mut Option<Portion>,
    ) -> Result<bool, ConsumeError> {
        let mut state = self.state();
        if state.closed {
            return Err(ConsumeError::Closed);
        }
        let open_until = match &state.gate {
            None => None,
            Some(gate) => match gate() {
                None => return Ok(false),
                until => until,
            },
        };
        let mut has_room = Vec::new();
        let mut leased = Ok(());
        if portion.as_ref().is_none_or(|portion| !portion.has_more()) {
            has_room = state.positions.settle(reader);
            leased = self.lease(&mut state, reader, &mut has_room).map(|fresh| *portion = fresh);
        }
        drop(state);
        for partition in &has_room {
            self.wake_fetcher_of(partition);
        }
        leased?;
        let Some(portion) = portion else { return Ok(false) };
        portion.open(open_until);
        Ok(true)
    }

    fn lease(
        &self,
        state: &mut State,
        reader: Reader,
        has_room: &mut Vec<TopicPartition>,
    ) -> Result<Option<Portion>, ConsumeError> {
        let records_max = match buggify::fires("consumer.buffer-of-one") {
            true => 1,
            false => self.config.poll_records_max.max(1),
        };
        loop {
            let grant = state.positions.lease(reader, records_max)?;
            self.state_facts(&grant.events);
            has_room.extend(grant.has_room);
            // Behind what was passed over there may be more.
            if grant.portion.is_some() || grant.events.is_empty() {
                return Ok(grant.portion);
            }
        }
    }
}
