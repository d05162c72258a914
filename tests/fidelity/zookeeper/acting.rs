//! One operation of one session, and what it came to in words that do not depend on what else a server has to do.

use bytes::Bytes;
use seedlog::types::{SessionId, Zxid};
use seedlog::zookeeper::{CreateMode, MultiOp, MultiResult, Stat, Watch, ZkError, ZooKeeper};

use super::{Armed, Mode, Step, Watching, Write};

/// Whose step it is.
pub fn session_of(step: &Step) -> u8 {
    match step {
        Step::Open(number)
        | Step::Close(number)
        | Step::Leave(number)
        | Step::Told(number)
        | Step::Create(number, ..)
        | Step::Set(number, ..)
        | Step::Delete(number, ..)
        | Step::Multi(number, ..)
        | Step::Get(number, ..)
        | Step::Exists(number, ..)
        | Step::Children(number, ..) => *number,
        Step::AtOnce(one, _) => session_of(one),
        Step::CutFollower | Step::JoinLeader => 1,
    }
}

pub fn failed(error: &ZkError) -> String {
    format!("!{error:?}")
}

type Acted = (String, Option<Armed>);

/// Performs it, and hands over the watch that it armed.
pub async fn act(client: &ZooKeeper, root: &str, step: &Step) -> Acted {
    let told = Told { root, me: client.session_id() };
    let done = match step {
        Step::Create(_, path, mode, len) => {
            let made = client.create(&told.at(path), &data(*len), create_mode(*mode)).await;
            made.map(|made| (told.path(&made), None))
        }
        Step::Set(_, path, version, len) => {
            let set = client.set_data(&told.at(path), &data(*len), *version).await;
            set.map(|stat| (told.stat(&stat), None))
        }
        Step::Delete(_, path, version) => {
            client.delete(&told.at(path), *version).await.map(|()| ("ok".to_owned(), None))
        }
        Step::Multi(_, writes) => {
            let all = writes.iter().map(|write| told.write(write)).collect();
            client.multi(all).await.map(|results| (told.results(&results), None))
        }
        Step::Get(_, path, watching) => get(client, &told, path, *watching).await,
        Step::Exists(_, path, watching) => exists(client, &told, path, *watching).await,
        Step::Children(_, path, watching) => children(client, &told, path, *watching).await,
        other => Ok((format!("{other:?} is none of one session"), None)),
    };
    done.unwrap_or_else(|error| (failed(&error), None))
}

async fn get(client: &ZooKeeper, told: &Told<'_>, path: &str, watching: Watching) -> Result<Acted, ZkError> {
    let at = told.at(path);
    let (bytes, stat, watch) = match watching {
        Watching::Watch => {
            client.get_data_watch(&at).await.map(|(data, stat, watch)| (data, stat, Some(watch)))?
        }
        Watching::Look => client.get_data(&at).await.map(|(data, stat)| (data, stat, None))?,
    };
    let armed = armed(watch, "get", path);
    Ok((format!("{} read, {}", bytes.len(), told.stat(&stat)), armed))
}

async fn exists(
    client: &ZooKeeper,
    told: &Told<'_>,
    path: &str,
    watching: Watching,
) -> Result<Acted, ZkError> {
    let at = told.at(path);
    let (stat, watch) = match watching {
        Watching::Watch => client.exists_watch(&at).await.map(|(stat, watch)| (stat, Some(watch)))?,
        Watching::Look => (client.exists(&at).await?, None),
    };
    let outcome = stat.map_or_else(|| "absent".to_owned(), |stat| told.stat(&stat));
    Ok((outcome, armed(watch, "exists", path)))
}

async fn children(
    client: &ZooKeeper,
    told: &Told<'_>,
    path: &str,
    watching: Watching,
) -> Result<Acted, ZkError> {
    let at = told.at(path);
    let (names, watch) = match watching {
        Watching::Watch => client.get_children_watch(&at).await.map(|(names, watch)| (names, Some(watch)))?,
        Watching::Look => (client.get_children(&at).await?, None),
    };
    Ok((format!("{names:?}"), armed(watch, "children", path)))
}

fn armed(watch: Option<Watch>, by: &str, path: &str) -> Option<Armed> {
    watch.map(|watch| Armed { what: format!("{by} {path}"), watch })
}

fn data(len: u8) -> Bytes {
    Bytes::from(vec![7; usize::from(len)])
}

fn create_mode(mode: Mode) -> CreateMode {
    match mode {
        Mode::Persistent => CreateMode::Persistent,
        Mode::Ephemeral => CreateMode::Ephemeral,
        Mode::PersistentSequential => CreateMode::PersistentSequential,
        Mode::EphemeralSequential => CreateMode::EphemeralSequential,
    }
}

/// How one session's program names things.
struct Told<'a> {
    root: &'a str,
    me: SessionId,
}

impl Told<'_> {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    fn path(&self, whole: &str) -> String {
        whole.strip_prefix(self.root).unwrap_or(whole).to_owned()
    }

    fn write(&self, write: &Write) -> MultiOp {
        match write {
            Write::Create(path, mode, len) => {
                MultiOp::Create { path: self.at(path), data: data(*len), mode: create_mode(*mode) }
            }
            Write::Set(path, version, len) => {
                MultiOp::SetData { path: self.at(path), data: data(*len), version: *version }
            }
            Write::Delete(path, version) => MultiOp::Delete { path: self.at(path), version: *version },
            Write::Check(path, version) => MultiOp::Check { path: self.at(path), version: *version },
        }
    }

    fn results(&self, results: &[MultiResult]) -> String {
        let words = results.iter().map(|result| match result {
            MultiResult::Created(path) => self.path(path),
            MultiResult::Deleted => "deleted".to_owned(),
            MultiResult::DataSet(stat) => self.stat(stat),
            MultiResult::Checked => "checked".to_owned(),
        });
        format!("[{}]", words.collect::<Vec<_>>().join("; "))
    }

    /// Clocks are left out, and of zxids all but their order: other programs write meanwhile.
    fn stat(&self, stat: &Stat) -> String {
        let owner = match stat.ephemeral_owner {
            SessionId::NONE => "nobody",
            owner if owner == self.me => "me",
            _ => "another",
        };
        format!(
            "v{} cv{} av{}, {}, of {owner}, {} bytes, {} children",
            stat.version,
            stat.cversion,
            stat.aversion,
            order([("c", stat.czxid), ("m", stat.mzxid), ("p", stat.pzxid)]),
            stat.data_length,
            stat.num_children,
        )
    }
}

/// `c=m<p`: made and last set by one write, its children changed by a later one.
fn order(mut zxids: [(&str, Zxid); 3]) -> String {
    zxids.sort_by_key(|(_, zxid)| *zxid);
    let [first, second, third] = zxids;
    let sign = |one: Zxid, next: Zxid| if one == next { "=" } else { "<" };
    let (to_second, to_third) = (sign(first.1, second.1), sign(second.1, third.1));
    format!("{}{to_second}{}{to_third}{}", first.0, second.0, third.0)
}
