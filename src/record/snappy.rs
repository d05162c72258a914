//! Snappy as Kafka clients write it: in the Java client's (xerial) framing, or raw as other clients do.
//!
//! Framing: a 16-byte header, then blocks, each a big-endian length and that many bytes of raw snappy.

use super::BatchError;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\x00";
/// Magic, version 1, compatible with version 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
const BLOCK_BYTES: usize = 32 * 1024;

pub(super) fn compress(plain: &[u8]) -> Vec<u8> {
    let mut encoder = snap::raw::Encoder::new();
    let mut out = Vec::with_capacity(HEADER.len() + plain.len() / 2);
    out.extend_from_slice(&HEADER);
    for block in plain.chunks(BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).expect("a block is far below snappy's limit");
        out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

pub(super) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::new();
    if !packed.starts_with(&MAGIC) {
        decompress_block(packed, limit, &mut out)?;
        return Ok(out);
    }
    let mut rest = packed.get(HEADER.len()..).ok_or_else(|| broken("the header is cut short"))?;
    while !rest.is_empty() {
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Err(broken("a block's length is cut short"));
        };
        let length = u32::from_be_bytes(*length) as usize;
        let Some((block, after)) = after.split_at_checked(length) else {
            return Err(broken("a block is cut short"));
        };
        decompress_block(block, limit, &mut out)?;
        rest = after;
    }
    Ok(out)
}

fn decompress_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let length = snap::raw::decompress_len(block).map_err(broken)?;
    let start = out.len();
    let end = start.checked_add(length).filter(|&end| end <= limit);
    // The length is the block's own claim: judged before anything is allocated for it.
    let end = end.ok_or(BatchError::UnpackLimit { limit })?;
    out.resize(end, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(broken)?;
    if written != length {
        return Err(broken("a block is shorter than it says"));
    }
    Ok(())
}

fn broken(why: impl std::fmt::Display) -> BatchError {
    BatchError::Unpack(format!("snappy: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framed_and_raw_both_unpack() {
        let plain = b"to be or not to be ".repeat(5000);
        let framed = compress(&plain);
        let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        assert!(framed.starts_with(&HEADER));
        assert_eq!(decompress(&framed, plain.len()).unwrap(), plain);
        assert_eq!(decompress(&raw, plain.len()).unwrap(), plain);
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_is_refused_before_it_is_allocated() {
        // Raw snappy starts with the length as a varint: 4 GiB - 1.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        assert_eq!(decompress(&bomb, 1000), Err(BatchError::UnpackLimit { limit: 1000 }));
    }

    #[test]
    fn blocks_together_stay_within_the_limit() {
        let framed = compress(&[7; 3 * BLOCK_BYTES]);
        let limit = 2 * BLOCK_BYTES + 1;
        assert_eq!(decompress(&framed, limit), Err(BatchError::UnpackLimit { limit }));
    }
}
