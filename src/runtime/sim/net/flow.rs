//! One direction of a connection: what is on its way, the window that bounds it, and what is known of its
//! acknowledgement.
//!
//! Pure: time is an argument, waking is the caller's. What a cut link holds back has the arrival [`HELD`].

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::link::LinkLatency;
use super::timer::Waiting;
use crate::runtime::Instant;
use crate::runtime::sim::disk::Pages;

/// The arrival of what no longer travels: it waits for TCP to send it again.
pub(super) const HELD: Instant = Instant::FAR_FUTURE;

/// What travels from one kernel to the other.
#[derive(Debug)]
pub(super) enum Item {
    /// The last step of the handshake: the connection may be accepted.
    Open,
    Data(Bytes),
    Fin,
    Rst,
    /// Something for an end that is no more: its machine answers with a reset.
    Stray,
}

#[derive(Debug)]
struct InFlight {
    arrival: Instant,
    item: Item,
    /// Where the data is sent from when it arrives: the pages of a file.
    pages: Option<Pages>,
}

impl InFlight {
    /// Its receiver is no more. Whether its arrival calls for an answer.
    fn stray(&mut self) -> bool {
        let strays = matches!(self.item, Item::Data(_) | Item::Open | Item::Stray);
        self.item = Item::Stray;
        strays
    }
}

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Bytes(usize),
    /// The peer closed its half.
    End,
    Nothing,
}

pub(super) struct Flow {
    queue: VecDeque<InFlight>,
    /// Segments never overtake each other.
    last_arrival: Instant,
    pub(super) latency: LinkLatency,
    /// Whether what is sent now gets there.
    pub(super) forward_open: bool,
    pub(super) fin_sent: bool,
    /// When data was sent last.
    pub(super) last_sent: Option<Instant>,

    /// Bytes sent whose room in the window has not been given back.
    outstanding: u64,
    read_since_update: u64,
    /// Room given back by the reader, on its way to the writer.
    updates: VecDeque<(Instant, u64)>,

    /// When the last thing sent is acknowledged, if no link is cut until then.
    acked_by: Instant,
    /// Since when something sent (or waiting for room) has gone unacknowledged because a link is cut.
    starving_since: Option<Instant>,
    /// The same, once it was sent again and until it is acknowledged: another cut must not start anew.
    sent_again_since: Option<Instant>,

    pub(super) reader: Waiting,
    pub(super) writer: Waiting,
}

impl Flow {
    pub(super) fn new(latency: LinkLatency) -> Flow {
        Flow {
            queue: VecDeque::new(),
            last_arrival: Instant::START,
            latency,
            forward_open: true,
            fin_sent: false,
            last_sent: None,
            outstanding: 0,
            read_since_update: 0,
            updates: VecDeque::new(),
            acked_by: Instant::START,
            starving_since: None,
            sent_again_since: None,
            reader: Waiting::default(),
            writer: Waiting::default(),
        }
    }

    // -- the sender's side ----------------------------------------------------------------------------

    /// When something sent with arrival `at`, were the way clear, really arrives.
    pub(super) fn arrival(&self, at: Instant) -> Instant {
        let behind_held = self.queue.back().is_some_and(|last| last.arrival == HELD);
        if self.forward_open && !behind_held { at.max(self.last_arrival) } else { HELD }
    }

    /// Sends `item`; `arrival` comes from [`Flow::arrival`].
    pub(super) fn push(&mut self, arrival: Instant, item: Item) {
        if arrival != HELD {
            assert!(arrival >= self.last_arrival, "segments never overtake each other");
            self.last_arrival = arrival;
        }
        if let Item::Data(bytes) = &item {
            self.outstanding += bytes.len() as u64;
        }
        self.queue.push_back(InFlight { arrival, item, pages: None });
    }

    /// What was sent last, if it was sent whole, comes out of these pages when it arrives.
    pub(super) fn sent_from(&mut self, pages: Pages, len: usize) {
        if let Some(InFlight { item: Item::Data(bytes), pages: from, .. }) = self.queue.back_mut()
            && bytes.len() == len
        {
            *from = Some(pages);
        }
    }

    /// Bytes that may be sent now.
    pub(super) fn room(&mut self, window: u64, now: Instant) -> u64 {
        while self.updates.front().is_some_and(|(arrival, _)| *arrival <= now) {
            let (_, bytes) = self.updates.pop_front().expect("looked at just above");
            self.outstanding -= bytes;
        }
        window.saturating_sub(self.outstanding)
    }

    /// When more room becomes known to the writer.
    pub(super) fn next_update(&self) -> Option<Instant> {
        self.updates.front().map(|(arrival, _)| *arrival).filter(|arrival| *arrival != HELD)
    }

    /// What is sent now is acknowledged at `at`.
    pub(super) fn expect_ack(&mut self, at: Instant, now: Instant) {
        if self.acked_by <= now {
            self.sent_again_since = None;
        }
        self.acked_by = self.acked_by.max(at);
    }

    /// Whether something was sent whose acknowledgement is not here yet.
    pub(super) fn is_unacknowledged(&self, now: Instant) -> bool {
        self.acked_by > now || self.queue.back().is_some_and(|last| last.arrival == HELD)
    }

    /// Something waits for an acknowledgement that cannot come. Since when, if this is news.
    pub(super) fn starve(&mut self, now: Instant) -> Option<Instant> {
        if self.starving_since.is_some() {
            return None;
        }
        let again = self.sent_again_since.filter(|_| self.acked_by > now);
        self.starving_since = Some(again.unwrap_or(now));
        self.starving_since
    }

    pub(super) fn starving_since(&self) -> Option<Instant> {
        self.starving_since
    }

    /// The way there and back is clear again, and all is acknowledged by `acked_by`.
    pub(super) fn end_starvation(&mut self, acked_by: Instant) {
        self.sent_again_since = self.starving_since.take();
        self.acked_by = acked_by;
    }

    // -- the receiver's side --------------------------------------------------------------------------

    /// Moves what has arrived, at most `limit` bytes, to `buffer`.
    pub(super) fn take(&mut self, now: Instant, limit: usize, buffer: &mut BytesMut) -> Taken {
        let mut taken = 0;
        while let Some(front) = self.queue.front_mut() {
            if front.arrival > now || taken == limit {
                break;
            }
            match &mut front.item {
                Item::Data(bytes) => {
                    if let Some(pages) = front.pages.take() {
                        pages.refresh(bytes);
                    }
                    let count = bytes.len().min(limit - taken);
                    buffer.extend_from_slice(&bytes[..count]);
                    bytes.advance(count);
                    taken += count;
                    if !bytes.is_empty() {
                        break;
                    }
                    self.queue.pop_front();
                }
                Item::Open => {
                    self.queue.pop_front();
                }
                Item::Fin if taken == 0 => return Taken::End,
                Item::Fin | Item::Rst | Item::Stray => break,
            }
        }
        if taken == 0 { Taken::Nothing } else { Taken::Bytes(taken) }
    }

    /// Counts bytes read; the bytes to give back to the writer, once they are worth an update.
    pub(super) fn count_read(&mut self, bytes: usize, window: u64) -> Option<u64> {
        self.read_since_update += bytes as u64;
        let worth_it = self.read_since_update >= window / 4;
        worth_it.then(|| std::mem::take(&mut self.read_since_update))
    }

    /// Gives `bytes` of room back to the writer, who knows at `arrival` (never, if [`HELD`]).
    pub(super) fn push_update(&mut self, arrival: Instant, bytes: u64) {
        let last = self.updates.back().map_or(Instant::START, |(arrival, _)| *arrival);
        self.updates.push_back((arrival.max(last), bytes));
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.queue.front().map(|front| front.arrival).filter(|arrival| *arrival != HELD)
    }

    /// Whether bytes have arrived that nobody has read.
    pub(super) fn has_unread(&self, now: Instant) -> bool {
        self.arrived(now).any(|item| matches!(item, Item::Data(bytes) if !bytes.is_empty()))
    }

    pub(super) fn has_arrived_reset(&self, now: Instant) -> bool {
        self.arrived(now).any(|item| matches!(item, Item::Rst))
    }

    pub(super) fn has_arrived_end(&self, now: Instant) -> bool {
        self.arrived(now).any(|item| matches!(item, Item::Fin))
    }

    pub(super) fn has_arrived_opening(&self, now: Instant) -> bool {
        self.arrived(now).any(|item| matches!(item, Item::Open))
    }

    pub(super) fn has_reset(&self) -> bool {
        self.queue.iter().any(|in_flight| matches!(in_flight.item, Item::Rst))
    }

    fn arrived(&self, now: Instant) -> impl Iterator<Item = &Item> {
        self.queue
            .iter()
            .take_while(move |in_flight| in_flight.arrival <= now)
            .map(|in_flight| &in_flight.item)
    }

    /// The receiver failed: what has arrived can still be read, the end of the stream too, what is on its way strays. When the first
    /// of that arrives, if anything does.
    pub(super) fn keep_arrived_data(&mut self, now: Instant) -> Option<Instant> {
        self.queue.retain_mut(|in_flight| {
            let arrived = in_flight.arrival <= now;
            if arrived { matches!(in_flight.item, Item::Data(_) | Item::Fin) } else { in_flight.stray() }
        });
        let first = self.queue.iter().map(|in_flight| in_flight.arrival).find(|arrival| *arrival > now);
        first.filter(|arrival| *arrival != HELD)
    }

    /// The receiver is no more: nobody reads what has arrived, and what is on its way strays. When the
    /// first of that arrives, if anything does.
    pub(super) fn abandon(&mut self, now: Instant) -> Option<Instant> {
        self.queue.retain_mut(|in_flight| in_flight.arrival > now && in_flight.stray());
        self.next_arrival()
    }

    /// Takes what has arrived for an end that is no more; whether that calls for a reset.
    pub(super) fn take_strays(&mut self, now: Instant) -> bool {
        let before = self.queue.len();
        self.queue.retain(|in_flight| in_flight.arrival > now || !matches!(in_flight.item, Item::Stray));
        self.queue.len() < before
    }

    // -- cut links ------------------------------------------------------------------------------------

    /// The link is cut: what is on its way is lost, and waits to be sent again; resets do not. Whether anything was.
    pub(super) fn hold(&mut self, now: Instant) -> bool {
        let is_under_way = self.in_flight(now) > 0;
        self.queue.retain(|in_flight| in_flight.arrival <= now || !matches!(in_flight.item, Item::Rst));
        for in_flight in self.queue.iter_mut().rev().take_while(|in_flight| in_flight.arrival > now) {
            in_flight.arrival = HELD;
        }
        self.last_arrival = self.last_arrival.min(now);
        is_under_way
    }

    /// The link back is cut: the updates on their way are lost.
    pub(super) fn hold_updates(&mut self, now: Instant) {
        for (arrival, _) in self.updates.iter_mut().rev().take_while(|(arrival, _)| *arrival > now) {
            *arrival = HELD;
        }
    }

    /// Sends again what was held; it arrives at `at`, or behind what travels already. When, if
    /// there was any.
    pub(super) fn release(&mut self, at: Instant) -> Option<Instant> {
        let at = at.max(self.last_arrival);
        let mut released = false;
        for in_flight in self.queue.iter_mut().rev().take_while(|in_flight| in_flight.arrival == HELD) {
            in_flight.arrival = at;
            released = true;
        }
        if released {
            self.last_arrival = at;
        }
        released.then_some(at)
    }

    /// Bytes that wait to be sent again.
    pub(super) fn held_bytes(&self) -> u64 {
        let held = self.queue.iter().rev().take_while(|in_flight| in_flight.arrival == HELD);
        held.map(|in_flight| if let Item::Data(bytes) = &in_flight.item { bytes.len() as u64 } else { 0 })
            .sum()
    }

    /// What travels arrives at `at`, if it was to be later, and is acknowledged at `acked_by`.
    pub(super) fn hasten(&mut self, at: Instant, acked_by: Instant) {
        for in_flight in self.queue.iter_mut().filter(|in_flight| in_flight.arrival != HELD) {
            in_flight.arrival = in_flight.arrival.min(at);
        }
        self.last_arrival = self.last_arrival.min(at);
        self.acked_by = self.acked_by.min(acked_by);
    }

    pub(super) fn has_held_updates(&self) -> bool {
        self.updates.back().is_some_and(|(arrival, _)| *arrival == HELD)
    }

    pub(super) fn release_updates(&mut self, at: Instant) {
        for (arrival, _) in self.updates.iter_mut().rev().take_while(|(arrival, _)| *arrival == HELD) {
            *arrival = at;
        }
    }

    /// The sender's machine lost its power: of what is on its way only the first `survivors` arrive.
    pub(super) fn lose_in_flight(&mut self, now: Instant, survivors: usize) {
        let arrived = self.queue.partition_point(|in_flight| in_flight.arrival <= now);
        let travelling = self.queue.partition_point(|in_flight| in_flight.arrival != HELD);
        self.queue.truncate(travelling.min(arrived + survivors));
    }

    /// How many segments are on their way (held ones are not).
    pub(super) fn in_flight(&self, now: Instant) -> usize {
        let arrived = self.queue.partition_point(|in_flight| in_flight.arrival <= now);
        self.queue.partition_point(|in_flight| in_flight.arrival != HELD) - arrived
    }

    /// The sender gives up: it sends nothing again.
    pub(super) fn forget_held(&mut self) {
        while self.queue.back().is_some_and(|last| last.arrival == HELD) {
            self.queue.pop_back();
        }
        self.starving_since = None;
        self.sent_again_since = None;
        self.acked_by = Instant::START;
    }
}

#[cfg(test)]
mod tests;
