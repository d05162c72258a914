//! Who hears the facts: one sink of the process, or one of each simulation.

use super::Fact;

/// Receives facts as they are stated.
pub trait Sink {
    fn record(&self, fact: Fact);
}

#[cfg(feature = "real-runtime")]
mod installed {
    use super::{Fact, Sink};
    use std::sync::OnceLock;

    static SINK: OnceLock<Box<dyn Sink + Send + Sync>> = OnceLock::new();

    /// Installs the process's journal. The first one stays; returns whether this was it.
    pub fn install(sink: Box<dyn Sink + Send + Sync>) -> bool {
        SINK.set(sink).is_ok()
    }

    /// States a fact; `fact` is not called when nobody listens.
    #[inline]
    pub fn record(fact: impl FnOnce() -> Fact) {
        if let Some(sink) = SINK.get() {
            sink.record(fact());
        }
    }
}

#[cfg(not(feature = "real-runtime"))]
mod installed {
    use super::{Fact, Sink};
    use std::cell::RefCell;
    use std::rc::Rc;

    thread_local! {
        static SINK: RefCell<Option<Rc<dyn Sink>>> = const { RefCell::new(None) };
    }

    /// Installs the history of this thread's simulation, or removes it.
    pub fn install(sink: Option<Rc<dyn Sink>>) {
        SINK.set(sink);
    }

    /// States a fact; `fact` is not called when nobody listens, nor for a node's dead incarnation.
    pub fn record(fact: impl FnOnce() -> Fact) {
        let sink = SINK.with_borrow(|sink| sink.clone());
        if let Some(sink) = sink
            && crate::runtime::task::current_is_alive()
        {
            sink.record(fact());
        }
    }
}

pub use installed::{install, record};
