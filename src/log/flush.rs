//! What waits for the disk, taken out of the log so that no lock is held meanwhile (stub).

use std::io;

use super::LogError;

/// What must reach the disk for the log to be durable up to where it ended when the ticket was made. Run it,
/// then hand it back: to [`super::Log::finish_flush`] or, after an error, to [`super::Log::flush_failed`].
/// Tickets may overlap and may be dropped before they run.
pub struct FlushTicket {}

impl FlushTicket {
    /// Syncs files, directory, and now and then the recovery checkpoint. Once begun it must run to its end: a
    /// sync whose error nobody hears of would be forgotten by the operating system.
    pub async fn run(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What makes the next open trust the log as it stands.
pub struct CloseTicket {}

impl CloseTicket {
    /// Flushes everything, then leaves the mark of a clean shutdown.
    pub async fn run(self) -> Result<(), LogError> {
        Ok(())
    }
}
