//! What people read of a running process: one event a line on standard error, as `key=value` that parses.
//!
//!     time=2026-01-31T12:00:00.000000Z level=info event=leadership_taken partition=orders-0 epoch=3
//!
//! A value with a space, a quote, an equals sign or a control character stands in quotes, escaped, so that no
//! client can write a line of its own. Colours go to a terminal only. Warnings that repeat are gathered
//! ([`gather`]).

mod gather;
mod line;

use std::io::{IsTerminal, Write};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use seedlog::runtime::lock::Mutex;
use seedlog::runtime::{clock, task};

use gather::Gathered;
use line::{Colours, Line};

/// How often a running server looks whether gathered warnings are due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The process's log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    gathered: Arc<Mutex<Gathered<Identifier>>>,
    colours: Colours,
}

impl Log {
    /// From here on events go to standard error. `SEEDLOG_LOG` filters them (`info` unless set; `debug`,
    /// `seedlog::broker=trace` ...).
    pub fn start() -> Log {
        let filter = EnvFilter::try_from_env("SEEDLOG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let wants_colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let colours = if wants_colours { Colours::Ansi } else { Colours::None };
        let log = Log { gathered: Arc::default(), colours };
        registry().with(filter).with(log.clone()).init();
        log
    }

    /// Runs `work` to its end on the runtime's threads, and writes gathered warnings when they are due.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        task::block_on(async {
            tokio::select! {
                biased;
                done = work => done,
                () = self.write_gathered() => unreachable!("it has no end"),
            }
        })
    }

    async fn write_gathered(&self) {
        loop {
            clock::sleep(LOOK_INTERVAL).await;
            let due = self.gathered.lock().unwrap_or_else(PoisonError::into_inner).take_due(clock::now());
            due.iter().for_each(|line| write(line));
        }
    }

    /// Writes what is still gathered: the process ends.
    pub fn finish(&self) {
        let rest = self.gathered.lock().unwrap_or_else(PoisonError::into_inner).take_all(clock::now());
        rest.iter().for_each(|line| write(line));
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let line = Line::of(event, self.colours);
        if *event.metadata().level() != Level::WARN {
            return write(&line.text());
        }
        // The line is made before the lock: what it shows may panic, and the hook logs too.
        let taken = {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.take(event.metadata().callsite(), line, clock::now())
        };
        taken.iter().for_each(|line| write(line));
    }
}

/// One write a line, so that lines of several threads do not mix.
fn write(line: &str) {
    // Where standard error is gone, nobody is left to be told so.
    drop(std::io::stderr().lock().write_all(line.as_bytes()));
}
