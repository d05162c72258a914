//! The least a broker can do: check the CRC-32C, append, reply; and send a file range on request. No protocol,
//! no index, no offsets. Its CPU seconds per message are the bound that the broker is judged against.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The first byte of a frame's body that asks for a file range: `[u8 0xff][u64 position][u32 length]`.
/// A produce request starts with its API key, which is 0.
pub const FETCH_MARK: u8 = 0xff;

/// Below this many bytes a read's batches are copied together and written with one `pwrite`.
const COPY_BYTES_MAX: usize = 64 << 10;

struct Store {
    file: File,
    end: AtomicU64,
    /// Where in a produce frame's body the record batch starts.
    batch_at: usize,
    /// What every produce request is answered with.
    reply: Vec<u8>,
}

/// Serves until the process is stopped; prints the port on a line of its own first.
pub fn serve(directory: &Path, batch_at: usize, reply: Vec<u8>) -> io::Result<()> {
    let file =
        File::options().create(true).truncate(true).read(true).write(true).open(directory.join("log"))?;
    let store = Arc::new(Store { file, end: AtomicU64::new(0), batch_at, reply });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                if let Err(error) = connection(stream, &store).await
                    && error.kind() != io::ErrorKind::UnexpectedEof
                {
                    eprintln!("prototype: {error}");
                }
            });
        }
    })
}

async fn connection(mut stream: TcpStream, store: &Store) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(256 << 10);
    let mut replies = Vec::new();
    let mut copied = Vec::with_capacity(COPY_BYTES_MAX);
    loop {
        buffer.reserve(64 << 10);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut frames = Vec::new();
        while buffer.len() >= 4 {
            let length = u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
            if buffer.len() < 4 + length {
                buffer.reserve(4 + length - buffer.len());
                break;
            }
            buffer.advance(4);
            frames.push(buffer.split_to(length));
        }
        if frames.first().is_some_and(|f| f[0] == FETCH_MARK) {
            for frame in &frames {
                fetch(&mut stream, store, frame).await?;
            }
            continue;
        }
        append(store, &frames, &mut copied)?;
        replies.clear();
        frames.iter().for_each(|_| replies.extend_from_slice(&store.reply));
        if !replies.is_empty() {
            stream.write_all(&replies).await?;
        }
    }
}

fn append(store: &Store, frames: &[BytesMut], copied: &mut Vec<u8>) -> io::Result<()> {
    let mut total = 0;
    for frame in frames {
        let batch = &frame[store.batch_at..];
        let stated = u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]);
        if crc32c::crc32c(&batch[21..]) != stated {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bad CRC"));
        }
        total += batch.len();
    }
    let at = store.end.fetch_add(total as u64, Ordering::Relaxed);
    if total <= COPY_BYTES_MAX {
        copied.clear();
        frames.iter().for_each(|f| copied.extend_from_slice(&f[store.batch_at..]));
        return store.file.write_all_at(copied, at);
    }
    let parts: Vec<IoSlice<'_>> = frames.iter().map(|f| IoSlice::new(&f[store.batch_at..])).collect();
    let mut at = at;
    for chunk in parts.chunks(1024) {
        let bytes: usize = chunk.iter().map(|part| part.len()).sum();
        let written = rustix::io::pwritev(&store.file, chunk, at)?;
        if written != bytes {
            return Err(io::ErrorKind::WriteZero.into());
        }
        at += bytes as u64;
    }
    Ok(())
}

async fn fetch(stream: &mut TcpStream, store: &Store, frame: &[u8]) -> io::Result<()> {
    let mut position = u64::from_be_bytes(frame[1..9].try_into().expect("eight bytes"));
    let length = u32::from_be_bytes(frame[9..13].try_into().expect("four bytes"));
    stream.write_all(&length.to_be_bytes()).await?;
    let mut left = u64::from(length);
    while left > 0 {
        stream.writable().await?;
        let sent = stream.try_io(tokio::io::Interest::WRITABLE, || {
            Ok(rustix::fs::sendfile(&*stream, &store.file, Some(&mut position), left as usize)?)
        });
        match sent {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => left -= count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
