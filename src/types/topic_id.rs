//! A topic's identity, which its name is not: a topic deleted and made again is another one.

use std::fmt;

/// The id that a topic gets when it is made. Shown, and written in files, as 32 hexadecimal digits;
/// ZooKeeper's nodes hold Kafka's 22 characters instead (`registry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    pub const fn from_bytes(bytes: [u8; 16]) -> TopicId {
        TopicId(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_as_its_bytes_in_order() {
        let mut bytes = [0; 16];
        (bytes[0], bytes[1], bytes[15]) = (0x01, 0xab, 0xff);

        assert_eq!(TopicId::from_bytes(bytes).to_string(), "01ab00000000000000000000000000ff");
    }
}
