//! Pauses delivery while ZooKeeper was not heard for two thirds of the session (P24).
//!
//! Limit: it never says that the session expired; only ZooKeeper does. A server that counts from what it heard
//! last waits for the whole session timeout, so a pause always comes before another member can take over.

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

/// How often a paused member looks whether it is heard again, as a part of the session timeout.
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

fn unheard_at(zookeeper: &ZooKeeper) -> Instant {
    zookeeper.confirmed_at() + zookeeper.session_timeout() * 2 / 3
}

impl DeliveryGate {
    /// Nothing is handed out while the member is unheard, to the instant: whatever the tasks do, and however
    /// long the whole process was stopped.
    pub(super) fn close_gate_when_unheard(&self) {
        let (zookeeper, paused) = (self.zookeeper.clone(), Arc::clone(&self.paused));
        let refused = Arc::clone(&self.refused);
        self.shared.set_gate(Arc::new(move || {
            if !rules::holds(Rule::PauseWhenUnheard) {
                return Some(Instant::FAR_FUTURE);
            }
            // In this order: see `pause`.
            let until = unheard_at(&zookeeper);
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
            while clock::now() < unheard_at(&self.zookeeper) {
                timer.set(Some(unheard_at(&self.zookeeper)));
                tokio::select! {
                    biased;
                    // Heard again before this task came to say otherwise.
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
            while clock::now() >= unheard_at(&self.zookeeper) {
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
        if clock::now() < unheard_at(&self.zookeeper) {
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
