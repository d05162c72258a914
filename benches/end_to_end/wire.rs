//! Prebuilt requests, byte by byte: the client must cost nothing and owe nothing to the code under test.

pub const TOPIC: &str = "bench";
const CLIENT: &str = "raw";
const BATCH_HEADER_BYTES: usize = 61;

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as i16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn request(api_key: i16, version: i16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend_from_slice(&api_key.to_be_bytes());
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&1_i32.to_be_bytes());
    string(&mut frame, CLIENT);
    body(&mut frame);
    let length = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut z = ((value << 1) ^ (value >> 63)) as u64;
    while z >= 0x80 {
        out.push(z as u8 | 0x80);
        z >>= 7;
    }
    out.push(z as u8);
}

/// A record batch v2 of `count` records with values of `value_bytes` bytes, uncompressed.
pub fn batch(count: usize, value_bytes: usize) -> Vec<u8> {
    let mut records = Vec::new();
    for index in 0..count {
        let mut record = vec![0_u8];
        varint(&mut record, 0);
        varint(&mut record, index as i64);
        varint(&mut record, -1);
        varint(&mut record, value_bytes as i64);
        record.extend((0..value_bytes).map(|i| b'a' + ((i * 7 + index) % 26) as u8));
        varint(&mut record, 0);
        varint(&mut records, record.len() as i64);
        records.extend_from_slice(&record);
    }
    let mut batch = vec![0_u8; BATCH_HEADER_BYTES];
    batch[8..12].copy_from_slice(&((BATCH_HEADER_BYTES - 12 + records.len()) as i32).to_be_bytes());
    batch[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
    batch[16] = 2;
    batch[23..27].copy_from_slice(&(count as i32 - 1).to_be_bytes());
    let now_ms = 1_700_000_000_000_i64;
    batch[27..35].copy_from_slice(&now_ms.to_be_bytes());
    batch[35..43].copy_from_slice(&now_ms.to_be_bytes());
    batch[43..51].copy_from_slice(&(-1_i64).to_be_bytes());
    batch[51..53].copy_from_slice(&(-1_i16).to_be_bytes());
    batch[53..57].copy_from_slice(&(-1_i32).to_be_bytes());
    batch[57..61].copy_from_slice(&(count as i32).to_be_bytes());
    batch.extend_from_slice(&records);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// Produce v7, acks = 1, one batch for partition 0. Returns the frame and where in its body the batch starts.
pub fn produce(batch: &[u8]) -> (Vec<u8>, usize) {
    let frame = request(0, 7, |out| {
        out.extend_from_slice(&(-1_i16).to_be_bytes());
        out.extend_from_slice(&1_i16.to_be_bytes());
        out.extend_from_slice(&30_000_i32.to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
        string(out, TOPIC);
        out.extend_from_slice(&1_i32.to_be_bytes());
        out.extend_from_slice(&0_i32.to_be_bytes());
        out.extend_from_slice(&(batch.len() as i32).to_be_bytes());
        out.extend_from_slice(batch);
    });
    let batch_at = frame.len() - 4 - batch.len();
    (frame, batch_at)
}

/// What the prototype answers: as long as a Produce v7 response is.
pub fn produce_reply() -> Vec<u8> {
    let body = 4 + 4 + 2 + TOPIC.len() + 4 + 4 + 2 + 8 + 8 + 8 + 4;
    let mut reply = (body as i32).to_be_bytes().to_vec();
    reply.resize(4 + body, 0);
    reply
}

/// Where the error code of the first partition stands in a Produce v7 response's body.
pub fn produce_error(body: &[u8]) -> i16 {
    let at = 4 + 4 + 2 + TOPIC.len() + 4 + 4;
    i16::from_be_bytes([body[at], body[at + 1]])
}

/// CreateTopics v2: one partition, one replica.
pub fn create_topic(configs: &[(String, String)]) -> Vec<u8> {
    request(19, 2, |out| {
        out.extend_from_slice(&1_i32.to_be_bytes());
        string(out, TOPIC);
        out.extend_from_slice(&1_i32.to_be_bytes());
        out.extend_from_slice(&1_i16.to_be_bytes());
        out.extend_from_slice(&0_i32.to_be_bytes());
        out.extend_from_slice(&(configs.len() as i32).to_be_bytes());
        for (key, value) in configs {
            string(out, key);
            string(out, value);
        }
        out.extend_from_slice(&30_000_i32.to_be_bytes());
        out.push(0);
    })
}

/// The error code in a CreateTopics v2 response's body.
pub fn create_topic_error(body: &[u8]) -> i16 {
    let at = 4 + 4 + 4 + 2 + TOPIC.len();
    i16::from_be_bytes([body[at], body[at + 1]])
}

/// Fetch v4 from `offset`, at most `bytes` at once.
pub fn fetch(offset: i64, bytes: i32) -> Vec<u8> {
    request(1, 4, |out| {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        out.extend_from_slice(&500_i32.to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
        out.extend_from_slice(&bytes.to_be_bytes());
        out.push(0);
        out.extend_from_slice(&1_i32.to_be_bytes());
        string(out, TOPIC);
        out.extend_from_slice(&1_i32.to_be_bytes());
        out.extend_from_slice(&0_i32.to_be_bytes());
        out.extend_from_slice(&offset.to_be_bytes());
        out.extend_from_slice(&bytes.to_be_bytes());
    })
}

/// Where the records' length stands in a Fetch v4 response's body without aborted transactions.
pub fn fetch_records_at() -> usize {
    4 + 4 + 4 + 2 + TOPIC.len() + 4 + 4 + 2 + 8 + 8 + 4
}

/// The offset after the last whole batch in `records`, and how many records they hold.
pub fn next_offset(mut records: &[u8]) -> Option<(i64, u64)> {
    let mut found = None;
    let mut count = 0;
    while records.len() >= BATCH_HEADER_BYTES {
        let length = 12 + i32::from_be_bytes(records[8..12].try_into().expect("four bytes")) as usize;
        if records.len() < length {
            break;
        }
        let base = i64::from_be_bytes(records[..8].try_into().expect("eight bytes"));
        let delta = i32::from_be_bytes(records[23..27].try_into().expect("four bytes"));
        count += i32::from_be_bytes(records[57..61].try_into().expect("four bytes")) as u64;
        found = Some((base + i64::from(delta) + 1, count));
        records = &records[length..];
    }
    found
}
