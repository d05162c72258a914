//! Who is in the cluster: registrations, which live as long as their session.

use std::collections::BTreeMap;

use super::{
    ATTEMPTS_MAX, BrokerRegistration, RegistrationEpoch, Registry, RegistryError, corrupt, patiently, znodes,
};
use crate::runtime::clock;
use crate::types::BrokerId;
use crate::zookeeper::{CreateMode, Watch, WatchEvent, ZkError};

impl Registry {
    /// Registers a broker for as long as the session lives. `RegisteredElsewhere` while another session, if
    /// only this process's previous one, holds the id: see [`Registry::wait_unregistered`].
    pub async fn register_broker(
        &self,
        registration: &BrokerRegistration,
    ) -> Result<RegistrationEpoch, RegistryError> {
        let broker = registration.broker;
        let path = znodes::broker(broker);
        let data = znodes::write_broker(registration, clock::wall_now());
        for _ in 0..ATTEMPTS_MAX {
            match self.zookeeper.create(&path, &data, CreateMode::Ephemeral).await {
                // Whose the node is, the node itself tells: a lost reply may have hidden a success, and
                // "exists" may mean somebody else.
                Ok(_) | Err(ZkError::NodeExists | ZkError::ConnectionLost) => {}
                Err(error) => return Err(error.into()),
            }
            match self.read_back(|| self.zookeeper.exists(&path)).await? {
                Some(stat) if stat.ephemeral_owner == self.zookeeper.session_id() => {
                    return Ok(RegistrationEpoch(stat.czxid));
                }
                Some(stat) => {
                    return Err(RegistryError::RegisteredElsewhere { broker, session: stat.ephemeral_owner });
                }
                None => {}
            }
        }
        Err(ZkError::ConnectionLost.into())
    }

    /// The session that holds a broker's registration, if there is one.
    pub async fn registration_session(&self, broker: BrokerId) -> Result<Option<i64>, RegistryError> {
        let path = znodes::broker(broker);
        let stat = self.read_back(|| self.zookeeper.exists(&path)).await?;
        Ok(stat.map(|stat| stat.ephemeral_owner))
    }

    /// Removes the registration that `session` holds. For a caller who knows that the session's process is
    /// dead; otherwise wait for the session to expire.
    pub async fn remove_registration(&self, broker: BrokerId, session: i64) -> Result<(), RegistryError> {
        if self.registration_session(broker).await? != Some(session) {
            return Ok(());
        }
        match self.zookeeper.delete(&znodes::broker(broker), None).await {
            // A lost reply may hide a success; the caller waits until the node is gone in any case.
            Ok(()) | Err(ZkError::NoNode | ZkError::ConnectionLost) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until nobody is registered as `broker`.
    pub async fn wait_unregistered(&self, broker: BrokerId) -> Result<(), RegistryError> {
        let path = znodes::broker(broker);
        loop {
            match self.zookeeper.exists_watch(&path).await {
                Ok((None, _)) => return Ok(()),
                Ok((Some(_), changed)) => {
                    if changed.await == WatchEvent::SessionLost {
                        return Err(ZkError::SessionExpired.into());
                    }
                }
                Err(ZkError::ConnectionLost) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The ids of the brokers alive, in order, as of now: not as of what this client last heard.
    pub async fn live_broker_ids(&self) -> Result<Vec<BrokerId>, RegistryError> {
        patiently(|| self.zookeeper.sync(znodes::BROKER_IDS)).await?;
        let names = patiently(|| self.zookeeper.get_children(znodes::BROKER_IDS)).await?;
        let mut ids = names.iter().map(|name| broker_id(name)).collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// The brokers alive.
    pub async fn brokers(&self) -> Result<BTreeMap<BrokerId, BrokerRegistration>, RegistryError> {
        let names = patiently(|| self.zookeeper.get_children(znodes::BROKER_IDS)).await?;
        self.registrations(names).await
    }

    /// The brokers alive; the watch fires when one comes or goes.
    pub async fn brokers_watch(
        &self,
    ) -> Result<(BTreeMap<BrokerId, BrokerRegistration>, Watch), RegistryError> {
        let (names, changed) = patiently(|| self.zookeeper.get_children_watch(znodes::BROKER_IDS)).await?;
        Ok((self.registrations(names).await?, changed))
    }

    async fn registrations(
        &self,
        names: Vec<String>,
    ) -> Result<BTreeMap<BrokerId, BrokerRegistration>, RegistryError> {
        let mut registrations = BTreeMap::new();
        for name in names {
            let id = broker_id(&name)?;
            let path = znodes::broker(id);
            match patiently(|| self.zookeeper.get_data(&path)).await {
                Ok((data, _)) => {
                    let read = znodes::read_broker(id, &data).map_err(|e| corrupt(&path, e))?;
                    registrations.insert(id, read);
                }
                // It went after the names were read; the watch on them tells.
                Err(ZkError::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(registrations)
    }
}

fn broker_id(name: &str) -> Result<BrokerId, RegistryError> {
    name.parse().map(BrokerId).map_err(|_| RegistryError::Corrupt {
        path: format!("{}/{name}", znodes::BROKER_IDS),
        reason: "the name is no broker id".to_owned(),
    })
}
