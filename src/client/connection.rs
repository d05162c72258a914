//! One connection to one broker: pipelined requests, answers matched in order, deadlines.
//!
//! A request that is not answered by its deadline closes the connection, because answers come in order and
//! none can come any more; everything outstanding then fails. A question whose asker gives up earlier closes nothing
//! while others wait. Reconnecting is `cluster`'s.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, oneshot};

use super::address;
use super::pipeline::{Deadlines, Outgoing, Overdue, Pipeline};
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{
    Api, ApiKey, ErrorCode, Message, VersionRange, correlation_id, decode_response, encode_request, frame,
};
use crate::runtime::clock::{self, DeadlineTimer};
use crate::runtime::lock::{Mutex, MutexGuard};
use crate::runtime::net::{self, ReadHalf, WriteHalf};
use crate::runtime::task::{Lane, TaskGroup};
use crate::runtime::{Instant, Segment};

/// What one read asks for, unless a larger frame is on its way.
const READ_BYTES: usize = 64 << 10;

/// A broker that leaves a request unanswered for so long is silent; a fetch waits for data a quarter of it by default.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(2);

const NO_RESPONSE: &str = "no response in time";

/// How to talk to any broker.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    pub client_id: Arc<str>,
    /// For the connection to stand and the versions to be agreed.
    pub connect_timeout: Duration,
    /// A larger response closes the connection.
    pub response_bytes_max: usize,
}

/// A broker cannot be reached, or does not speak our protocol. Try again later, or another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect to {address}: {reason}")]
pub struct ConnectError {
    pub address: String,
    pub reason: String,
}

/// Why a request has no response, by what may have happened at the broker.
///
/// ```
/// use seedlog::client::RequestError;
///
/// assert!(!RequestError::NotSent("connection refused".into()).may_have_effect());
/// assert!(RequestError::Lost("no response in time".into()).may_have_effect());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing: no byte of it was written.
    #[error("not sent: {0}")]
    NotSent(Arc<str>),
    /// It may have been carried out.
    #[error("no response: {0}")]
    Lost(Arc<str>),
    /// Nothing, and nothing ever will: the broker speaks no version of it that we do.
    #[error("the broker does not speak our {0}")]
    Unsupported(&'static str),
}

impl RequestError {
    /// Whether the request may have been carried out.
    pub fn may_have_effect(&self) -> bool {
        matches!(self, RequestError::Lost(_))
    }
}

/// A connection; clones share it, and it closes with the last one.
///
/// ```no_run
/// use std::time::Duration;
///
/// use seedlog::client::{Connection, ConnectionConfig};
/// use seedlog::protocol::messages::MetadataRequest;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = ConnectionConfig {
///     client_id: "tool".into(),
///     connect_timeout: Duration::from_secs(3),
///     response_bytes_max: 1 << 20,
/// };
/// let connection = Connection::connect("127.0.0.1:9092", &config).await?;
/// let response = connection.call(&MetadataRequest::default(), Duration::from_secs(5)).await?;
/// println!("{} brokers", response.brokers.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Handle>,
}

/// A connection that closes with its last user all the same.
pub(super) struct WeakConnection {
    handle: Weak<Handle>,
}

impl WeakConnection {
    pub(super) fn upgrade(&self) -> Option<Connection> {
        self.handle.upgrade().map(|handle| Connection { handle })
    }
}

struct Handle {
    link: Arc<Link>,
    client_id: Arc<str>,
    versions: BTreeMap<ApiKey, VersionRange>,
    /// Ends the connection's task.
    _tasks: TaskGroup,
}

/// What the connection's task shares with those who ask.
struct Link {
    pipeline: Mutex<Pipeline>,
    next_correlation: AtomicI32,
    outbox_filled: Notify,
    deadline_moved: Notify,
}

impl Connection {
    /// Connects to `host:port` and agrees on versions.
    pub async fn connect(address: &str, config: &ConnectionConfig) -> Result<Connection, ConnectError> {
        let failed = |reason: String| ConnectError { address: address.to_owned(), reason };
        let deadline = clock::now() + config.connect_timeout;
        let attempt = connect_stream(address, config.connect_timeout);
        let stream = match clock::timeout(config.connect_timeout, attempt).await {
            Ok(stream) => stream.map_err(|error| failed(error.to_string()))?,
            Err(elapsed) => return Err(failed(elapsed.to_string())),
        };
        let (reader, writer) = stream.into_split();
        let link = Arc::new(Link::new());
        let tasks = TaskGroup::new(Lane::Data);
        tasks.spawn("client-connection", run(Arc::clone(&link), reader, writer, config.response_bytes_max));
        let mut handle = Handle {
            link,
            client_id: Arc::clone(&config.client_id),
            versions: BTreeMap::new(),
            _tasks: tasks,
        };
        handle.versions = agree_on_versions(&handle, deadline).await.map_err(failed)?;
        Ok(Connection { handle: Arc::new(handle) })
    }

    /// Queues a request behind those asked before, without waiting. The future gives its response.
    pub fn begin<R: Api>(&self, request: &R, deadline: Instant) -> Result<Pending<R>, RequestError> {
        self.begin_until(request, Deadlines::at(deadline))
    }

    fn begin_until<R: Api>(&self, request: &R, deadlines: Deadlines) -> Result<Pending<R>, RequestError> {
        let version = self.version::<R>()?;
        let response = self.handle.begin(version, request, deadlines, false)?;
        Ok(Pending { response, version, _connection: self.clone(), _request: PhantomData })
    }

    /// As [`Connection::begin`] for a request that the broker does not answer (acks = 0).
    pub fn begin_one_way<R: Api>(&self, request: &R, deadline: Instant) -> Result<Written, RequestError> {
        let version = self.version::<R>()?;
        let written = self.handle.begin(version, request, Deadlines::at(deadline), true)?;
        Ok(Written { written, _connection: self.clone() })
    }

    /// Sends a request and waits for its response, at most `timeout`.
    pub async fn call<R: Api>(&self, request: &R, timeout: Duration) -> Result<R::Response, RequestError> {
        self.begin(request, clock::now() + timeout)?.await
    }

    /// As [`Connection::call`] for a question that another broker can answer as well: gives up after `patience`. Others
    /// still wait for their responses then, and the connection ends when the question was not answered for `timeout`.
    pub async fn ask<R: Api>(
        &self,
        question: &R,
        patience: Duration,
        timeout: Duration,
    ) -> Result<R::Response, RequestError> {
        let now = clock::now();
        let deadlines = Deadlines { patience: now + patience.min(timeout), connection: now + timeout };
        self.begin_until(question, deadlines)?.await
    }

    /// Whether requests can still be sent, as far as known.
    pub fn is_open(&self) -> bool {
        !self.handle.link.pipeline().is_closed()
    }

    /// The broker is elsewhere now: takes no more requests, and ends when a response is late as from a silent broker.
    pub(super) fn retire(&self, reason: &Arc<str>) {
        let link = &self.handle.link;
        let told = link.pipeline().retire(reason, SILENT_AFTER);
        for (reply, error) in told {
            // Who asked may have stopped listening.
            drop(reply.send(Err(error)));
        }
        link.deadline_moved.notify_one();
    }

    /// Does not keep the connection open.
    pub(super) fn downgrade(&self) -> WeakConnection {
        WeakConnection { handle: Arc::downgrade(&self.handle) }
    }

    /// Whether a request waits for its response for longer than a healthy broker ever takes.
    pub(super) fn is_silent(&self) -> bool {
        let since = self.handle.link.pipeline().waits_since();
        since.is_some_and(|since| clock::now() >= since + SILENT_AFTER)
    }

    /// The newest version of an API that both sides speak.
    fn version<R: Api>(&self) -> Result<i16, RequestError> {
        let theirs = self.handle.versions.get(&R::KEY);
        theirs
            .and_then(|theirs| R::VERSIONS.newest_common(*theirs))
            .ok_or(RequestError::Unsupported(R::KEY.name()))
    }
}

impl Handle {
    fn begin<R: Api>(
        &self,
        version: i16,
        request: &R,
        deadlines: Deadlines,
        one_way: bool,
    ) -> Result<oneshot::Receiver<Result<Bytes, RequestError>>, RequestError> {
        let correlation_id = self.link.next_correlation.fetch_add(1, Ordering::Relaxed);
        let frame = encode_request(version, correlation_id, Some(&self.client_id), request);
        let (reply, answer) = oneshot::channel();
        let asked = clock::now();
        let outgoing = Outgoing { frame, correlation_id, asked, deadlines, one_way, reply };
        let is_earliest = self.link.pipeline().ask(outgoing)?;
        self.link.outbox_filled.notify_one();
        if is_earliest {
            self.link.deadline_moved.notify_one();
        }
        Ok(answer)
    }
}

/// The response to come.
pub struct Pending<R> {
    response: oneshot::Receiver<Result<Bytes, RequestError>>,
    version: i16,
    /// Keeps the connection open until the answer is here.
    _connection: Connection,
    _request: PhantomData<fn() -> R>,
}

impl<R: Api> Future for Pending<R> {
    type Output = Result<R::Response, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let frame = ready!(Pin::new(&mut self.response).poll(cx)).unwrap_or_else(|_| Err(dropped()));
        Poll::Ready(frame.and_then(|frame| decode::<R>(frame, self.version)))
    }
}

/// The moment in which a request without a response was handed to the network.
pub struct Written {
    written: oneshot::Receiver<Result<Bytes, RequestError>>,
    _connection: Connection,
}

impl Future for Written {
    type Output = Result<(), RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let written = ready!(Pin::new(&mut self.written).poll(cx)).unwrap_or_else(|_| Err(dropped()));
        Poll::Ready(written.map(|_| ()))
    }
}

fn dropped() -> RequestError {
    RequestError::Lost("the connection's task was stopped".into())
}

/// A response that cannot be read may stand for a request that was carried out.
fn decode<R: Api>(frame: Bytes, version: i16) -> Result<R::Response, RequestError> {
    let decoded = decode_response::<R>(frame, version);
    let (_, response) = decoded.map_err(|error| {
        RequestError::Lost(format!("unreadable {} response: {error}", R::KEY.name()).into())
    })?;
    Ok(response)
}

async fn connect_stream(address: &str, timeout: Duration) -> io::Result<net::Stream> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not of the form host:port");
    let (host, port) = address::split(address).ok_or_else(invalid)?;
    net::connect(net::resolve(host, port).await?, timeout).await
}

/// KIP-511: asks in our newest version; a broker that does not know it says so in version 0 and lists what it
/// does know, and is asked again.
async fn agree_on_versions(
    handle: &Handle,
    deadline: Instant,
) -> Result<BTreeMap<ApiKey, VersionRange>, String> {
    let ours = ApiKey::ApiVersions.decodable();
    // Version 4 differs by nothing that we use, and fewer brokers know it.
    let first_try = ours.max.min(3);
    let mut response = ask_versions(handle, first_try, deadline).await?;
    if ErrorCode(response.error_code) == ErrorCode::UNSUPPORTED_VERSION {
        let theirs = ranges(&response).get(&ApiKey::ApiVersions).copied();
        let common = theirs.and_then(|theirs| ours.newest_common(theirs));
        // A broker that lists what it has just refused speaks version 0 at least.
        let common = common.filter(|version| *version < first_try).unwrap_or(0);
        response = ask_versions(handle, common, deadline).await?;
    }
    match ErrorCode(response.error_code) {
        ErrorCode::NONE => Ok(ranges(&response)),
        error => Err(format!("the broker refuses to tell its versions: {error}")),
    }
}

async fn ask_versions(
    handle: &Handle,
    version: i16,
    deadline: Instant,
) -> Result<ApiVersionsResponse, String> {
    let request = ApiVersionsRequest {
        client_software_name: "seedlog".to_owned(),
        client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    debug_assert!(ApiVersionsRequest::VERSIONS.contains(version));
    let answer =
        handle.begin(version, &request, Deadlines::at(deadline), false).map_err(|error| error.to_string())?;
    let frame = answer.await.unwrap_or_else(|_| Err(dropped())).map_err(|error| error.to_string())?;
    decode::<ApiVersionsRequest>(frame, version).map_err(|error| error.to_string())
}

/// Of the APIs that we know.
fn ranges(response: &ApiVersionsResponse) -> BTreeMap<ApiKey, VersionRange> {
    let known = response.api_keys.iter().filter_map(|api| {
        let key = ApiKey::try_from(api.api_key).ok()?;
        Some((key, VersionRange { min: api.min_version, max: api.max_version }))
    });
    known.collect()
}

impl Link {
    fn new() -> Link {
        Link {
            pipeline: Mutex::new(Pipeline::default()),
            next_correlation: AtomicI32::new(0),
            outbox_filled: Notify::new(),
            deadline_moved: Notify::new(),
        }
    }

    fn pipeline(&self) -> MutexGuard<'_, Pipeline> {
        self.pipeline.lock().expect("no holder of the pipeline panics")
    }
}

/// The connection's life: reads, writes and watches the deadlines until one of them ends it.
async fn run(link: Arc<Link>, reader: ReadHalf, writer: WriteHalf, response_bytes_max: usize) {
    let reason = tokio::select! {
        biased;
        reason = read_responses(&link, reader, response_bytes_max) => reason,
        reason = write_requests(&link, writer) => reason,
        reason = watch_deadlines(&link) => reason,
    };
    let told = link.pipeline().close(&reason);
    for (reply, error) in told {
        // Who asked may have stopped listening.
        drop(reply.send(Err(error)));
    }
}

async fn read_responses(link: &Link, mut reader: ReadHalf, response_bytes_max: usize) -> Arc<str> {
    let mut buffer = BytesMut::new();
    loop {
        loop {
            match frame::next_frame(&mut buffer, response_bytes_max) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let Ok(reply) = link.pipeline().answered(correlation_id(&frame)) else {
                        return "a response answers no request".into();
                    };
                    // Who asked may have given up.
                    drop(reply.map(|reply| reply.send(Ok(frame))));
                }
                Err(error) => return error.to_string().into(),
            }
        }
        let announced = frame::next_length(&buffer, response_bytes_max).ok().flatten();
        let missing = announced.map_or(0, |length| length + frame::LENGTH_BYTES - buffer.len());
        match reader.read(&mut buffer, missing.max(READ_BYTES)).await {
            Ok(0) => return "the broker closed the connection".into(),
            Ok(_) => {}
            Err(error) => return error.to_string().into(),
        }
    }
}

async fn write_requests(link: &Link, mut writer: WriteHalf) -> Arc<str> {
    loop {
        let frames = link.pipeline().begin_write();
        if frames.is_empty() {
            link.outbox_filled.notified().await;
            continue;
        }
        let mut segments: Vec<Segment> = frames.into_iter().map(Segment::Bytes).collect();
        if let Err(error) = writer.send(&mut segments).await {
            return error.to_string().into();
        }
        let written = link.pipeline().written();
        for reply in written {
            drop(reply.send(Ok(Bytes::new())));
        }
    }
}

async fn watch_deadlines(link: &Link) -> Arc<str> {
    let mut timer = DeadlineTimer::new();
    loop {
        let overdue = link.pipeline().overdue(clock::now());
        let given_up = match overdue {
            Overdue::Connection => return NO_RESPONSE.into(),
            Overdue::Askers(replies) => replies,
        };
        for reply in given_up {
            drop(reply.send(Err(RequestError::Lost(NO_RESPONSE.into()))));
        }
        timer.set(link.pipeline().next_deadline());
        tokio::select! {
            biased;
            () = timer.expired() => {}
            () = link.deadline_moved.notified() => {}
        }
    }
}
