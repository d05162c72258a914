//! Ids of 16 bytes as the 22 characters that Kafka writes: base64 in its URL-safe alphabet, without padding.
//!
//! Pure.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ID_CHARACTERS: usize = 22;

pub(super) fn encode_id(id: &[u8; 16]) -> String {
    // 128 bits and 4 of padding make 22 groups of 6.
    let bits = u128::from_be_bytes(*id);
    let group = |index: usize| match ID_CHARACTERS - 1 - index {
        0 => (bits << 4) & 63,
        from_end => (bits >> (6 * from_end - 4)) & 63,
    };
    let text: String = (0..ID_CHARACTERS).map(|index| char::from(ALPHABET[group(index) as usize])).collect();
    assert_eq!(decode_id(&text).as_ref(), Some(id), "what is written can be read back");
    text
}

pub(super) fn decode_id(text: &str) -> Option<[u8; 16]> {
    let groups = text.as_bytes();
    if groups.len() != ID_CHARACTERS {
        return None;
    }
    let value = |character: u8| ALPHABET.iter().position(|c| *c == character).map(|p| p as u128);
    let (last, others) = groups.split_last()?;
    let mut bits: u128 = 0;
    for character in others {
        bits = bits << 6 | value(*character)?;
    }
    // 21 groups hold 126 bits; the last one the other two, above four of padding.
    Some((bits << 2 | value(*last)? >> 4).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_written_as_kafka_writes_it() {
        // From `java.util.Base64.getUrlEncoder().withoutPadding()`.
        let id: [u8; 16] = std::array::from_fn(|index| (index * 17) as u8);
        assert_eq!(encode_id(&id), "ABEiM0RVZneImaq7zN3u_w");
        assert_eq!(encode_id(&[0xff; 16]), "_____________________w");
        assert_eq!(encode_id(&[0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAA+AAAAAAAAAAA"] {
            assert_eq!(decode_id(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_reads_back(id: [u8; 16]) {
            prop_assert_eq!(decode_id(&encode_id(&id)), Some(id));
        }
    }
}
