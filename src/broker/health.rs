//! Whether a broker is well, for whoever watches over it: `/health` answers 200, or 503 with every reason.

use super::core::Core;
use super::replicas::Local;
use crate::registry::Registry;
use crate::runtime::{clock, disk};

/// With less space than this the data directory counts as full: a large batch would be refused.
const FREE_BYTES_MIN: u64 = 1 << 20;
/// Partitions that are named one by one; the rest are counted.
const OFFLINE_NAMED_MAX: usize = 10;

impl Core {
    /// Why the broker is not as it should be, one text a reason; empty while it is well.
    pub fn health_problems(&self) -> Vec<String> {
        let failed = self.failure.reason().map(|reason| format!("log directory failed: {reason}"));
        let mut problems: Vec<String> = failed.into_iter().collect();
        problems.extend(self.supervision.reasons());
        match self.registry() {
            None => problems.push("not registered in ZooKeeper".to_owned()),
            Some(registry) => problems.extend(zookeeper_unheard(&registry)),
        }
        problems.extend(self.offline_partitions());
        problems.extend(self.shortage.reason());
        problems.extend(self.lack_of_space());
        problems
    }

    fn lack_of_space(&self) -> Option<String> {
        let directory = &self.config.data_dir;
        let free_bytes = disk::free_bytes(directory).ok().filter(|free| *free < FREE_BYTES_MIN)?;
        Some(format!("no space left in {}: {free_bytes} bytes free", directory.display()))
    }

    fn offline_partitions(&self) -> Vec<String> {
        let all = self.replicas.all();
        let offline = all.iter().filter_map(|(name, local)| match local {
            Local::Offline { reason, .. } => Some(format!("partition {name} is offline: {reason}")),
            Local::Open(_) => None,
        });
        let mut problems: Vec<String> = offline.collect();
        let beyond = problems.len().saturating_sub(OFFLINE_NAMED_MAX);
        if beyond > 0 {
            problems.truncate(OFFLINE_NAMED_MAX);
            problems.push(format!("{beyond} more partitions are offline"));
        }
        problems
    }
}

/// After a session's time without word from ZooKeeper's leader the registration may be gone. What a follower answers
/// that lost its leader proves nothing.
fn zookeeper_unheard(registry: &Registry) -> Option<String> {
    let zookeeper = registry.zookeeper();
    let silence = clock::now().saturating_since(zookeeper.leader_confirmed_at());
    let session = zookeeper.session_timeout();
    zookeeper.may_have_expired().then(|| {
        let (silence, session) = (silence.as_millis(), session.as_millis());
        format!("no leader of ZooKeeper was heard for {silence} ms, longer than a session ({session} ms)")
    })
}
