//! `/metrics` and `/health` over a small HTTP/1.1: one request a connection, few connections at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;

use super::core::Core;
use super::exposition::{Exposition, Format};
use crate::runtime::net::{Listener, Stream};
use crate::runtime::task::TaskGroup;
use crate::runtime::{AcceptError, Segment, clock};

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// A request's head, the only part of it that is read.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// From accepting to closing.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Pause where there is no room for one more connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served.
struct Site {
    core: Arc<Core>,
    exposition: Exposition,
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

/// Serves for as long as it is polled; connections live in `tasks`.
pub(super) async fn serve(core: Arc<Core>, listener: Listener, tasks: Arc<TaskGroup>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let site = Arc::new(Site { exposition: Exposition::new(Arc::clone(&core)), core });
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let site = Arc::clone(&site);
                tasks.spawn("http", async move {
                    let served = clock::timeout(TIME_MAX, serve_one(&site, stream)).await;
                    match served {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "http_request_failed"),
                        Err(elapsed) => tracing::debug!(%peer, error = %elapsed, "http_request_failed"),
                    }
                    drop(place);
                });
            }
            Err(AcceptError::Peer(error)) => tracing::debug!(%error, "accept_failed"),
            Err(AcceptError::Exhausted(error)) => {
                tracing::warn!(%error, "accept_failed");
                clock::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(site: &Site, stream: Stream) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let mut head = BytesMut::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let room = HEAD_BYTES_MAX - head.len();
        if room == 0 || read.read(&mut head, room).await? == 0 {
            return Ok(());
        }
    }
    let answer = site.answer(&head);
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    );
    let mut segments = vec![Segment::Bytes(Bytes::from(head)), Segment::Bytes(Bytes::from(answer.body))];
    write.send(&mut segments).await?;
    write.shutdown().await?;
    // The client closes first, so that nothing of the answer is lost to a reset.
    let mut rest = BytesMut::new();
    while rest.len() < HEAD_BYTES_MAX && read.read(&mut rest, HEAD_BYTES_MAX).await? > 0 {}
    Ok(())
}

impl Site {
    fn answer(&self, head: &[u8]) -> Answer {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        let plain = |status, body: String| Answer { status, content_type: "text/plain; charset=utf-8", body };
        let format = Format::wanted_by(head);
        match (words.next(), words.next()) {
            (Some(b"GET"), Some(b"/metrics")) => Answer {
                status: "200 OK",
                content_type: format.content_type(),
                body: self.exposition.render(format),
            },
            (Some(b"GET"), Some(b"/health")) => match self.core.health_problems().as_slice() {
                [] => plain("200 OK", "ok\n".to_owned()),
                problems => plain("503 Service Unavailable", problems.join("\n") + "\n"),
            },
            (Some(b"GET"), _) => plain("404 Not Found", "there is /metrics and /health\n".to_owned()),
            _ => plain("405 Method Not Allowed", "only GET\n".to_owned()),
        }
    }
}
