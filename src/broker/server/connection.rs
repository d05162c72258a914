//! One connection: reads requests, has them handled in order, sends the replies.
//!
//! Bounds what a client may take: memory (a large request waits for its share), time (a request begun must
//! arrive, a reply must be taken, an idle connection ends).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::OwnedSemaphorePermit;

use super::context::{ConnectionContext, RequestContext};
use super::handlers::{self, ProduceRun};
use super::limits::{Admission, Attention};
use super::outgoing::{Outgoing, SendError};
use super::transport::{Incoming, Transport};
use crate::broker::core::{Core, MEMORY_UNIT_BYTES};
use crate::protocol::frame::{self, FrameError};
use crate::protocol::{
    ApiKey, ErrorCode, Request, RequestError, RequestHeader, api_versions_response, decode_request,
};
use crate::rules::{Rule, holds};
use crate::runtime::clock::DeadlineTimer;
use crate::runtime::{Instant, clock, disk};

/// Requests up to this size need no share of the memory budget: every connection has as much for itself.
const FREE_BYTES: usize = 64 * 1024;
/// One read takes at least, and at most, this much.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;
/// One read for a large request takes at most this much.
const READ_BYTES_LARGE: usize = 1024 * 1024;
/// How late an append may be where the rule that it precedes its reply is suspended.
const LATE_APPEND: Duration = Duration::from_millis(20);

pub(super) struct Connection {
    pub(super) core: Arc<Core>,
    pub(super) context: ConnectionContext,
    pub(super) attention: Arc<Attention>,
    pub(super) incoming: Incoming,
    pub(super) out: Outgoing,
    pub(super) buffer: BytesMut,
    /// For requests that wait.
    pub(super) wait_timer: DeadlineTimer,
    run: ProduceRun,
    timer: DeadlineTimer,
    read_bytes: usize,
    /// When the last request was answered.
    active_at: Instant,
    /// When the first byte of the request now arriving was seen.
    arriving_since: Option<Instant>,
    /// The share of the memory budget of the request now arriving, or in flight.
    charge: Option<OwnedSemaphorePermit>,
    _admission: Admission,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Close {
    #[error("the client closed it")]
    Peer,
    #[error("the broker stops")]
    Stopping,
    #[error("idle for too long")]
    Idle,
    #[error("a request did not arrive in time")]
    Slow,
    #[error("the client does not read its replies")]
    NotReading,
    #[error("a produce request without acknowledgement failed: {0}")]
    UnacknowledgedFailed(ErrorCode),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Close {
    /// Whether the broker ended it for what the client did.
    fn is_reproach(&self) -> bool {
        !matches!(self, Close::Peer | Close::Stopping | Close::Io(_))
    }
}

impl Connection {
    pub fn new(
        core: Arc<Core>,
        admission: Admission,
        context: ConnectionContext,
        transport: Transport,
    ) -> Connection {
        let (incoming, outgoing) = transport.into_split();
        Connection {
            core,
            context,
            attention: Arc::clone(&admission.attention),
            incoming,
            out: Outgoing::new(outgoing),
            buffer: BytesMut::new(),
            wait_timer: DeadlineTimer::new(),
            run: ProduceRun::default(),
            timer: DeadlineTimer::new(),
            read_bytes: READ_BYTES_MIN,
            active_at: clock::now(),
            arriving_since: None,
            charge: None,
            _admission: admission,
        }
    }

    /// Serves until the connection ends.
    pub async fn run(mut self) {
        let close = loop {
            if let Err(close) = self.receive().await {
                break close;
            }
            if let Err(close) = self.answer().await {
                break close;
            }
        };
        if close.is_reproach() {
            self.core.metrics.connections_dropped.add(1);
        }
        tracing::debug!(connection = self.context.id, peer = %self.context.peer, reason = %close, "connection_closed");
    }

    /// Reads until there is at least one whole request.
    async fn receive(&mut self) -> Result<(), Close> {
        loop {
            let wanted = frame::next_length(&self.buffer, self.core.config.limits.request_bytes_max)?
                .map(|length| frame::LENGTH_BYTES + length);
            if wanted.is_some_and(|wanted| self.buffer.len() >= wanted) {
                self.arriving_since = None;
                return Ok(());
            }
            if self.attention.is_closing() {
                return Err(Close::Stopping);
            }
            if let Some(wanted) = wanted {
                self.charge(wanted).await?;
                self.make_room(wanted);
            }
            self.read_some(wanted).await?;
        }
    }

    /// One wait for more bytes, or for the time to be up.
    async fn read_some(&mut self, wanted: Option<usize>) -> Result<(), Close> {
        self.watch_the_time();
        let missing = wanted.map_or(0, |wanted| wanted - self.buffer.len());
        let limit = self.read_bytes.max(missing).min(READ_BYTES_LARGE);
        tokio::select! {
            biased;
            read = self.incoming.read(&mut self.buffer, limit) => {
                let count = read?;
                if count == 0 {
                    return Err(Close::Peer);
                }
                self.core.metrics.bytes_received.add(count as u64);
                self.adapt(count, limit);
                if self.arriving_since.is_none() {
                    self.arriving_since = Some(clock::now());
                }
            }
            () = self.attention.bell.heard() => {}
            () = self.timer.expired() => {
                if clock::now() >= self.deadline() {
                    return Err(if self.arriving_since.is_some() { Close::Slow } else { Close::Idle });
                }
                self.timer.set(Some(self.deadline()));
            }
        }
        Ok(())
    }

    /// Larger reads for those who fill them, smaller for those who do not.
    fn adapt(&mut self, count: usize, limit: usize) {
        if count == limit {
            self.read_bytes = (self.read_bytes * 4).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
    }

    fn deadline(&self) -> Instant {
        let limits = &self.core.config.limits;
        match self.arriving_since {
            Some(since) => since + limits.request_arrival_max,
            None => self.active_at + limits.connection_idle_max,
        }
    }

    /// The timer is only ever moved to an earlier time here; when it fires it is set to what is then right.
    fn watch_the_time(&mut self) {
        let deadline = self.deadline();
        if self.timer.deadline().is_none_or(|armed| deadline < armed) {
            self.timer.set(Some(deadline));
        }
    }

    /// Takes a large request's share of the memory budget, all of it at once: of two that each held a part
    /// and waited for more neither would ever go on.
    async fn charge(&mut self, wanted: usize) -> Result<(), Close> {
        if wanted <= FREE_BYTES || self.charge.is_some() {
            return Ok(());
        }
        let units =
            u32::try_from((wanted - FREE_BYTES).div_ceil(MEMORY_UNIT_BYTES)).expect("a frame is below 2^31");
        let acquiring = Arc::clone(&self.core.memory).acquire_many_owned(units);
        tokio::pin!(acquiring);
        loop {
            tokio::select! {
                biased;
                share = &mut acquiring => {
                    self.charge = Some(share.expect("the budget is never closed"));
                    // Waiting for our memory was not the client's delay.
                    self.arriving_since = Some(clock::now());
                    return Ok(());
                }
                () = self.attention.bell.heard() => {
                    if self.attention.is_closing() {
                        return Err(Close::Stopping);
                    }
                }
            }
        }
    }

    /// Room for the whole request at once: what is larger than a connection's own share is paid for.
    fn make_room(&mut self, wanted: usize) {
        if self.charge.is_some() {
            self.buffer.reserve(wanted - self.buffer.len());
        }
    }

    /// Handles every whole request that has arrived, and sends the replies.
    async fn answer(&mut self) -> Result<(), Close> {
        let handled = self.handle_frames().await;
        // What was answered before something went wrong is sent all the same.
        let sent = self.send().await;
        self.charge = None;
        self.active_at = clock::now();
        if self.buffer.is_empty() {
            // An idle connection holds no memory.
            self.buffer = BytesMut::new();
        }
        handled.and(sent)
    }

    async fn handle_frames(&mut self) -> Result<(), Close> {
        loop {
            if self.out.is_full() {
                self.send().await?;
            }
            let frame = match frame::next_frame(&mut self.buffer, self.core.config.limits.request_bytes_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => return self.finish_run().await,
                Err(error) => {
                    self.finish_run().await?;
                    return Err(error.into());
                }
            };
            self.core.metrics.requests.add(1);
            match decode_request(frame) {
                Ok((header, Request::Produce(request))) => {
                    self.core.metrics.requests_produce.add(1);
                    self.run.add(&self.core, header, request);
                }
                Ok((header, request)) => {
                    self.finish_run().await?;
                    self.dispatch(header, request).await?;
                }
                Err(RequestError::UnsupportedApiVersions { correlation_id, .. }) => {
                    self.finish_run().await?;
                    self.answer_unknown_api_versions(correlation_id);
                }
                Err(error) => {
                    self.finish_run().await?;
                    return Err(error.into());
                }
            }
        }
    }

    async fn dispatch(&mut self, header: RequestHeader, request: Request) -> Result<(), Close> {
        let core = Arc::clone(&self.core);
        let context = RequestContext { connection: &self.context, client_id: header.client_id.as_deref() };
        tracing::debug!(api = header.api_key.name(), from = %context, "request_received");
        match request {
            Request::Fetch(request) => return self.fetch(header, request).await,
            Request::ListOffsets(request) => {
                self.out.reply(&header, &handlers::list_offsets(&core, request));
            }
            Request::Metadata(request) => {
                self.out.reply(&header, &handlers::metadata(&core, request).await);
            }
            Request::CreateTopics(request) => {
                self.out.reply(&header, &handlers::create_topics(&core, &context, request).await);
            }
            Request::DescribeConfigs(request) => {
                self.out.reply(&header, &handlers::describe_configs(&core, request).await);
            }
            Request::ApiVersions(_) => {
                self.out.reply(&header, &api_versions_response(ErrorCode::NONE));
            }
            Request::InitProducerId(request) => {
                self.out.reply(&header, &handlers::init_producer_id(&context, &request));
            }
            // Decoded for our clients' sake, not advertised, not served.
            _ => {
                let refused =
                    RequestError::UnsupportedVersion { api: header.api_key, version: header.api_version };
                return Err(refused.into());
            }
        }
        Ok(())
    }

    /// Asked in a version that is not known: the list of versions, in the oldest form.
    fn answer_unknown_api_versions(&mut self, correlation_id: i32) {
        let header =
            RequestHeader { api_key: ApiKey::ApiVersions, api_version: 0, correlation_id, client_id: None };
        self.out.reply(&header, &api_versions_response(ErrorCode::UNSUPPORTED_VERSION));
    }

    /// Appends what the produce requests since the last other request brought, waits for the flush where the
    /// topic asks for it, and adds their replies.
    async fn finish_run(&mut self) -> Result<(), Close> {
        if self.run.is_empty() {
            return Ok(());
        }
        if !holds(Rule::AppendBeforeAck) {
            self.run.foretell();
            self.run.reply(&mut self.out);
            self.send().await?;
            // As if another task appended, when it gets round to it.
            clock::sleep(LATE_APPEND).await;
            self.run.append(&self.core);
            return self.run.finish();
        }
        self.run.append(&self.core);
        self.run.wait_flushed(&self.core, &self.attention.bell, &mut self.wait_timer).await;
        self.run.reply(&mut self.out);
        self.run.finish()
    }

    /// Sends the replies gathered so far.
    pub(super) async fn send(&mut self) -> Result<(), Close> {
        disk::settle().await;
        if self.out.is_empty() {
            return Ok(());
        }
        let bytes = self.out.len();
        self.out.send(self.core.config.limits.response_send_max).await.map_err(|error| match error {
            SendError::NotReading => Close::NotReading,
            SendError::Io(error) => Close::Io(error),
        })?;
        self.core.metrics.bytes_sent.add(bytes);
        Ok(())
    }
}
