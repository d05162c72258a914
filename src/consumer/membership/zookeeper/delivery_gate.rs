//! Pauses delivery while no leader of ZooKeeper has answered for two thirds of the session (P24).
//!
//! An answered ping would not do: a follower that is cut from its leader goes on answering pings and reads while the
//! leader expires the session. Limit: it never says that the session expired; only ZooKeeper does. A leader keeps a
//! session for longer than the gate is open (see `ZooKeeper::alive_until`), so a pause always comes before another
//! member can take over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::consumer::shared::Shared;
use crate::facts::{self, Fact};
use crate::marks::{self, Mark};
use crate::rules::{self, Rule};
use crate::runtime::Instant;
use crate::runtime::clock::{self, DeadlineTimer};
use crate::zookeeper::ZooKeeper;

/// How often a paused member looks whether its session is confirmed again, as a part of the session timeout.
const LOOKS_PER_SESSION: u32 = 20;

/// Whose delivery.
pub(super) struct DeliveryGate {
    pub group: String,
    pub zookeeper: ZooKeeper,
    pub shared: Arc<Shared>,
    /// Stays from one session to the next: whoever begins to deliver ends the pause.
    pub paused: Arc<AtomicBool>,
    /// A reader was turned away, and has to be told when the gate is open again.
    pub refused: Arc<Notify>,
}

impl DeliveryGate {
    /// Nothing is handed out once the session may be over, to the instant: whatever the tasks do, and however
    /// long the process was stopped or the machine suspended.
    pub(super) fn close_when_unconfirmed(&self) {
        let (zookeeper, paused) = (self.zookeeper.clone(), Arc::clone(&self.paused));
        let refused = Arc::clone(&self.refused);
        self.shared.set_gate(Arc::new(move || {
            if !rules::holds(Rule::PauseWhenUnheard) {
                return Some(Instant::FAR_FUTURE);
            }
            // In this order: see `pause`.
            let until = zookeeper.alive_until();
            let is_open = !paused.load(Ordering::SeqCst) && clock::now() < until;
            if !is_open {
                refused.notify_one();
            }
            is_open.then_some(until)
        }));
    }

    /// States pauses and their ends, for as long as the session lives.
    pub(super) async fn run(self) {
        let mut timer = DeadlineTimer::new();
        loop {
            while clock::now() < self.zookeeper.alive_until() {
                timer.set(Some(self.zookeeper.alive_until()));
                tokio::select! {
                    biased;
                    // Confirmed again before this task came to say otherwise.
                    () = self.refused.notified() => self.wake_if_open(),
                    () = timer.expired() => {}
                }
            }
            if !rules::holds(Rule::PauseWhenUnheard) {
                return;
            }
            if !self.pause() {
                continue;
            }
            let look = (self.zookeeper.session_timeout() / LOOKS_PER_SESSION).max(Duration::from_millis(1));
            while clock::now() >= self.zookeeper.alive_until() {
                clock::sleep(look).await;
            }
            marks::sometimes(Mark::PausedAndResumedDelivery);
            self.resume();
        }
    }

    /// Not while a pause lasts, whose end wakes everybody: they would come and go for ever.
    fn wake_if_open(&self) {
        if !self.paused.load(Ordering::SeqCst) {
            self.shared.wake_readers();
        }
    }

    /// Returns whether the pause begins. Readers keep the time until which the gate is open, and that time only
    /// grows: whoever still has one that is not over saw no pause after he was told of it, so it is seen here.
    fn pause(&self) -> bool {
        self.paused.store(true, Ordering::SeqCst);
        if clock::now() < self.zookeeper.alive_until() {
            self.paused.store(false, Ordering::SeqCst);
            self.shared.wake_readers();
            return false;
        }
        let (group, consumer) = (&self.group, &self.shared.config.client_id);
        tracing::warn!(group, consumer, "group_delivery_paused");
        facts::record(|| Fact::DeliveryPaused { group: group.clone(), consumer: consumer.clone() });
        true
    }

    /// Ends a pause, if there is one.
    pub(super) fn resume(&self) {
        if !self.paused.load(Ordering::SeqCst) {
            return;
        }
        let (group, consumer) = (&self.group, &self.shared.config.client_id);
        tracing::info!(group, consumer, "group_delivery_resumed");
        facts::record(|| Fact::DeliveryResumed { group: group.clone(), consumer: consumer.clone() });
        self.paused.store(false, Ordering::SeqCst);
        self.shared.wake_readers();
    }
}
