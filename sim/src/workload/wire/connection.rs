//! Frames over one connection to a broker.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seedlog::protocol::frame;
use seedlog::runtime::net::{self, ReadHalf, WriteHalf};
use seedlog::runtime::{Segment, clock};

/// A larger reply is none that was asked for.
const REPLY_BYTES_MAX: usize = 8 << 20;
const READ_BYTES: usize = 4 << 10;

pub(in crate::workload) struct Connection {
    reader: ReadHalf,
    writer: WriteHalf,
    buffer: BytesMut,
    next_id: i32,
}

impl Connection {
    /// To `host:port`.
    pub async fn open(address: &str, timeout: Duration) -> Result<Connection, String> {
        let (host, port) = address.rsplit_once(':').ok_or("an address is host:port")?;
        let port = port.parse().map_err(|_| format!("{address} has no port"))?;
        let resolved = net::resolve(host, port).await.map_err(|error| error.to_string())?;
        let stream = net::connect(resolved, timeout).await.map_err(|error| error.to_string())?;
        let (reader, writer) = stream.into_split();
        Ok(Connection { reader, writer, buffer: BytesMut::new(), next_id: 1 })
    }

    /// The correlation id of the next request.
    pub fn next_id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id
    }

    pub async fn send(&mut self, frames: Vec<Bytes>) -> Result<(), String> {
        let mut segments = frames.into_iter().map(Segment::Bytes).collect();
        self.writer.send(&mut segments).await.map_err(|error| error.to_string())
    }

    /// The next reply, without its length.
    pub async fn reply(&mut self, timeout: Duration) -> Result<Bytes, String> {
        match clock::timeout(timeout, self.read_frame()).await {
            Ok(frame) => frame,
            Err(_) => Err("no reply in time".to_owned()),
        }
    }

    async fn read_frame(&mut self) -> Result<Bytes, String> {
        loop {
            match frame::next_frame(&mut self.buffer, REPLY_BYTES_MAX) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => return Err(error.to_string()),
            }
            match self.reader.read(&mut self.buffer, READ_BYTES).await {
                Ok(0) => return Err("the broker closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
