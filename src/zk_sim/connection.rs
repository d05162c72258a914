//! One client's connection: frames in, replies and events out, both at once in one task.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::shared::{Shared, Wakers};
use super::watches::ConnectionId;
use crate::runtime::clock;
use crate::runtime::net::{ReadHalf, Stream, WriteHalf};
use crate::zookeeper::codec::{REQUEST_BYTES_MAX, next_frame};

/// What one read may bring.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Serves a connection to its end. A client that says nothing for `handshake_timeout` is dropped.
pub(super) async fn serve(shared: &Shared, stream: Stream, handshake_timeout: Duration) {
    let Some((id, wakers)) = shared.open() else { return };
    let _close_when_dropped = CloseWhenDropped { shared, id };
    let (reader, writer) = stream.into_split();
    let reading = Reading { shared, id, wakers: &wakers, reader, buffer: BytesMut::new() };
    let ended = tokio::select! {
        biased;
        () = wakers.killer.notified() => Ok(()),
        ended = send_replies(shared, id, &wakers, writer) => ended,
        ended = reading.read_to_the_end(handshake_timeout) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(connection = id.0, %error, "zookeeper_connection_lost");
    }
}

/// Tells the state even when the task is stopped.
struct CloseWhenDropped<'a> {
    shared: &'a Shared,
    id: ConnectionId,
}

impl Drop for CloseWhenDropped<'_> {
    fn drop(&mut self) {
        self.shared.closed(self.id);
    }
}

async fn send_replies(
    shared: &Shared,
    id: ConnectionId,
    wakers: &Wakers,
    mut writer: WriteHalf,
) -> io::Result<()> {
    loop {
        wakers.writer.notified().await;
        let mut outgoing = shared.outgoing(id);
        while let Some(until) = outgoing.held_until {
            clock::sleep_until(until).await;
            outgoing = shared.outgoing(id);
        }
        if !outgoing.segments.is_empty() {
            writer.send(&mut outgoing.segments).await?;
            wakers.reader.notify_one();
        }
        if outgoing.last {
            return writer.shutdown().await;
        }
    }
}

struct Reading<'a> {
    shared: &'a Shared,
    id: ConnectionId,
    wakers: &'a Wakers,
    reader: ReadHalf,
    buffer: BytesMut,
}

impl Reading<'_> {
    async fn read_to_the_end(mut self, handshake_timeout: Duration) -> io::Result<()> {
        let first = clock::timeout(handshake_timeout, self.handshake()).await;
        first.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        loop {
            self.hand_over()?;
            while !self.shared.has_room(self.id) {
                self.wakers.reader.notified().await;
            }
            if self.reader.read(&mut self.buffer, READ_BYTES_MAX).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Reads until the first message is there, or answers a four-letter word in its place.
    async fn handshake(&mut self) -> io::Result<()> {
        while self.buffer.len() < 4 || self.first_is_incomplete() {
            if self.reader.read(&mut self.buffer, READ_BYTES_MAX).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let answer = match &self.buffer[..4] {
            b"ruok" => "imok".to_owned(),
            b"srvr" => self.shared.describe(),
            _ => return Ok(()),
        };
        self.shared.answer_and_close(self.id, answer.into());
        // The writer ends the connection.
        std::future::pending().await
    }

    fn first_is_incomplete(&self) -> bool {
        let length = self.buffer.first_chunk::<4>().map(|prefix| i32::from_be_bytes(*prefix));
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        length <= REQUEST_BYTES_MAX && self.buffer.len() < 4 + length
    }

    /// Hands over the whole messages that are there, those before a broken frame included.
    fn hand_over(&mut self) -> io::Result<()> {
        let mut messages: Vec<Bytes> = Vec::new();
        let broken = loop {
            match next_frame(&mut self.buffer, REQUEST_BYTES_MAX) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if !messages.is_empty() {
            self.shared.messages(self.id, messages);
        }
        broken.map_or(Ok(()), |error| Err(io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}
