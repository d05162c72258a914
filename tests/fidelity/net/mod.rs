//! Steps on the network, taken in turn by two parties: a client and a server.

pub mod themes;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use seedlog::runtime::net::{self, Listener, ReadHalf, Stream, WriteHalf};
use seedlog::runtime::{AcceptError, Segment, clock};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::half;
use crate::program::{Draws, History, done, error, outcome};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Client,
    Server,
}

/// Connections are numbered, by each side for itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Connect(u8),
    /// To a port at which nobody listens.
    ConnectNowhere,
    Accept(u8),
    Send(Side, u8, u32),
    /// All that comes until nothing more does.
    Read(Side, u8),
    Shutdown(Side, u8),
    Close(Side, u8),
    DropRead(Side, u8),
    DropWrite(Side, u8),
    CloseListener,
    Listen,
}

impl Step {
    fn side(&self) -> Side {
        match self {
            Step::Connect(_) | Step::ConnectNowhere => Side::Client,
            Step::Accept(_) | Step::CloseListener | Step::Listen => Side::Server,
            Step::Send(side, ..)
            | Step::Read(side, _)
            | Step::Shutdown(side, _)
            | Step::Close(side, _)
            | Step::DropRead(side, _)
            | Step::DropWrite(side, _) => *side,
        }
    }
}

type Order = (Step, oneshot::Sender<String>);

/// How long the parties wait between their steps.
pub enum Pauses {
    /// Until all that was sent must have arrived.
    Settled,
    /// As drawn: nothing, or too little to be sure.
    Drawn(Draws),
}

impl Pauses {
    /// Those of a theme, in the run of a number.
    pub fn of(program: &str, run: u64) -> Pauses {
        if program.starts_with("net/racing/") {
            Pauses::Drawn(Draws::new(program, run))
        } else {
            Pauses::Settled
        }
    }

    async fn pass(&mut self) {
        match self {
            Pauses::Settled => clock::sleep(half::ARRIVES_WITHIN).await,
            Pauses::Drawn(draws) => match draws.below(3) {
                0 => {}
                1 => clock::sleep(Duration::from_millis(1)).await,
                _ => clock::sleep(half::ARRIVES_WITHIN).await,
            },
        }
    }
}

/// Tells the parties what to do, step by step.
pub struct Director {
    orders: [mpsc::Sender<Order>; 2],
}

impl Director {
    /// And the parties, which wait for their orders.
    pub fn new(address: SocketAddr) -> (Director, [Party; 2]) {
        let [client, server] = [(); 2].map(|()| mpsc::channel(1));
        let party = |orders| Party { address, orders, listener: None, connections: BTreeMap::new() };
        (Director { orders: [client.0, server.0] }, [party(client.1), party(server.1)])
    }

    pub async fn perform(self, steps: Vec<Step>, mut pauses: Pauses) -> History {
        self.order(Step::Listen).await;
        let mut history = History::new();
        for step in steps {
            history.push(self.order(step).await);
            pauses.pass().await;
        }
        history
    }

    async fn order(&self, step: Step) -> String {
        let (tell, told) = oneshot::channel();
        let party = usize::from(step.side() == Side::Server);
        self.orders[party].send((step, tell)).await.expect("the party waits");
        told.await.expect("the party answers")
    }
}

pub struct Party {
    /// The server's.
    address: SocketAddr,
    orders: mpsc::Receiver<Order>,
    listener: Option<Listener>,
    connections: BTreeMap<u8, (Option<ReadHalf>, Option<WriteHalf>)>,
}

impl Party {
    /// Obeys until nobody gives orders.
    pub async fn obey(mut self) {
        while let Some((step, tell)) = self.orders.recv().await {
            let came_to = self.take(&step).await;
            tell.send(came_to).expect("the director waits");
        }
    }

    async fn take(&mut self, step: &Step) -> String {
        match step {
            Step::Connect(slot) => match net::connect(self.address, half::WAIT).await {
                Ok(stream) => self.keep(*slot, stream),
                Err(failed) => error(&failed),
            },
            Step::ConnectNowhere => {
                let nowhere = SocketAddr::new(self.address.ip(), self.address.port() + 1);
                done(net::connect(nowhere, half::WAIT).await)
            }
            Step::Accept(slot) => self.accept(*slot).await,
            Step::Listen => outcome(Listener::bind(self.address).await, |listener| {
                self.listener = Some(listener);
                "ok".to_owned()
            }),
            Step::CloseListener => match self.listener.take() {
                Some(_listener) => "ok".to_owned(),
                None => "none".to_owned(),
            },
            Step::Send(_, slot, len) => self.send(*slot, *len as usize).await,
            Step::Read(_, slot) => match self.connections.get_mut(slot) {
                Some((Some(read), _)) => read_all(read).await,
                _ => "none".to_owned(),
            },
            Step::Shutdown(_, slot) => match self.connections.get_mut(slot) {
                Some((_, Some(write))) => done(write.shutdown().await),
                _ => "none".to_owned(),
            },
            Step::Close(_, slot) => given_up(self.connections.remove(slot)),
            Step::DropRead(_, slot) => {
                given_up(self.connections.get_mut(slot).and_then(|halves| halves.0.take()))
            }
            Step::DropWrite(_, slot) => {
                given_up(self.connections.get_mut(slot).and_then(|halves| halves.1.take()))
            }
        }
    }

    fn keep(&mut self, slot: u8, stream: Stream) -> String {
        let (read, write) = stream.into_split();
        self.connections.insert(slot, (Some(read), Some(write)));
        "ok".to_owned()
    }

    async fn accept(&mut self, slot: u8) -> String {
        let Some(listener) = &self.listener else { return "none".to_owned() };
        match clock::timeout(half::WAIT, listener.accept()).await {
            Ok(Ok((stream, _))) => self.keep(slot, stream),
            Ok(Err(AcceptError::Peer(failed))) => format!("{} of the peer", error(&failed)),
            Ok(Err(AcceptError::Exhausted(failed))) => error(&failed),
            Err(_) => "nobody came".to_owned(),
        }
    }

    async fn send(&mut self, slot: u8, len: usize) -> String {
        let Some((_, Some(write))) = self.connections.get_mut(&slot) else { return "none".to_owned() };
        let mut segments = vec![Segment::from(bytes::Bytes::from(vec![7; len]))];
        match clock::timeout(half::WAIT, write.send(&mut segments)).await {
            Ok(sent) => done(sent),
            Err(_) => {
                // Dropped half-way: the connection must be closed.
                self.connections.remove(&slot);
                "waits".to_owned()
            }
        }
    }
}

fn given_up<T>(had: Option<T>) -> String {
    if had.is_some() { "ok".to_owned() } else { "none".to_owned() }
}

const READ_BYTES_MAX: usize = 64 * 1024;

async fn read_all(read: &mut ReadHalf) -> String {
    let mut count = 0;
    let end = loop {
        let mut buffer = BytesMut::new();
        let next: Result<io::Result<usize>, _> =
            clock::timeout(half::WAIT, read.read(&mut buffer, READ_BYTES_MAX)).await;
        match next {
            Ok(Ok(0)) => break "end".to_owned(),
            Ok(Ok(more)) => count += more,
            Ok(Err(failed)) => break error(&failed),
            Err(_) => break "waits".to_owned(),
        }
    };
    if count == 0 { end } else { format!("{count} bytes, {end}") }
}
