//! The process itself: signals, and how many files it may have open. Signals are the `seedlog` command's alone; a
//! simulated process is killed from outside.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears when the process is asked to stop: SIGTERM or SIGINT. From [`Termination::watch`] on neither ends the process by
/// itself, and none is missed: one that comes before [`Termination::asked`] is told then.
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    pub fn watch() -> io::Result<Termination> {
        Ok(Termination {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Raises the soft limit of open files to the hard one, as a server with thousands of connections and segment
/// files needs it. Returns the limit in force.
pub fn raise_open_files_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// How many files, sockets and locks the process has open: for tests that look for what is not given back.
pub fn open_files() -> io::Result<u64> {
    #[allow(clippy::disallowed_methods)] // The seam's own look at the kernel's table.
    let listed = std::fs::read_dir("/proc/self/fd")?;
    // One of them is the listing itself.
    Ok((listed.count() as u64).saturating_sub(1))
}
