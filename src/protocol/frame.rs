//! Cuts a stream of bytes into frames: four bytes of length, then as many of content.
//!
//! A length out of bounds is found as soon as its four bytes are there, before anything is read for it.

use std::ops::Range;

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

/// Whole frames that came together.
#[derive(Debug, Default)]
pub struct Frames {
    pub bytes: Bytes,
    next: usize,
}

impl Frames {
    /// Takes the whole frames that `buffer` begins with, without copying. Error: there is none, and the first one's
    /// length is out of bounds.
    pub fn take(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Frames, FrameError> {
        let mut end = 0;
        loop {
            let length = match next_length(&buffer[end..], frame_bytes_max) {
                Ok(length) => length,
                Err(error) if end == 0 => return Err(error),
                Err(_) => None,
            };
            match length {
                Some(length) if buffer.len() - end >= LENGTH_BYTES + length => end += LENGTH_BYTES + length,
                _ => return Ok(Frames { bytes: buffer.split_to(end).freeze(), next: 0 }),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Where the content of the next frame is in `bytes`.
    pub fn next_range(&mut self) -> Option<Range<usize>> {
        let length = self.bytes.get(self.next..)?.first_chunk::<LENGTH_BYTES>()?;
        let start = self.next + LENGTH_BYTES;
        self.next = start + u32::from_be_bytes(*length) as usize;
        assert!(self.next <= self.bytes.len(), "only whole frames were taken");
        Some(start..self.next)
    }

    /// The frame at `range`, as [`Frames::next_range`] gave it last. Of the last one nothing is kept here: who waits
    /// with it holds no more than it does.
    pub fn frame(&mut self, range: Range<usize>) -> Bytes {
        assert_eq!(range.end, self.next, "a frame is taken before the next one is looked for");
        if self.next == self.bytes.len() {
            return std::mem::take(&mut self.bytes).slice(range);
        }
        self.bytes.slice(range)
    }
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
    api_key(buffer.get(LENGTH_BYTES..)?)
}

/// The API key of the request in `frame` (without its length).
pub fn api_key(frame: &[u8]) -> Option<i16> {
    Some(i16::from_be_bytes(*frame.first_chunk()?))
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
    fn frames_that_came_together_are_taken_together() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 9][..]);
        let mut frames = Frames::take(&mut buffer, 10).expect("lengths within bounds");
        assert_eq!(frames.next_range(), Some(4..6));
        assert_eq!(frames.frame(4..6), Bytes::from_static(&[1, 2]));
        assert_eq!(frames.next_range(), Some(10..10));
        assert_eq!(frames.frame(10..10), Bytes::new());
        assert!(frames.is_empty(), "nothing is kept of the last one");
        assert_eq!(frames.next_range(), None);
        assert_eq!(&buffer[..], [0, 0, 0, 3, 9]);
        assert!(Frames::take(&mut buffer, 10).expect("a length within bounds").is_empty());
    }

    #[test]
    fn a_frame_out_of_bounds_does_not_take_those_before_it_along() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 1, 7, 0, 0, 0, 11, 0][..]);
        let mut frames = Frames::take(&mut buffer, 10).expect("the first one is within bounds");
        assert_eq!((frames.next_range(), frames.next_range()), (Some(4..5), None));
        let refused = FrameError::TooLarge { length: 11, frame_bytes_max: 10 };
        assert_eq!(Frames::take(&mut buffer, 10).expect_err("the second one is not"), refused);
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
