//! Cuts a stream of bytes into frames: four bytes of length, then as many of content.
//!
//! A length out of bounds is found as soon as its four bytes are there, before anything is read for it.

use bytes::{Buf, Bytes, BytesMut};

/// The bytes of a frame's length.
pub const LENGTH_BYTES: usize = 4;

/// The stream has lost its frames: nothing after this can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {length} bytes: the limit is {frame_bytes_max}")]
    TooLarge { length: usize, frame_bytes_max: usize },
    #[error("frame of {length} bytes")]
    Negative { length: i32 },
}

/// Takes the first frame out of `buffer`, without its length and without copying; none if it is not all there.
pub fn next_frame(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = next_length(buffer, frame_bytes_max)? else {
        return Ok(None);
    };
    if buffer.len() - LENGTH_BYTES < length {
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// The length of the frame that `buffer` begins with, if its four bytes are there: how much to make room for.
pub fn next_length(buffer: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(length) = buffer.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    let length = usize::try_from(length).map_err(|_| FrameError::Negative { length })?;
    if length > frame_bytes_max {
        return Err(FrameError::TooLarge { length, frame_bytes_max });
    }
    Ok(Some(length))
}

/// The API key of the request that `buffer` begins with, if it is there.
pub fn next_api_key(buffer: &[u8]) -> Option<i16> {
    let key = buffer.get(LENGTH_BYTES..)?.first_chunk()?;
    Some(i16::from_be_bytes(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_become_complete() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0][..]);
        assert_eq!(next_frame(&mut buffer, 10), Ok(Some(Bytes::from_static(&[1, 2]))));
        assert_eq!(next_frame(&mut buffer, 10), Ok(Some(Bytes::new())));
        assert_eq!(next_frame(&mut buffer, 10), Ok(None));
        buffer.extend_from_slice(&[0, 1]);
        assert_eq!(next_frame(&mut buffer, 10), Ok(None));
        buffer.extend_from_slice(&[9]);
        assert_eq!(next_frame(&mut buffer, 10), Ok(Some(Bytes::from_static(&[9]))));
        assert!(buffer.is_empty());
    }

    #[test]
    fn the_kind_of_a_request_is_known_before_it_is_all_there() {
        assert_eq!(next_api_key(&[0, 0, 1, 0, 0]), None);
        assert_eq!(next_api_key(&[0, 0, 1, 0, 0, 18]), Some(18));
    }

    #[test]
    fn frame_over_the_limit_is_refused_before_its_content_comes() {
        let mut buffer = BytesMut::from(&[0x7f, 0xff, 0xff, 0xff][..]);
        let refused = FrameError::TooLarge { length: 0x7fff_ffff, frame_bytes_max: 100 };
        assert_eq!(next_frame(&mut buffer, 100), Err(refused));
        let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(next_frame(&mut buffer, 100), Err(FrameError::Negative { length: -1 }));
    }
}
