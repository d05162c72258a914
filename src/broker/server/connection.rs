//! One connection: reads requests, has them handled in order, sends the replies.
//!
//! Bounds what a client may take: memory (a large request waits for its share), time (a request begun must
//! arrive, a reply must be taken, an idle connection ends).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::close::Close;
use super::context::{ConnectionContext, RequestContext};
use super::handlers::{self, ProduceRun};
use super::limits::{Admission, ConnectionHandle};
use super::memory::{Charge, FREE_BYTES};
use super::notices::NotBuilt;
use super::outgoing::{Outgoing, SendError};
use super::transport::{Incoming, Transport};
use crate::broker::core::Core;
use crate::protocol::frame::{self, Frames};
use crate::protocol::{
    ApiKey, ErrorCode, Request, RequestError, RequestHeader, api_versions_response, decode_request,
};
use crate::rules::{Rule, holds};
use crate::runtime::clock::DeadlineTimer;
use crate::runtime::{Instant, Pace, clock, disk, task};

/// The largest request but for Produce: what carries no records only names things.
const NAMES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// One read takes at least, and at most, this much.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;
/// One read for a large request takes at most this much.
const READ_BYTES_LARGE: usize = 1024 * 1024;
/// Room made at once for a large request, so that the usual one is never moved. Untouched room costs nothing.
const ROOM_BYTES_MIN: usize = 1024 * 1024;
/// While other requests wait for memory, one that holds some must bring this much in this time.
const PROGRESS_BYTES_MIN: usize = 64 * 1024;
const PROGRESS_TIME: Duration = Duration::from_secs(1);

/// As much must be taken by the client within the time limit for sending: the limit is on standing still, not on being
/// slow.
const SENT_BYTES_MIN: u64 = 256 * 1024;

pub(super) struct Connection {
    pub(super) core: Arc<Core>,
    pub(super) context: ConnectionContext,
    pub(super) handle: Arc<ConnectionHandle>,
    pub(super) incoming: Incoming,
    pub(super) out: Outgoing,
    pub(super) buffer: BytesMut,
    /// For requests that wait.
    pub(super) wait_timer: DeadlineTimer,
    pub(super) run: ProduceRun,
    timer: DeadlineTimer,
    read_bytes: usize,
    /// When the last request was answered.
    active_at: Instant,
    /// When the first byte of the request now arriving was seen.
    arriving_since: Option<Instant>,
    /// The share of the memory budget of the request now arriving, or in flight.
    pub(super) charge: Option<Charge>,
    /// How much of it was there, and when that was last looked at.
    progress: Progress,
    _admission: Admission,
}

/// How far the request now arriving had come at some time, and when it last came on.
struct Progress {
    at: Instant,
    bytes: usize,
    came_on_at: Instant,
}

impl Progress {
    fn now(bytes: usize) -> Progress {
        let now = clock::now();
        Progress { at: now, bytes, came_on_at: now }
    }

    /// When it is to be looked at. A request that stops just after a look is not given the time until the second
    /// one: of many that stop, each has its turn while others wait.
    fn next_look(&self) -> Instant {
        self.at.min(self.came_on_at) + PROGRESS_TIME
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
            handle: Arc::clone(&admission.handle),
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
            progress: Progress::now(0),
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
        let (connection, peer) = (self.context.id, self.context.peer);
        if close.is_fault_of_client() {
            self.core.metrics.connections_dropped.add(1);
        }
        match close {
            Close::Idle => tracing::info!(connection, %peer, reason = %close, "connection_dropped"),
            _ if close.is_fault_of_client() => {
                tracing::warn!(connection, %peer, reason = %close, "connection_dropped");
            }
            _ => tracing::debug!(connection, %peer, reason = %close, "connection_closed"),
        }
    }

    /// Reads until there is at least one whole request.
    async fn receive(&mut self) -> Result<(), Close> {
        loop {
            let wanted = frame::next_length(&self.buffer, self.frame_bytes_max())?
                .map(|length| frame::LENGTH_BYTES + length);
            if wanted.is_some_and(|wanted| self.buffer.len() >= wanted) {
                self.arriving_since = None;
                return Ok(());
            }
            if self.handle.is_closing() {
                return Err(Close::Stopping);
            }
            let room = match wanted {
                Some(wanted) if wanted > FREE_BYTES => Some(self.make_room(wanted).await?),
                wanted => wanted.map(|wanted| wanted - self.buffer.len()),
            };
            self.read_some(room).await?;
        }
    }

    fn frame_bytes_max(&self) -> usize {
        let request_bytes_max = self.core.config.limits.request_bytes_max;
        match frame::next_api_key(&self.buffer) {
            Some(key) if key != ApiKey::Produce as i16 => request_bytes_max.min(NAMES_BYTES_MAX),
            _ => request_bytes_max,
        }
    }

    /// One wait for more bytes, or for the time to be up. Reads at most as much as there is room for in a
    /// request begun; the next one may come with it where the request is small.
    async fn read_some(&mut self, room: Option<usize>) -> Result<(), Close> {
        self.watch_the_time();
        let limit = match room {
            Some(room) if self.charge.is_some() => room.min(READ_BYTES_LARGE),
            room => self.read_bytes.max(room.unwrap_or(0)).min(READ_BYTES_LARGE),
        };
        tokio::select! {
            biased;
            read = self.incoming.read(&mut self.buffer, limit) => {
                let count = read?;
                if count == 0 {
                    return Err(Close::Peer);
                }
                self.core.metrics.bytes_received.add(count as u64);
                self.adapt(count, limit);
                if self.charge.is_some() {
                    self.progress.came_on_at = clock::now();
                }
                if self.arriving_since.is_none() {
                    self.arriving_since = Some(clock::now());
                }
            }
            () = self.handle.waker.woken() => {}
            () = self.timer.expired() => {
                self.judge_delay()?;
                self.timer.set(Some(self.deadline()));
            }
        }
        Ok(())
    }

    /// Whether the client may take its time.
    fn judge_delay(&mut self) -> Result<(), Close> {
        let now = clock::now();
        if now >= self.arrival_deadline() {
            return Err(if self.arriving_since.is_some() { Close::Slow } else { Close::Idle });
        }
        if self.charge.is_none() || now < self.progress.next_look() {
            return Ok(());
        }
        let stands_still = now >= self.progress.came_on_at + PROGRESS_TIME;
        let window_ends = now >= self.progress.at + PROGRESS_TIME;
        let falls_behind = window_ends && self.buffer.len() < self.progress.bytes + self.progress_bytes_min();
        if (stands_still || falls_behind) && self.core.memory.is_short() {
            return Err(Close::Stalled);
        }
        if stands_still {
            self.note_progress();
        } else if window_ends {
            self.progress =
                Progress { came_on_at: self.progress.came_on_at, ..Progress::now(self.buffer.len()) };
        }
        Ok(())
    }

    /// What has to arrive in each [`PROGRESS_TIME`] while others wait for memory. Who has the reserve, for which all of
    /// them wait, must send as fast as it takes to be through in time.
    fn progress_bytes_min(&self) -> usize {
        if !self.charge.as_ref().is_some_and(Charge::has_reserve) {
            return PROGRESS_BYTES_MIN;
        }
        let announced = frame::next_length(&self.buffer, self.frame_bytes_max()).ok().flatten().unwrap_or(0);
        let arrival_max = self.core.config.limits.request_arrival_max;
        let pace = announced as u128 * PROGRESS_TIME.as_nanos() / arrival_max.as_nanos().max(1);
        PROGRESS_BYTES_MIN.max(usize::try_from(pace).unwrap_or(usize::MAX))
    }

    fn note_progress(&mut self) {
        self.progress = Progress::now(self.buffer.len());
    }

    /// Larger reads for those who fill them, smaller for those who do not.
    fn adapt(&mut self, count: usize, limit: usize) {
        if count == limit {
            self.read_bytes = (self.read_bytes * 4).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
    }

    /// When the client's delay is to be judged.
    fn deadline(&self) -> Instant {
        let arrival = self.arrival_deadline();
        if self.charge.is_some() { arrival.min(self.progress.next_look()) } else { arrival }
    }

    fn arrival_deadline(&self) -> Instant {
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

    /// Room for more of a large request: how many bytes. What it holds is charged before it comes, and grows
    /// with what has come.
    async fn make_room(&mut self, wanted: usize) -> Result<usize, Close> {
        let arrived = self.buffer.len();
        let target = wanted.min(FREE_BYTES.max(2 * arrived));
        assert!(target > arrived, "a request that is not whole gets room for more");
        self.charge(target).await?;
        let room = wanted.min(ROOM_BYTES_MIN.max(target));
        self.buffer.reserve(room - arrived);
        Ok(target - arrived)
    }

    async fn charge(&mut self, bytes: usize) -> Result<(), Close> {
        let mut charge = self.charge.take().unwrap_or_else(|| {
            self.progress = Progress::now(self.buffer.len());
            Charge::new(&self.core.memory)
        });
        let handle = Arc::clone(&self.handle);
        let waited = {
            let growing = charge.grow(bytes);
            tokio::pin!(growing);
            loop {
                tokio::select! {
                    biased;
                    waited = &mut growing => break waited,
                    () = handle.waker.woken() => {
                        if handle.is_closing() {
                            return Err(Close::Stopping);
                        }
                    }
                }
            }
        };
        self.charge = Some(charge);
        if waited {
            // Waiting for our memory was not the client's delay.
            self.arriving_since = Some(clock::now());
            self.note_progress();
        }
        Ok(())
    }

    /// Handles every whole request that has arrived, and sends the replies.
    async fn answer(&mut self) -> Result<(), Close> {
        let handled = self.handle_frames().await;
        // The request is gone: what is held from here on is its reply.
        if let Some(charge) = &mut self.charge {
            charge.shrink_to(self.out.memory());
        }
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
            match Frames::take(&mut self.buffer, self.core.config.limits.request_bytes_max) {
                Ok(frames) if frames.is_empty() => return self.finish_run().await,
                Ok(frames) => self.handle_together(frames).await?,
                Err(error) => {
                    self.finish_run().await?;
                    return Err(error.into());
                }
            }
        }
    }

    async fn handle_together(&mut self, mut frames: Frames) -> Result<(), Close> {
        while let Some(range) = frames.next_range() {
            if self.out.is_full() {
                self.send().await?;
            }
            if frame::api_key(&frames.bytes[range.clone()]) != Some(ApiKey::Produce as i16) {
                self.handle_other(frames.frame(range)).await?;
            } else if let Err(error) = self.run.receive(&frames.bytes, range) {
                self.refuse(*error).await?;
            } else {
                while !self.run.check_a_turn(&self.core) {
                    task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    /// What is not Produce is handled one by one.
    async fn handle_other(&mut self, frame: Bytes) -> Result<(), Close> {
        match decode_request(frame) {
            Ok((header, request)) => {
                self.finish_run().await?;
                self.count(&header);
                self.dispatch(header, request).await
            }
            Err(error) => self.refuse(error).await,
        }
    }

    fn count(&self, header: &RequestHeader) {
        let metrics = &self.core.metrics;
        metrics.requests.add(1);
        metrics.requests_by_api.add(header.api_key, 1);
        metrics.requests_with_trailing_bytes.add(u64::from(header.trailing_bytes > 0));
    }

    /// What is not a request that can be answered closes the connection, as in Kafka.
    async fn refuse(&mut self, error: RequestError) -> Result<(), Close> {
        self.finish_run().await?;
        self.core.metrics.requests.add(1);
        match error {
            RequestError::UnsupportedApiVersions { correlation_id, .. } => {
                self.answer_unknown_api_versions(correlation_id);
                return Ok(());
            }
            RequestError::UnknownApi { key } => {
                let context = RequestContext { connection: &self.context, client_id: None };
                self.core.notices.tell(NotBuilt::Api(key), &context);
            }
            RequestError::UnsupportedVersion { .. } | RequestError::Malformed { .. } => {}
        }
        Err(error.into())
    }

    async fn dispatch(&mut self, header: RequestHeader, request: Request) -> Result<(), Close> {
        let core = Arc::clone(&self.core);
        let context = RequestContext { connection: &self.context, client_id: header.client_id.as_deref() };
        tracing::debug!(api = header.api_key.name(), from = %context, "request_received");
        match request {
            Request::Fetch(request) => return self.fetch(header, request).await,
            Request::ListOffsets(request) => {
                let response = handlers::list_offsets(&core, header.api_version, request).await;
                self.out.reply(&header, &response);
            }
            Request::Metadata(request) => {
                self.out.reply(&header, &handlers::metadata(&core, header.api_version, request).await);
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
                self.out.reply(&header, &handlers::init_producer_id(&core, &context, &request));
            }
            Request::FindCoordinator(request) => {
                self.out.reply(&header, &handlers::find_coordinator(&core, &context, &request));
            }
            // Decoded for our clients' sake, not advertised, not served.
            Request::Produce(_) | Request::DeleteTopics(_) => {
                core.notices.tell(NotBuilt::Api(header.api_key as i16), &context);
                let refused =
                    RequestError::UnsupportedVersion { api: header.api_key, version: header.api_version };
                return Err(refused.into());
            }
        }
        Ok(())
    }

    /// Asked in a version that is not known: the list of versions, in the oldest form.
    fn answer_unknown_api_versions(&mut self, correlation_id: i32) {
        let header = RequestHeader {
            api_key: ApiKey::ApiVersions,
            api_version: 0,
            correlation_id,
            client_id: None,
            trailing_bytes: 0,
        };
        self.out.reply(&header, &api_versions_response(ErrorCode::UNSUPPORTED_VERSION));
    }

    /// Appends what the produce requests since the last other request brought, waits for the flush where the
    /// topic asks for it, and adds their replies.
    async fn finish_run(&mut self) -> Result<(), Close> {
        if self.run.is_empty() {
            return Ok(());
        }
        if !holds(Rule::AppendBeforeAck) {
            return self.acknowledge_before_append().await;
        }
        self.run.append(&self.core);
        self.wait_flushed().await;
        self.run.reply(&self.core, &mut self.out);
        self.run.finish(&self.core).map_err(Close::UnacknowledgedFailed)
    }

    /// Sends the replies gathered so far.
    pub(super) async fn send(&mut self) -> Result<(), Close> {
        disk::settle().await;
        if self.out.is_empty() {
            return Ok(());
        }
        let bytes = self.out.len();
        self.out.send(self.reading_pace()).await.map_err(|error| match error {
            SendError::NotReading => Close::NotReading,
            SendError::Io(error) => Close::Io(error),
        })?;
        self.core.metrics.bytes_sent.add(bytes);
        Ok(())
    }

    /// How fast the client must take its replies. Who has the reserve is held to what is demanded of a sender.
    fn reading_pace(&self) -> Pace {
        match self.charge.as_ref().is_some_and(Charge::has_reserve) {
            true => Pace { bytes: PROGRESS_BYTES_MIN as u64, time: PROGRESS_TIME },
            false => Pace { bytes: SENT_BYTES_MIN, time: self.core.config.limits.response_send_max },
        }
    }
}
