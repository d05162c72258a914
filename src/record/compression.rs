//! Packs and unpacks a batch's records, by the libraries of each codec.
//!
//! Unpacking is bounded: the output never grows beyond the caller's limit. On top of it a codec may hold a
//! window of its own: at most 12 MiB (lz4), or the larger of 8 MiB and the limit (zstd).

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::BatchError;
use super::header::COMPRESSION_BITS;
use super::snappy;

/// The Java client's default level.
const ZSTD_LEVEL: i32 = 3;
/// Windows up to 8 MiB every decoder should accept (RFC 8878, 3.1.1.1.2), whatever the limit.
const ZSTD_WINDOW_LOG_MIN: u32 = 23;
/// The zstd library's own bound for streams.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Legacy and skippable frames have other numbers, and no Kafka client writes them.
const LZ4_FRAME_MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
/// The first step of a growing output buffer.
const UNPACK_STEP_BYTES_MIN: usize = 4096;

/// How a batch's records are packed (`compression.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    pub(super) fn from_attributes(attributes: i16) -> Result<Compression, BatchError> {
        let code = (attributes & COMPRESSION_BITS) as u8;
        Compression::ALL.get(usize::from(code)).copied().ok_or(BatchError::UnknownCompression(code))
    }

    pub(super) fn to_attributes(self) -> i16 {
        self as i16
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// Packs `plain`.
pub(super) fn compress(compression: Compression, plain: &[u8]) -> Vec<u8> {
    const INFALLIBLE: &str = "writing to memory does not fail";
    match compression {
        Compression::None => plain.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain).expect(INFALLIBLE);
            encoder.finish().expect(INFALLIBLE)
        }
        Compression::Snappy => snappy::compress(plain),
        Compression::Lz4 => {
            use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
            // As the Java client writes it; it cannot read dependent blocks.
            let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(plain).expect(INFALLIBLE);
            encoder.finish().expect(INFALLIBLE)
        }
        Compression::Zstd => zstd::stream::encode_all(plain, ZSTD_LEVEL).expect(INFALLIBLE),
    }
}

/// Unpacks to at most `limit` bytes.
pub(super) fn decompress(
    compression: Compression,
    packed: &[u8],
    limit: usize,
) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::new();
    decompress_into(compression, packed, limit, &mut out)?;
    Ok(out)
}

/// Unpacks to at most `limit` bytes, behind what `out` holds (nothing); after an error its contents mean nothing.
pub(super) fn decompress_into(
    compression: Compression,
    packed: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    assert!(out.is_empty(), "nothing stands in front of what is unpacked");
    match compression {
        Compression::None if packed.len() > limit => return Err(BatchError::UnpackLimit { limit }),
        Compression::None => out.extend_from_slice(packed),
        Compression::Gzip => {
            read_bounded(flate2::bufread::MultiGzDecoder::new(packed), packed.len(), limit, out)?;
        }
        Compression::Snappy => snappy::decompress(packed, limit, out)?,
        Compression::Lz4 => decompress_lz4(packed, limit, out)?,
        Compression::Zstd => decompress_zstd(packed, limit, out)?,
    }
    Ok(())
}

/// One frame, as the Java client reads it: many small frames would cost a fresh window each.
fn decompress_lz4(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    if !packed.starts_with(&LZ4_FRAME_MAGIC) {
        return Err(BatchError::Unpack("lz4: not a frame".to_owned()));
    }
    let mut decoder = lz4_flex::frame::FrameDecoder::new(packed);
    read_bounded(&mut decoder, packed.len(), limit, out)?;
    if !decoder.into_inner().is_empty() {
        return Err(BatchError::Unpack("lz4: bytes follow the frame".to_owned()));
    }
    Ok(())
}

fn decompress_zstd(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let log_of_limit = usize::BITS - limit.leading_zeros();
    let window_log = log_of_limit.clamp(ZSTD_WINDOW_LOG_MIN, ZSTD_WINDOW_LOG_MAX);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(|e| unpack_error(&e))?;
    decoder.window_log_max(window_log).map_err(|e| unpack_error(&e))?;
    read_bounded(decoder, packed.len(), limit, out)
}

/// Reads to the end, or fails as soon as there is one byte too many. The buffer at most doubles, up to the
/// limit, so that a small batch costs little and a bomb costs the limit.
fn read_bounded(
    mut reader: impl Read,
    packed_bytes: usize,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let mut filled = 0;
    loop {
        if filled == out.len() {
            if filled == limit {
                let at_end = read_some(&mut reader, &mut [0])? == 0;
                return if at_end { Ok(()) } else { Err(BatchError::UnpackLimit { limit }) };
            }
            let step = filled.max(packed_bytes.saturating_mul(2)).max(UNPACK_STEP_BYTES_MIN);
            let grown = filled.saturating_add(step).min(limit);
            out.reserve_exact(grown - filled);
            out.resize(grown, 0);
        }
        match read_some(&mut reader, &mut out[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    out.truncate(filled);
    Ok(())
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, BatchError> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| unpack_error(&error)),
        }
    }
}

fn unpack_error(error: &std::io::Error) -> BatchError {
    BatchError::Unpack(error.to_string())
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no compression's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {0:?}: one of none, gzip, snappy, lz4, zstd")]
pub struct UnknownName(String);

impl FromStr for Compression {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Compression, UnknownName> {
        let found = Compression::ALL.into_iter().find(|compression| compression.name() == name);
        found.ok_or_else(|| UnknownName(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKED: [Compression; 4] =
        [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn what_is_packed_unpacks() {
        for plain in [&b""[..], b"x", &b"a line of text\n".repeat(20_000)] {
            for codec in Compression::ALL {
                let packed = compress(codec, plain);
                assert_eq!(decompress(codec, &packed, plain.len()).as_deref(), Ok(plain), "{codec}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let plain = vec![0_u8; 50 << 20];
        for codec in PACKED {
            let packed = compress(codec, &plain);
            let limit = 1 << 20;
            assert_eq!(decompress(codec, &packed, limit), Err(BatchError::UnpackLimit { limit }), "{codec}");
        }
    }

    #[test]
    fn a_zstd_window_beyond_the_bound_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).unwrap();
        encoder.window_log(26).unwrap();
        encoder.write_all(b"small").unwrap();
        let packed = encoder.finish().unwrap();
        assert!(matches!(decompress(Compression::Zstd, &packed, 1 << 20), Err(BatchError::Unpack(_))));
    }

    #[test]
    fn lz4_frames_with_dependent_blocks_and_checksums_unpack() {
        use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
        let plain = b"the quick brown fox ".repeat(40_000);
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            for (checksums, size) in [(false, None), (true, None), (true, Some(plain.len() as u64))] {
                let info = FrameInfo::new()
                    .block_mode(mode)
                    .block_size(BlockSize::Max64KB)
                    .block_checksums(checksums)
                    .content_checksum(checksums)
                    .content_size(size);
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(&plain).unwrap();
                let packed = encoder.finish().unwrap();
                assert_eq!(decompress(Compression::Lz4, &packed, 1 << 20).as_deref(), Ok(&plain[..]));
            }
        }
    }

    #[test]
    fn names_are_those_of_kafka() {
        for codec in Compression::ALL {
            assert_eq!(codec.name().parse(), Ok(codec));
            assert_eq!(serde_json::to_string(&codec).unwrap(), format!("{:?}", codec.name()));
        }
        assert!("brotli".parse::<Compression>().is_err());
    }
}
