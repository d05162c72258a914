//! ZooKeeper's sessions: the server says that one is over although its client lives.

use super::{Injector, Name};
use crate::history::{Injected, broker_of_node};

impl Injector {
    /// Expires the session under which the broker registered last, if it still lives.
    pub(super) fn expire_session(&mut self, target: &Name) {
        let session = broker_of_node(target)
            .and_then(|broker| self.recorder.progress(|progress| progress.session(broker)));
        let (Some(session), Some(control)) = (session, self.cluster.zookeeper_control()) else { return };
        if control.sessions().contains(&session) {
            self.state(Injected::ExpireSession { target: target.clone(), session });
            control.expire_session(session);
        }
    }
}
