//! Who is in the cluster: registrations, which live as long as their session.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::znodes::{self, Unreadable};
use super::{
    ATTEMPTS_MAX, BrokerRegistration, RegistrationEpoch, Registry, RegistryError, report_skipped, retry_read,
};
use crate::runtime::clock;
use crate::types::{BrokerId, SessionId};
use crate::zookeeper::{CreateMode, MultiOp, Watch, WatchEvent, ZkError};

impl Registry {
    /// Registers a broker for as long as the session lives. `RegisteredElsewhere` while another session, if
    /// only this process's previous one, holds the id: see [`Registry::wait_unregistered`].
    pub async fn register_broker(
        &self,
        registration: &BrokerRegistration,
    ) -> Result<RegistrationEpoch, RegistryError> {
        let broker = registration.broker;
        let path = znodes::broker(broker);
        let data = Bytes::from(znodes::write_broker(registration, clock::wall_now()));
        let creation = MultiOp::Create { path: path.clone(), data, mode: CreateMode::Ephemeral };
        // Counts registrations, for whoever removes one: see [`Registry::remove_registration`].
        let count =
            MultiOp::SetData { path: znodes::BROKER_IDS.to_owned(), data: Bytes::new(), version: None };
        for _ in 0..ATTEMPTS_MAX {
            match self.zookeeper.multi(vec![creation.clone(), count.clone()]).await {
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
    pub async fn registration_session(&self, broker: BrokerId) -> Result<Option<SessionId>, RegistryError> {
        let path = znodes::broker(broker);
        let stat = self.read_back(|| self.zookeeper.exists(&path)).await?;
        Ok(stat.map(|stat| stat.ephemeral_owner))
    }

    /// Removes the registration that `session` holds, and no other: a node of the same name that was made meanwhile
    /// looks the same to a delete, so that the delete asks that nobody has registered since it was looked at. For a
    /// caller who knows that the session's process is dead; otherwise wait for the session to expire.
    pub async fn remove_registration(
        &self,
        broker: BrokerId,
        session: SessionId,
    ) -> Result<(), RegistryError> {
        let path = znodes::BROKER_IDS.to_owned();
        for _ in 0..ATTEMPTS_MAX {
            let registrations = self.read_back(|| self.zookeeper.exists(&path)).await?;
            let version = registrations.map(|stat| stat.version);
            if self.registration_session(broker).await? != Some(session) {
                return Ok(());
            }
            let check = MultiOp::Check { path: path.clone(), version };
            let removal = MultiOp::Delete { path: znodes::broker(broker), version: None };
            match self.zookeeper.multi(vec![check, removal]).await {
                // A lost reply may hide a success; the caller waits until the node is gone in any case.
                Ok(_) | Err(ZkError::NoNode | ZkError::ConnectionLost) => return Ok(()),
                // Somebody has registered, perhaps as this broker.
                Err(ZkError::BadVersion) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ZkError::ConnectionLost.into())
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

    /// The ids of the brokers alive, in order, as of now: not as of what this client last heard. Those whose
    /// registrations cannot be read are left out: nobody could reach them.
    pub async fn live_broker_ids(&self) -> Result<Vec<BrokerId>, RegistryError> {
        retry_read(|| self.zookeeper.sync(znodes::BROKER_IDS)).await?;
        Ok(self.brokers().await?.into_keys().collect())
    }

    /// The brokers alive, as far as their registrations can be read: one without a plain listener, say, is left out.
    pub async fn brokers(&self) -> Result<BTreeMap<BrokerId, BrokerRegistration>, RegistryError> {
        let names = retry_read(|| self.zookeeper.get_children(znodes::BROKER_IDS)).await?;
        self.registrations(names).await
    }

    /// As [`Registry::brokers`]; the watch fires when one comes or goes.
    pub async fn brokers_watch(
        &self,
    ) -> Result<(BTreeMap<BrokerId, BrokerRegistration>, Watch), RegistryError> {
        let (names, changed) = retry_read(|| self.zookeeper.get_children_watch(znodes::BROKER_IDS)).await?;
        Ok((self.registrations(names).await?, changed))
    }

    async fn registrations(
        &self,
        names: Vec<String>,
    ) -> Result<BTreeMap<BrokerId, BrokerRegistration>, RegistryError> {
        let mut registrations = BTreeMap::new();
        for name in names {
            let Some(id) = broker_id(&name) else { continue };
            let path = znodes::broker(id);
            match retry_read(|| self.zookeeper.get_data(&path)).await {
                Ok((data, _)) => match znodes::read_broker(id, &data) {
                    Ok(registration) => drop(registrations.insert(id, registration)),
                    Err(unreadable) => report_skipped(&path, &unreadable),
                },
                // It went after the names were read; the watch on them tells.
                Err(ZkError::NoNode) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(registrations)
    }
}

/// Whose registration has this name. Nobody's, if it is no broker id.
pub(super) fn broker_id(name: &str) -> Option<BrokerId> {
    let id = name.parse().ok().filter(|id| *id >= 0).map(BrokerId);
    if id.is_none() {
        let path = format!("{}/{name}", znodes::BROKER_IDS);
        report_skipped(&path, &Unreadable("the name is no broker id".to_owned()));
    }
    id
}
