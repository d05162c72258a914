//! Kafka's broker properties that are not served (yet), so that a file brought from Kafka is told so, and not that
//! its keys are misspelt.
//!
//! Pure: a name in, a yes or no out. Names of Kafka 1.1 to 4.1.

/// Properties and, ending with a dot, families of them.
const NOT_SERVED: &[&str] = &[
    "advertised.host.name",
    "advertised.port",
    "alter.config.policy.class.name",
    "alter.log.dirs.replication.quota.window.num",
    "auth.",
    "authorizer.class.name",
    "auto.include.jmx.reporter",
    "auto.leader.rebalance.enable",
    "background.threads",
    "broker.heartbeat.interval.ms",
    "broker.id.generation.enable",
    "broker.rack",
    "broker.session.timeout.ms",
    "client.quota.callback.class",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "connection.failed.authentication.delay.ms",
    "connections.max.reauth.ms",
    "control.plane.listener.name",
    "controlled.shutdown.",
    "controller.",
    "create.topic.policy.class.name",
    "delegation.token.",
    "delete.records.purgatory.purge.interval.requests",
    "delete.topic.enable",
    "early.start.listeners",
    "fetch.purgatory.purge.interval.requests",
    "group.",
    "host.name",
    "initial.broker.registration.timeout.ms",
    "inter.broker.",
    "kafka.metrics.",
    "leader.imbalance.",
    "listener.security.protocol.map",
    "log.cleaner.",
    "log.cleanup.policy",
    "log.deletion.delay.ms",
    "log.dir.failure.timeout.ms",
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.scheduler.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.index.size.max.bytes",
    "log.initial.task.delay.ms",
    "log.local.retention.",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.preallocate",
    "log.retention.",
    "log.roll.hours",
    "log.roll.jitter.",
    "log.segment.delete.delay.ms",
    "max.connection.creation.rate",
    "max.connections.per.ip.overrides",
    "max.incremental.fetch.session.cache.slots",
    "max.request.partition.size.limit",
    "metadata.",
    "metric.reporters",
    "metrics.",
    "min.insync.replicas",
    "node.id",
    "num.io.threads",
    "num.network.threads",
    "num.quota.samples",
    "num.recovery.threads.per.data.dir",
    "num.replica.",
    "offset.metadata.max.bytes",
    "offsets.",
    "password.encoder.",
    "port",
    "principal.builder.class",
    "process.roles",
    "producer.id.expiration.",
    "producer.purgatory.purge.interval.requests",
    "queued.max.requests",
    "quota.",
    "remote.",
    "replica.",
    "replication.quota.",
    "request.timeout.ms",
    "reserved.broker.max.id",
    "sasl.",
    "security.",
    "server.max.startup.time.ms",
    "share.",
    "socket.connection.setup.timeout.",
    "socket.listen.backlog.size",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "ssl.",
    "telemetry.max.bytes",
    "transaction.",
    "transactional.id.",
    "unclean.leader.election.",
    "unstable.",
    "zookeeper.clientCnxnSocket",
    "zookeeper.max.in.flight.requests",
    "zookeeper.metadata.migration.enable",
    "zookeeper.set.acl",
    "zookeeper.ssl.",
    "zookeeper.sync.time.ms",
];

/// Whether Kafka knows the property, and we do not serve it.
pub(super) fn is_known_to_kafka(name: &str) -> bool {
    NOT_SERVED.iter().any(|known| match known.strip_suffix('.') {
        Some(_) => name.len() > known.len() && name.starts_with(known),
        None => name == *known,
    })
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn properties_and_families_are_told_from_what_kafka_does_not_know() {
        assert!(is_known_to_kafka("log.retention.hours"));
        assert!(is_known_to_kafka("ssl.keystore.location"));
        assert!(is_known_to_kafka("num.io.threads"));
        assert!(!is_known_to_kafka("log.retention."));
        assert!(!is_known_to_kafka("log.segment.byte"));
        assert!(!is_known_to_kafka("portal"));
    }

    #[test]
    fn what_is_served_is_not_in_the_list() {
        assert!(NOT_SERVED.is_sorted());
        assert!(keys::all_names().all(|name| !is_known_to_kafka(name)));
    }
}
