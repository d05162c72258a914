//! Somebody with a tool of ZooKeeper: now and then what a group committed is written over with what is no offset. Later
//! it is mended, unless somebody has committed since, and the group's members are had to leave: a partition whose offset
//! could not be read waits for that.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use seedlog::runtime::clock;
use seedlog::runtime::sim::effects;
use seedlog::types::TopicPartition;
use seedlog::zookeeper::{ZkError, ZooKeeper, ZooKeeperConfig};

use super::client::{Context, PAUSE};
use super::shared::Slip;

const SESSION: Duration = Duration::from_secs(6);
const CONNECT: Duration = Duration::from_secs(2);
/// Until members that were asked to leave are back.
const BACK_WITHIN: Duration = Duration::from_secs(20);
const NO_OFFSET: &[u8] = b"see the wiki";

/// What there is to work with.
#[derive(Clone)]
pub(super) struct Tool {
    pub zookeeper: String,
    /// By group.
    pub members: BTreeMap<String, Vec<String>>,
}

pub(super) async fn tinker(context: Context, tool: Tool) {
    while let Some(slip) = context.shared.take_slip() {
        let zookeeper = loop {
            match connect(&tool).await {
                Ok(zookeeper) => break zookeeper,
                Err(error) => context.shared.report(format!("{} does not connect: {error}", context.name)),
            }
            clock::sleep(PAUSE).await;
        };
        if let Err(error) = slip_and_mend(&context, &zookeeper, &slip).await {
            context.shared.report(format!("{}: {error}", context.name));
        }
        zookeeper.close().await;
        let members = tool.members.get(&slip.group).map_or(&[][..], Vec::as_slice);
        members.iter().for_each(|member| context.shared.ask_to_leave(member));
        // One that is dead for good does not.
        let patience = clock::now() + BACK_WITHIN;
        while context.shared.is_any_away(members) && clock::now() < patience {
            clock::sleep(PAUSE).await;
        }
        context.shared.slip_is_over();
    }
}

async fn connect(tool: &Tool) -> Result<ZooKeeper, ZkError> {
    let servers = vec![tool.zookeeper.clone()];
    ZooKeeper::connect(ZooKeeperConfig { servers, session_timeout: SESSION, connect_timeout: CONNECT }).await
}

async fn slip_and_mend(context: &Context, zookeeper: &ZooKeeper, slip: &Slip) -> Result<(), ZkError> {
    let path = path_of(&slip.group, &slip.partition);
    let (committed, stat) = zookeeper.get_data(&path).await?;
    let written = zookeeper.set_data(&path, NO_OFFSET, Some(stat.version)).await;
    if written.is_ok() {
        effects::struck_here("offset-garbled");
    }
    let mend_at = clock::now() + slip.lasting;
    while clock::now() < mend_at && !context.shared.is_storm_over() {
        clock::sleep(PAUSE.min(slip.lasting)).await;
    }
    match written {
        Ok(_) | Err(ZkError::ConnectionLost) => mend(zookeeper, &path, &committed).await,
        Err(error) => Err(error),
    }
}

/// Puts back what was there, where nobody has committed since.
async fn mend(zookeeper: &ZooKeeper, path: &str, committed: &Bytes) -> Result<(), ZkError> {
    loop {
        let (found, stat) = match zookeeper.get_data(path).await {
            Err(ZkError::ConnectionLost) => continue,
            read => read?,
        };
        if *found != *NO_OFFSET {
            return Ok(());
        }
        match zookeeper.set_data(path, committed, Some(stat.version)).await {
            Ok(_) => return Ok(()),
            Err(ZkError::ConnectionLost | ZkError::BadVersion) => {}
            Err(error) => return Err(error),
        }
    }
}

fn path_of(group: &str, partition: &TopicPartition) -> String {
    format!("/consumers/{group}/offsets/{}/{}", partition.topic, partition.partition)
}
