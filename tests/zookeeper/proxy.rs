//! A relay between a client and its server that can be cut and closed.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use seedlog::runtime::Segment;
use seedlog::runtime::net::{self, Listener, ReadHalf, Stream, WriteHalf};
use seedlog::runtime::task::{Lane, TaskGroup};

pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    _accepting: TaskGroup,
}

struct State {
    closed: Mutex<bool>,
    connections: Mutex<TaskGroup>,
}

impl Proxy {
    /// Listens on this machine, whose address is `own_ip`, and relays to `server`.
    pub async fn start(own_ip: IpAddr, server: SocketAddr) -> Proxy {
        let listener = Listener::bind(SocketAddr::new(own_ip, 0)).await.expect("a port is free");
        let address = SocketAddr::new(own_ip, listener.local_address().port());
        let state = Arc::new(State {
            closed: Mutex::new(false),
            connections: Mutex::new(TaskGroup::new(Lane::Data)),
        });
        let accepting = TaskGroup::new(Lane::Data);
        accepting.spawn("proxy", accept(listener, Arc::clone(&state), server));
        Proxy { address, state, _accepting: accepting }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends every connection; new ones are relayed.
    pub fn cut(&self) {
        *self.state.connections.lock().unwrap() = TaskGroup::new(Lane::Data);
    }

    /// Ends every connection, and new ones at once.
    pub fn close(&self) {
        *self.state.closed.lock().unwrap() = true;
        self.cut();
    }

    /// Relays again.
    pub fn open(&self) {
        *self.state.closed.lock().unwrap() = false;
    }
}

async fn accept(listener: Listener, state: Arc<State>, server: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        if !*state.closed.lock().unwrap() {
            state.connections.lock().unwrap().spawn("proxy-relay", relay(stream, server));
        }
    }
}

pub async fn relay(client: Stream, server: SocketAddr) {
    let Ok(server) = net::connect(server, Duration::from_secs(5)).await else { return };
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::select! {
        biased;
        () = copy(client_reads, server_writes) => {}
        () = copy(server_reads, client_writes) => {}
    }
}

async fn copy(mut from: ReadHalf, mut to: WriteHalf) {
    let mut buffer = BytesMut::new();
    while from.read(&mut buffer, 64 * 1024).await.is_ok_and(|count| count > 0) {
        let mut segments = vec![Segment::from(buffer.split().freeze())];
        if to.send(&mut segments).await.is_err() {
            return;
        }
    }
}
