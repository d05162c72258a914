//! Why a record was not confirmed: by what the application may conclude.

/// The fate of a record that was not confirmed. Cheap to clone: every record of a batch shares one.
///
/// ```
/// use seedlog::producer::SendError;
///
/// /// Whether sending the record again cannot store it twice.
/// fn is_safe_to_repeat(error: &SendError) -> bool {
///     !error.is_unknown()
/// }
///
/// assert!(is_safe_to_repeat(&SendError::Failed("not the leader".into())));
/// assert!(!is_safe_to_repeat(&SendError::Unknown("no response in time".into())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Definitely not stored.
    #[error("not stored: {0}")]
    Failed(std::sync::Arc<str>),
    /// May or may not be stored: sending it again may store it twice.
    #[error("outcome unknown: {0}")]
    Unknown(std::sync::Arc<str>),
    /// Not even accepted: no broker answered for the whole metadata timeout.
    #[error(transparent)]
    NoBroker(crate::client::NoBroker),
    /// Not even accepted: the producer is closed.
    #[error("the producer is closed")]
    Closed,
    /// Not even accepted: larger than the buffer or a request may be.
    #[error("a record of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge { bytes: usize, limit: usize },
}

impl SendError {
    /// Whether the record may be stored all the same.
    pub fn is_unknown(&self) -> bool {
        matches!(self, SendError::Unknown(_))
    }
}
