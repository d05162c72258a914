//! Snappy as Kafka clients write it: in the Java client's (xerial) framing, or raw as other clients do.
//!
//! Framing: a 16-byte header, then blocks, each a big-endian length and that many bytes of raw snappy.

use super::BatchError;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\x00";
/// Magic, version 1, compatible with version 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
const BLOCK_BYTES: usize = 32 * 1024;
/// The most that a byte of raw snappy stands for: a copy takes three bytes and gives at most 64.
const EXPANSION_MAX: usize = 64 / 3 + 1;

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

/// Unpacks to at most `limit` bytes, into `out`.
pub(super) fn decompress(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    if !packed.starts_with(&MAGIC) {
        return decompress_block(packed, limit, out);
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
        decompress_block(block, limit, out)?;
        rest = after;
    }
    Ok(())
}

fn decompress_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let length = snap::raw::decompress_len(block).map_err(broken)?;
    let start = out.len();
    let end = start.checked_add(length).filter(|&end| end <= limit);
    // The length is the block's own claim: judged before anything is allocated for it.
    let end = end.ok_or(BatchError::UnpackLimit { limit })?;
    if length > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(broken("a block claims more than its bytes can unpack to"));
    }
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

    fn unpacked(packed: &[u8], limit: usize) -> Result<Vec<u8>, BatchError> {
        let mut out = Vec::new();
        decompress(packed, limit, &mut out).map(|()| out)
    }

    #[test]
    fn framed_and_raw_both_unpack() {
        let plain = b"to be or not to be ".repeat(5000);
        let framed = compress(&plain);
        let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        assert!(framed.starts_with(&HEADER));
        assert_eq!(unpacked(&framed, plain.len()).unwrap(), plain);
        assert_eq!(unpacked(&raw, plain.len()).unwrap(), plain);
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_is_refused_before_it_is_allocated() {
        // Raw snappy starts with the length as a varint: 4 GiB - 1.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        assert_eq!(unpacked(&bomb, 1000), Err(BatchError::UnpackLimit { limit: 1000 }));
    }

    #[test]
    fn a_claimed_length_that_no_bytes_can_unpack_to_is_refused_before_it_is_allocated() {
        let lie = [0x80, 0x80, 0x80, 0x08, 0x00]; // 16 MiB
        let mut out = Vec::new();
        assert!(matches!(decompress(&lie, 32 << 20, &mut out), Err(BatchError::Unpack(_))));
        assert_eq!(out.capacity(), 0);
        let zeros = snap::raw::Encoder::new().compress_vec(&[0; 1 << 20]).unwrap();
        assert_eq!(unpacked(&zeros, 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn blocks_together_stay_within_the_limit() {
        let framed = compress(&[7; 3 * BLOCK_BYTES]);
        let limit = 2 * BLOCK_BYTES + 1;
        assert_eq!(unpacked(&framed, limit), Err(BatchError::UnpackLimit { limit }));
    }
}
