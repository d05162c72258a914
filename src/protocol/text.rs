//! Text that is a slice of the frame it came in, for what comes with every request and is seldom looked at.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// UTF-8, checked once.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    /// None if the bytes are not UTF-8.
    pub fn new(bytes: Bytes) -> Option<Text> {
        std::str::from_utf8(&bytes).is_ok().then_some(Text(bytes))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made")
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_is_utf_8() {
        assert_eq!(Text::new(Bytes::from_static("näher".as_bytes())).as_deref(), Some("näher"));
        assert_eq!(Text::new(Bytes::from_static(&[0xff])), None);
    }
}
