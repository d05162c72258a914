//! A server in a process of its own.

use std::io;
use std::process::Child;

use crate::usage::Usage;

/// A server started for the benchmark; killed, by its process id, when dropped.
pub struct Server {
    pub child: Child,
    pub port: u16,
}

impl Server {
    pub fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(|_| ())) {
            eprintln!("cannot stop process {}: {error}", self.child.id());
        }
    }
}
