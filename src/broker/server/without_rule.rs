//! What a connection does where a safety rule is suspended: never in a deployed broker.

use std::time::Duration;

use super::close::Close;
use super::connection::Connection;
use crate::runtime::clock;

/// How late an append may be where the rule that it precedes its reply is suspended.
const LATE_APPEND: Duration = Duration::from_millis(20);

impl Connection {
    /// Without `append-before-ack`: as if another task appended, when it gets round to it.
    pub(super) async fn acknowledge_before_append(&mut self) -> Result<(), Close> {
        self.run.foretell();
        self.run.reply(&self.core, &mut self.out);
        self.send().await?;
        clock::sleep(LATE_APPEND).await;
        self.run.append(&self.core);
        self.run.finish(&self.core).map_err(Close::UnacknowledgedFailed)
    }
}
