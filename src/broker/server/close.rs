//! Why connections end.

use std::io;

use crate::protocol::frame::FrameError;
use crate::protocol::{ErrorCode, RequestError};

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Close {
    #[error("the client closed it")]
    Peer,
    #[error("the broker stops")]
    Stopping,
    #[error("idle for too long")]
    Idle,
    #[error("a request did not arrive in time")]
    Slow,
    #[error("a large request stood still while others waited for memory")]
    Stalled,
    #[error("the client does not read its replies")]
    NotReading,
    #[error("a produce request without acknowledgement failed: {0}")]
    UnacknowledgedFailed(ErrorCode),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Close {
    /// Whether the broker ended it for what the client did.
    pub fn is_fault_of_client(&self) -> bool {
        !matches!(self, Close::Peer | Close::Stopping | Close::Io(_))
    }
}
