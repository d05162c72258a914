//! The raw client: one blocking connection, prebuilt requests, a window of them in flight.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::prototype::FETCH_MARK;
use crate::wire;

/// Bytes asked for by one fetch.
pub const FETCH_BYTES: i32 = 1 << 20;
const BURST_BYTES_MAX: usize = 256 << 10;

pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Client {
    pub fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Client { stream, input: Vec::new() })
    }

    /// Creates the topic; one that exists already is fine.
    pub fn create_topic(&mut self, configs: &[(String, String)]) -> io::Result<()> {
        let body = self.call(&wire::create_topic(configs))?;
        match wire::create_topic_error(&body) {
            0 | 36 => Ok(()),
            code => Err(invalid(format!("CreateTopics answered error {code}"))),
        }
    }

    fn call(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        self.stream.write_all(frame)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    /// Sends `count` copies of `frame` with at most `window` unanswered; fails on the first error code.
    pub fn produce(&mut self, frame: &[u8], count: usize, window: usize) -> io::Result<()> {
        let burst_max = (BURST_BYTES_MAX / frame.len()).clamp(1, window);
        let burst: Vec<u8> = frame.repeat(burst_max);
        let (mut sent, mut answered) = (0, 0);
        self.input.clear();
        while answered < count {
            while sent < count && sent - answered < window {
                let next = (window - (sent - answered)).min(count - sent).min(burst_max);
                self.stream.write_all(&burst[..next * frame.len()])?;
                sent += next;
            }
            answered += self.read_answers()?;
        }
        Ok(())
    }

    fn read_answers(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 64 << 10];
        let read = self.stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.extend_from_slice(&chunk[..read]);
        let (mut at, mut answers) = (0, 0);
        while self.input.len() - at >= 4 {
            let length = i32::from_be_bytes(self.input[at..at + 4].try_into().expect("four bytes")) as usize;
            if self.input.len() - at < 4 + length {
                break;
            }
            match wire::produce_error(&self.input[at + 4..at + 4 + length]) {
                0 => answers += 1,
                code => return Err(invalid(format!("Produce answered error {code}"))),
            }
            at += 4 + length;
        }
        self.input.drain(..at);
        Ok(answers)
    }

    /// Reads records from `offset` until `records` were seen; returns the offset after them.
    pub fn fetch(&mut self, mut offset: i64, records: u64) -> io::Result<i64> {
        let mut seen = 0;
        let mut empty = 0;
        while seen < records {
            let body = self.call(&wire::fetch(offset, FETCH_BYTES))?;
            let at = wire::fetch_records_at();
            let Some((next, count)) = wire::next_offset(body.get(at + 4..).unwrap_or_default()) else {
                empty += 1;
                if empty > 20 {
                    return Err(invalid(format!("no records at offset {offset} in 20 fetches")));
                }
                continue;
            };
            offset = next;
            seen += count;
        }
        Ok(offset)
    }

    /// Reads `bytes` of the prototype's file from `position`.
    pub fn fetch_range(&mut self, mut position: u64, bytes: u64) -> io::Result<()> {
        let end = position + bytes;
        while position < end {
            let length = (end - position).min(FETCH_BYTES as u64) as u32;
            let mut frame = 13_u32.to_be_bytes().to_vec();
            frame.push(FETCH_MARK);
            frame.extend_from_slice(&position.to_be_bytes());
            frame.extend_from_slice(&length.to_be_bytes());
            self.call(&frame)?;
            position += u64::from(length);
        }
        Ok(())
    }
}
