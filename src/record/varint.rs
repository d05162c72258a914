//! Zigzag variable-length integers, as records use them.

/// What is wrong with a record's bytes, in words.
pub(super) type Fault = &'static str;

/// The longest encoding of an `i32`.
const VARINT_BYTES_MAX: usize = 5;
/// The longest encoding of an `i64`.
const VARLONG_BYTES_MAX: usize = 10;

pub(super) fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_varlong(out, i64::from(value));
}

pub(super) fn write_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`write_varlong`] (or, for the same number, `write_varint`) writes.
pub(super) fn encoded_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Takes an `i32` off the front of `bytes`.
#[inline(always)]
pub(super) fn read_varint(bytes: &mut &[u8]) -> Result<i32, Fault> {
    // Most are one byte long, and most of the rest two.
    match **bytes {
        [first, ..] if first < 0x80 => {
            *bytes = &bytes[1..];
            Ok(unzigzag(u64::from(first)) as i32)
        }
        [first, second, ..] if second < 0x80 => {
            *bytes = &bytes[2..];
            Ok(unzigzag(u64::from(first & 0x7f) | u64::from(second) << 7) as i32)
        }
        _ => {
            let raw = read_raw(bytes, VARINT_BYTES_MAX)?;
            i32::try_from(unzigzag(raw)).map_err(|_| "a varint exceeds 32 bits")
        }
    }
}

/// Takes an `i64` off the front of `bytes`.
#[inline(always)]
pub(super) fn read_varlong(bytes: &mut &[u8]) -> Result<i64, Fault> {
    match **bytes {
        [first, ..] if first < 0x80 => {
            *bytes = &bytes[1..];
            Ok(unzigzag(u64::from(first)))
        }
        _ => read_raw(bytes, VARLONG_BYTES_MAX).map(unzigzag),
    }
}

#[cold]
fn read_raw(bytes: &mut &[u8], bytes_max: usize) -> Result<u64, Fault> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(bytes_max).enumerate() {
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit only.
        if index == VARLONG_BYTES_MAX - 1 && part > 1 {
            return Err("a varint exceeds 64 bits");
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err("a varint does not end")
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_encodings() {
        for (value, bytes) in [(0, &[0_u8][..]), (-1, &[1]), (1, &[2]), (63, &[126]), (64, &[128, 1])] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn a_varint_that_does_not_end_is_refused() {
        assert!(read_varint(&mut &[0x80; 5][..]).is_err());
        assert!(read_varlong(&mut &[0xff; 10][..]).is_err());
        assert!(read_varlong(&mut &[][..]).is_err());
    }

    #[test]
    fn a_varint_of_more_than_32_bits_is_refused() {
        let mut bytes = Vec::new();
        write_varlong(&mut bytes, i64::from(i32::MAX) + 1);
        assert!(read_varint(&mut &bytes[..]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: i64) {
            let mut bytes = Vec::new();
            write_varlong(&mut bytes, value);
            prop_assert_eq!(bytes.len(), encoded_len(value));
            let mut rest = &bytes[..];
            prop_assert_eq!(read_varlong(&mut rest).unwrap(), value);
            prop_assert!(rest.is_empty());
        }
    }
}
