//! Builds batches, a record at a time.

use bytes::Bytes;

use super::varint::{encoded_len, write_varint, write_varlong};
use super::{
    BatchHeader, CRC_START, Compression, HEADER_BYTES, MAGIC, RecordHeader, SIZE_BYTES, compression,
};
use crate::types::{LeaderEpoch, ProducerId, Timestamp};

/// Collects records into one batch. Base offset 0; the leader epoch is left unknown (-1).
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    /// Room for the header, then the records so far, uncompressed.
    bytes: Vec<u8>,
    count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    producer_id: ProducerId,
    producer_epoch: i16,
    base_sequence: i32,
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder {
            compression,
            bytes: vec![0; HEADER_BYTES],
            count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            producer_id: ProducerId::NONE,
            producer_epoch: -1,
            base_sequence: -1,
        }
    }

    /// Adds a record. Panics when the batch would exceed 2 GiB: the caller keeps it below a limit.
    pub fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp.0);
        let body = 1
            + encoded_len(timestamp_delta)
            + encoded_len(i64::from(self.count))
            + bytes_len(key)
            + bytes_len(value)
            + encoded_len(headers.len() as i64)
            + headers.iter().map(header_len).sum::<usize>();
        let out = &mut self.bytes;
        write_length(out, body);
        let start = out.len();
        out.push(0);
        write_varlong(out, timestamp_delta);
        write_varint(out, self.count);
        write_bytes(out, key);
        write_bytes(out, value);
        write_length(out, headers.len());
        for header in headers {
            write_bytes(out, Some(&header.key));
            write_bytes(out, header.value.as_deref());
        }
        assert_eq!(out.len() - start, body, "a record has the length it says");
        self.count = self.count.checked_add(1).expect("a batch has less than 2^31 records");
    }

    /// Stamps the batch as an idempotent producer's. Waits for those (K3b): nothing but tests calls it yet.
    pub fn producer(&mut self, id: ProducerId, epoch: i16, base_sequence: i32) {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
    }

    /// The batch's bytes. Panics without records: there is no empty batch.
    pub fn build(mut self) -> Bytes {
        assert!(self.count > 0, "a batch has records");
        if self.compression != Compression::None {
            let packed = compression::compress(self.compression, &self.bytes[HEADER_BYTES..]);
            self.bytes.truncate(HEADER_BYTES);
            self.bytes.extend_from_slice(&packed);
        }
        self.write_header();
        let crc = crc32c::crc32c(&self.bytes[CRC_START..]);
        self.bytes[CRC_START - 4..CRC_START].copy_from_slice(&crc.to_be_bytes());
        let is_whole = BatchHeader::parse(&self.bytes).is_ok_and(|header| header.size() == self.bytes.len());
        assert!(is_whole, "what is built can be read back");
        Bytes::from(self.bytes)
    }

    /// Everything but the CRC.
    fn write_header(&mut self) {
        let length = i32::try_from(self.bytes.len() - SIZE_BYTES).expect("a batch is smaller than 2 GiB");
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&0_i64.to_be_bytes());
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&LeaderEpoch::UNKNOWN.0.to_be_bytes());
        header.push(MAGIC as u8);
        header.extend_from_slice(&0_u32.to_be_bytes());
        header.extend_from_slice(&self.compression.to_attributes().to_be_bytes());
        header.extend_from_slice(&(self.count - 1).to_be_bytes());
        header.extend_from_slice(&self.base_timestamp.0.to_be_bytes());
        header.extend_from_slice(&self.max_timestamp.0.to_be_bytes());
        header.extend_from_slice(&self.producer_id.0.to_be_bytes());
        header.extend_from_slice(&self.producer_epoch.to_be_bytes());
        header.extend_from_slice(&self.base_sequence.to_be_bytes());
        header.extend_from_slice(&self.count.to_be_bytes());
        self.bytes[..HEADER_BYTES].copy_from_slice(&header);
    }
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| encoded_len(bytes.len() as i64) + bytes.len())
}

fn header_len(header: &RecordHeader) -> usize {
    bytes_len(Some(&header.key)) + bytes_len(header.value.as_deref())
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    write_varint(out, i32::try_from(length).expect("a record is smaller than 2 GiB"));
}

fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}
