//! The simulated cluster: one ZooKeeper server, brokers, and a node for each client.
//!
//! Builds and names nodes. Who starts them, and who injures them, is decided elsewhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use seedlog::broker::Broker;
use seedlog::broker::config::{BrokerConfig, CheckedConfig};
use seedlog::facts::{self, Fact};
use seedlog::runtime::sim::identity::NodeId;
use seedlog::runtime::sim::world;
use seedlog::types::BrokerId;
use seedlog::zk_sim;

use crate::app::Applications;
use crate::history::{broker_node, broker_of_node};
use crate::scenario::Plan;
use crate::workload::{self, Servers, Shared};

pub const ZOOKEEPER: &str = "zookeeper";
const ZOOKEEPER_PORT: u16 = 2181;
const BROKER_PORT: u16 = 9092;
const HTTP_PORT: u16 = 9644;
/// Where a broker keeps its logs.
pub const LOG_DIR: &str = "/data";
/// Sessions expire on multiples of this.
const ZOOKEEPER_TICK: Duration = Duration::from_millis(500);

/// Makes the topics; there before and after the storm only.
pub const ADMIN: &str = "admin";
/// Writes one record to every partition after the heal.
pub const PROBE: &str = "probe";
/// Reads the brokers' pages, in the storm too.
pub const MONITOR: &str = "monitor";
/// Has a tool of ZooKeeper, and makes mistakes.
pub const OPERATOR: &str = "operator";
/// Looks at every broker while nothing is injured any more.
pub const VISITOR: &str = "visitor";
/// Reads everything once more in the drain.
pub const AUDITOR: &str = "auditor";

/// Every node of a run, by name.
pub struct Cluster {
    nodes: BTreeMap<Arc<str>, NodeId>,
    brokers: BTreeMap<BrokerId, Arc<str>>,
    members: Vec<Arc<str>>,
    /// What each broker's next incarnation runs with.
    settings: BTreeMap<BrokerId, Arc<Mutex<toml::Table>>>,
    shared: Arc<Shared>,
    zookeeper: Arc<Mutex<Option<zk_sim::Control>>>,
}

impl Cluster {
    /// Adds the nodes to the world; none of them runs yet.
    pub fn build(plan: &Plan, shared: &Arc<Shared>, applications: &Applications) -> anyhow::Result<Cluster> {
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            brokers: BTreeMap::new(),
            members: plan.members().map(|(name, _)| name.as_str().into()).collect(),
            settings: BTreeMap::new(),
            shared: Arc::clone(shared),
            zookeeper: Arc::new(Mutex::new(None)),
        };
        cluster.add_zookeeper(plan.session_max);
        for id in 1..=plan.brokers as i32 {
            cluster.add_broker(BrokerId(id), &plan.broker_config)?;
        }
        let servers = Servers {
            brokers: cluster.brokers.values().map(|name| format!("{name}:{BROKER_PORT}")).collect(),
            pages: cluster.brokers.iter().map(|(id, name)| (*id, name.to_string(), HTTP_PORT)).collect(),
            zookeeper: format!("{ZOOKEEPER}:{ZOOKEEPER_PORT}"),
        };
        let nodes = &mut cluster.nodes;
        let mut added = |name: &str, node| {
            nodes.insert(name.into(), node);
        };
        workload::add_clients(plan, &servers, shared, &mut added);
        workload::add_members(plan, applications, &servers, shared, &mut added)?;
        Ok(cluster)
    }

    /// Every node but the testbed's own clients, which are there for its own purposes.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes
            .keys()
            .filter(|name| ![ADMIN, PROBE, MONITOR, OPERATOR, VISITOR, AUDITOR].contains(&&***name))
    }

    /// The broker's next incarnation runs with another setting. Panics if the value is none that a broker takes:
    /// scenarios are checked before they run.
    pub fn reconfigure(&self, broker: &str, key: &str, value: &toml::Value) {
        let id = broker_of_node(broker).expect("only brokers are configured");
        let mut settings = self.settings[&id].lock().expect("never held over a panic");
        settings.insert(key.to_owned(), value.clone());
    }

    /// The node of this name. Panics if the plan has none: scenarios are checked before they run.
    pub fn node(&self, name: &str) -> NodeId {
        *self.nodes.get(name).unwrap_or_else(|| panic!("the cluster has no node `{name}`"))
    }

    pub fn brokers(&self) -> impl Iterator<Item = (BrokerId, &Arc<str>)> {
        self.brokers.iter().map(|(id, name)| (*id, name))
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Arc<str>> {
        self.brokers.get(&id)
    }

    /// The nodes of the members of every group.
    pub fn members(&self) -> &[Arc<str>] {
        &self.members
    }

    /// How members are asked to leave, or to be slow.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What the testbed may do to the ZooKeeper server, while it runs.
    pub fn zookeeper_control(&self) -> Option<zk_sim::Control> {
        self.zookeeper.lock().expect("never held over a panic").clone()
    }

    fn add_zookeeper(&mut self, session_max: Option<Duration>) {
        let control = Arc::clone(&self.zookeeper);
        let node = world::add_node(ZOOKEEPER, move || {
            let control = Arc::clone(&control);
            async move {
                let listen = SocketAddr::from(([0, 0, 0, 0], ZOOKEEPER_PORT));
                let mut config = zk_sim::ServerConfig::new(listen, ZOOKEEPER_TICK);
                config.max_session_timeout = session_max.unwrap_or(config.max_session_timeout);
                config.snapshot_dir = Some("/data/zookeeper".into());
                let server =
                    zk_sim::Server::start(config).await.expect("ZooKeeper starts on a healthy machine");
                *control.lock().expect("never held over a panic") = Some(server.control());
                std::future::pending::<()>().await;
            }
        });
        self.nodes.insert(ZOOKEEPER.into(), node);
    }

    fn add_broker(&mut self, id: BrokerId, config: &toml::Table) -> anyhow::Result<()> {
        let name = broker_node(id);
        broker_config(config, id).context("the broker's configuration")?;
        let settings = Arc::new(Mutex::new(config.clone()));
        self.settings.insert(id, Arc::clone(&settings));
        let shared = Arc::clone(&self.shared);
        let node = world::add_node(&name, move || {
            let settings = settings.lock().expect("never held over a panic").clone();
            let config = broker_config(&settings, id).expect("every setting was checked");
            run_broker(id, config, Arc::clone(&shared))
        });
        self.nodes.insert(Arc::clone(&name), node);
        self.brokers.insert(id, name);
        Ok(())
    }
}

/// A broker's process: serves until its log directory fails, or until it is asked to end.
async fn run_broker(id: BrokerId, config: CheckedConfig, shared: Arc<Shared>) {
    let name = broker_node(id);
    shared.begin(&name);
    match Broker::start(config).await {
        Ok(broker) => {
            let is_asked = tokio::select! {
                biased;
                () = shared.asked_to_leave(&name) => true,
                _failed = broker.failed() => false,
            };
            if is_asked {
                // A failure is a fact already.
                drop(broker.shutdown().await);
            }
        }
        Err(error) => facts::record(|| Fact::BrokerStartFailed { broker: id, reason: error.to_string() }),
    }
}

/// The configuration of one broker: `base`, which the scenario says, and what the cluster decides.
pub fn broker_config(
    base: &toml::Table,
    id: BrokerId,
) -> Result<CheckedConfig, seedlog::broker::config::ConfigError> {
    let name = broker_node(id);
    let mut table = base.clone();
    let mut set = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
    set("broker.id", toml::Value::Integer(id.0.into()));
    set("listeners", format!("0.0.0.0:{BROKER_PORT}").into());
    set("advertised.listeners", format!("{name}:{BROKER_PORT}").into());
    set("log.dirs", LOG_DIR.into());
    set("zookeeper.connect", format!("{ZOOKEEPER}:{ZOOKEEPER_PORT}").into());
    set("http_listen", format!("0.0.0.0:{HTTP_PORT}").into());
    set("auto.create.topics.enable", false.into());
    BrokerConfig::from_table(table)?.check()
}
