//! Takes one record after another off a batch's unpacked bytes, as slices of them.
//!
//! The broker's check ([`super::admit`]), its look-ups by time and the consumers' iterator all read records here and
//! nowhere else: what one of them accepts the others can read. Nothing is allocated, and every length is held
//! against the bytes that are there. Keys, values and headers are not looked into.

use super::varint::{Fault, read_varint, read_varlong};

/// More headers on one record than anybody uses; each costs a consumer memory beyond its bytes. (Kafka allows as
/// many as the bytes hold.)
const RECORD_HEADERS_MAX: i32 = 1 << 16;

/// One record's fields as they lie in the bytes.
pub(super) struct RawRecord<'a> {
    /// Milliseconds after the batch's base timestamp; any 64 bits.
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub header_count: usize,
    /// The headers, whole: [`take_header`] succeeds `header_count` times on them.
    pub headers: &'a [u8],
}

/// Takes the record in front of `plain` off it. After a fault `plain` is of no more use.
#[inline(always)]
pub(super) fn take_record<'a>(plain: &mut &'a [u8]) -> Result<RawRecord<'a>, Fault> {
    let length = usize::try_from(read_varint(plain)?).map_err(|_| "the record's length is negative")?;
    let (body, after) = plain.split_at_checked(length).ok_or("the record is longer than what is left")?;
    *plain = after;
    let (_attributes, mut rest) = body.split_first().ok_or("the record has no attributes")?;
    let timestamp_delta = read_varlong(&mut rest)?;
    let offset_delta = read_varint(&mut rest)?;
    let key = take_nullable(&mut rest)?;
    let value = take_nullable(&mut rest)?;
    let count = read_varint(&mut rest)?;
    if !(0..=RECORD_HEADERS_MAX).contains(&count) {
        return Err("the number of headers is out of bounds");
    }
    let headers = rest;
    for _ in 0..count {
        take_header(&mut rest)?;
    }
    if !rest.is_empty() {
        return Err("bytes follow the record's headers");
    }
    Ok(RawRecord { timestamp_delta, offset_delta, key, value, header_count: count as usize, headers })
}

/// Takes a header's key and value off the front.
#[inline]
pub(super) fn take_header<'a>(headers: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Fault> {
    let key = take_nullable(headers)?.ok_or("a header has no key")?;
    Ok((key, take_nullable(headers)?))
}

/// A length and so many bytes; `None` stands for the length -1.
#[inline(always)]
fn take_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
    let length = read_varint(rest)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| "a length is negative")?;
    let (bytes, after) = rest.split_at_checked(length).ok_or("a length exceeds its record")?;
    *rest = after;
    Ok(Some(bytes))
}
