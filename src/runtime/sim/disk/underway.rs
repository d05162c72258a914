//! A sync that was asked for runs to its end, whoever waits for it: on a machine it is a thread's, which nobody
//! can call back. If whoever asked is gone it takes the one error along.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::machine::Covered;
use super::{Handle, acting, conclude, on_machine};
use crate::runtime::Instant;
use crate::runtime::sim::calls::LOOK_EVERY;
use crate::runtime::sim::identity::Identity;
use crate::runtime::sim::process::Descriptor;
use crate::runtime::sim::{clock, world};

/// A sync that the device works at.
pub(super) struct Sync {
    pub life: Identity,
    pub covered: Covered,
    /// The description that it was asked of; none is told of a directory's errors.
    pub description: Option<Arc<Handle>>,
    /// What was opened for this sync alone.
    pub _lent: Option<Descriptor>,
}

impl Sync {
    fn finish(self) -> io::Result<()> {
        let life = acting(self.life)?;
        let mut told = self.description.as_ref().map_or(0, |handle| handle.told.load(Ordering::Relaxed));
        let effect = on_machine(life.node, |machine| machine.finish_sync(life, self.covered, &mut told));
        if let Some(handle) = &self.description {
            handle.told.store(told, Ordering::Relaxed);
        }
        conclude(life, effect)
    }
}

/// Waits for the device, which takes the time that it takes.
pub(super) async fn finished(sync: Sync) -> io::Result<()> {
    let time = on_machine(sync.life.node, |machine| machine.draw_sync_time(sync.covered));
    let at = clock::now() + time;
    let of = (sync.life, sync.covered);
    let mut awaited = Awaited { sync: Some(sync), at };
    device_is_done(of, at).await;
    awaited.sync.take().expect("taken here or in its destructor").finish()
}

/// Until then the device is busy; and for as long as it hangs.
async fn device_is_done((life, covered): (Identity, Covered), at: Instant) {
    clock::sleep_until(at).await;
    while on_machine(life.node, |machine| machine.sync_hangs(covered)) {
        clock::sleep(LOOK_EVERY).await;
    }
}

struct Awaited {
    sync: Option<Sync>,
    at: Instant,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let Some(sync) = self.sync.take() else { return };
        let at = self.at;
        world::run_on(sync.life, async move {
            device_is_done((sync.life, sync.covered), at).await;
            let _nobody_hears = sync.finish();
        });
    }
}
