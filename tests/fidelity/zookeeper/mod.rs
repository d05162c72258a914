//! Steps on ZooKeeper, taken by two sessions in turn, or by both at once. The servers are one of ours, or a real ensemble.

mod acting;
pub mod themes;

use std::net::SocketAddr;
use std::time::Duration;

use seedlog::runtime::clock;
use seedlog::zookeeper::{CreateMode, Watch, WatchEvent, ZkError, ZooKeeper, ZooKeeperConfig};
use serde::{Deserialize, Serialize};

use crate::half;
use crate::program::History;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Persistent,
    Ephemeral,
    PersistentSequential,
    EphemeralSequential,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watching {
    Watch,
    Look,
}

/// One of a multi.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    Create(String, Mode, u8),
    Set(String, Option<i32>, u8),
    Delete(String, Option<i32>),
    Check(String, Option<i32>),
}

/// The first field is the session's number. Paths begin below the program's own node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Open(u8),
    Close(u8),
    /// The client goes without a word, and the session expires.
    Leave(u8),
    /// Which watches were told.
    Told(u8),
    Create(u8, String, Mode, u8),
    Set(u8, String, Option<i32>, u8),
    Delete(u8, String, Option<i32>),
    Multi(u8, Vec<Write>),
    Get(u8, String, Watching),
    Exists(u8, String, Watching),
    Children(u8, String, Watching),
    AtOnce(Box<Step>, Box<Step>),
    /// The second session's server no longer hears its leader, and does not know it.
    CutFollower,
    JoinLeader,
}

/// Where a program runs.
pub struct Place {
    /// Of the first session and of the second.
    pub servers: [SocketAddr; 2],
    /// A name that no other program's nodes have.
    pub name: String,
    pub follower: half::Follower,
}

/// Longer than a program takes, so that no pause of this machine ends a session.
const SESSION: Duration = Duration::from_secs(30);
/// Of sessions that are left to expire.
const SHORT_SESSION: Duration = Duration::from_secs(4);
/// Nothing takes longer, an expiry included.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn perform(place: Place, steps: Vec<Step>) -> History {
    let expires = steps.iter().any(|step| matches!(step, Step::Leave(_)));
    let observer = connect(place.servers[0], SESSION).await.expect("an observer's session");
    // Below a node that nobody else has: sequence numbers count what was ever made beside.
    let parent = format!("/{}", place.name);
    let root = format!("{parent}/node");
    for path in [&parent, &root] {
        observer.create(path, b"", CreateMode::Persistent).await.expect("a node of its own");
    }
    let timeout = if expires { SHORT_SESSION } else { SESSION };
    let mut director = Director { place, root, timeout, observer, sessions: [None, None], is_cut: false };
    let mut history = History::new();
    for step in steps {
        history.push(director.take(step).await);
    }
    director.end().await;
    history
}

async fn connect(server: SocketAddr, session_timeout: Duration) -> Result<ZooKeeper, ZkError> {
    let connect_timeout = Duration::from_secs(10);
    ZooKeeper::connect(ZooKeeperConfig {
        servers: vec![server.to_string()],
        session_timeout,
        connect_timeout,
    })
    .await
}

struct Session {
    client: ZooKeeper,
    armed: Vec<Armed>,
}

/// A watch with what armed it.
struct Armed {
    what: String,
    watch: Watch,
}

struct Director {
    place: Place,
    /// What all paths of the program begin with.
    root: String,
    timeout: Duration,
    observer: ZooKeeper,
    sessions: [Option<Session>; 2],
    is_cut: bool,
}

impl Director {
    async fn take(&mut self, step: Step) -> String {
        match step {
            Step::Open(number) => self.open(number).await,
            Step::Close(number) => self.close(number).await,
            Step::Leave(number) => self.leave(number).await,
            Step::Told(number) => self.told(number).await,
            Step::AtOnce(one, other) => self.at_once(*one, *other).await,
            Step::CutFollower => self.cut().await,
            Step::JoinLeader => self.join().await,
            step => self.act(step).await,
        }
    }

    async fn open(&mut self, number: u8) -> String {
        let slot = usize::from(number);
        if self.sessions[slot].is_some() {
            return "is open".to_owned();
        }
        let client = match connect(self.place.servers[slot], self.timeout).await {
            Ok(client) => client,
            Err(error) => return acting::failed(&error),
        };
        let sign = client.create(&self.sign(number), b"", CreateMode::Ephemeral).await;
        self.sessions[slot] = Some(Session { client, armed: Vec::new() });
        sign.map_or_else(|error| acting::failed(&error), |_| "ok".to_owned())
    }

    /// A node beside the program's own that is there while the session lives.
    fn sign(&self, number: u8) -> String {
        format!("/{}-alive-{number}", self.place.name)
    }

    async fn close(&mut self, number: u8) -> String {
        let Some(session) = self.sessions[usize::from(number)].take() else { return "none".to_owned() };
        session.client.close().await;
        let told = rest(session.armed).await;
        told.iter().fold("ok".to_owned(), |all, one| format!("{all}, {one}"))
    }

    async fn leave(&mut self, number: u8) -> String {
        if let Err(error) = self.catch_up(number).await {
            return acting::failed(&error);
        }
        let Some(session) = self.sessions[usize::from(number)].take() else { return "none".to_owned() };
        let sign = self.sign(number);
        drop(session.client);
        let told = rest(session.armed).await;
        if let Err(error) = gone(&self.observer, &sign).await {
            return acting::failed(&error);
        }
        told.iter().fold("expired".to_owned(), |all, one| format!("{all}, {one}"))
    }

    /// What was told before a `sync` is answered is all that there was to tell.
    async fn told(&mut self, number: u8) -> String {
        if let Err(error) = self.catch_up(number).await {
            return acting::failed(&error);
        }
        let Some(session) = &mut self.sessions[usize::from(number)] else { return "none".to_owned() };
        let mut told = Vec::new();
        let mut silent = Vec::new();
        for mut armed in session.armed.drain(..) {
            match clock::timeout(Duration::ZERO, &mut armed.watch).await {
                Ok(event) => told.push(armed.tell(event)),
                Err(_) => silent.push(armed),
            }
        }
        session.armed = silent;
        if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
    }

    /// The session's server knows all that was done before. One that is cut learns nothing.
    async fn catch_up(&self, number: u8) -> Result<(), ZkError> {
        let Some(session) = &self.sessions[usize::from(number)] else { return Ok(()) };
        if self.is_cut && number == 1 {
            return Ok(());
        }
        session.client.sync("/").await
    }

    async fn act(&mut self, step: Step) -> String {
        let number = acting::session_of(&step);
        if let Err(error) = self.catch_up(number).await {
            return acting::failed(&error);
        }
        let Some(session) = &mut self.sessions[usize::from(number)] else { return "none".to_owned() };
        let (outcome, armed) = acting::act(&session.client, &self.root, &step).await;
        session.armed.extend(armed);
        outcome
    }

    async fn at_once(&mut self, one: Step, other: Step) -> String {
        for number in [0, 1] {
            if let Err(error) = self.catch_up(number).await {
                return acting::failed(&error);
            }
        }
        let [Some(first), Some(second)] = &mut self.sessions else { return "none".to_owned() };
        let (one, other) = tokio::join!(
            acting::act(&first.client, &self.root, &one),
            acting::act(&second.client, &self.root, &other)
        );
        first.armed.extend(one.1);
        second.armed.extend(other.1);
        format!("{} | {}", one.0, other.0)
    }

    async fn cut(&mut self) -> String {
        if let Err(error) = self.catch_up(1).await {
            return acting::failed(&error);
        }
        match &self.sessions[1] {
            Some(session) if !self.is_cut => {
                self.place.follower.cut(session.client.session_id()).await;
                self.is_cut = true;
                "ok".to_owned()
            }
            _ => "none".to_owned(),
        }
    }

    /// Until the session hears of its leader again; it may lose a connection over that.
    async fn join(&mut self) -> String {
        let Some(session) = self.sessions[1].as_ref().filter(|_| self.is_cut) else {
            return "none".to_owned();
        };
        self.place.follower.join(session.client.session_id()).await;
        self.is_cut = false;
        let heard = async { while session.client.sync("/").await == Err(ZkError::ConnectionLost) {} };
        clock::timeout(PATIENCE, heard).await.map_or("!silent", |()| "ok").to_owned()
    }

    /// Leaves no session behind.
    async fn end(mut self) {
        if self.is_cut {
            self.join().await;
        }
        for number in [0, 1] {
            self.close(number).await;
        }
        self.observer.close().await;
    }
}

impl Armed {
    fn tell(&self, event: WatchEvent) -> String {
        format!("{}: {event:?}", self.what)
    }
}

/// What watches come to whose session is over.
async fn rest(armed: Vec<Armed>) -> Vec<String> {
    let mut told = Vec::new();
    for mut armed in armed {
        let event = clock::timeout(PATIENCE, &mut armed.watch).await;
        told.push(event.map_or_else(|_| format!("{}: !silent", armed.what), |event| armed.tell(event)));
    }
    told
}

/// Waits for the end of a node.
async fn gone(observer: &ZooKeeper, path: &str) -> Result<(), ZkError> {
    loop {
        observer.sync("/").await?;
        match observer.exists_watch(path).await? {
            (None, _) => return Ok(()),
            (Some(_), ended) => {
                clock::timeout(PATIENCE, ended).await.map_err(|_| ZkError::ConnectionLost)?;
            }
        }
    }
}
