//! The scenarios, told with the embedded ZooKeeper.

use super::harness::tell;
use super::stories::{self, every_story};

macro_rules! tests {
    ($($(#[$attribute:meta])* $test:ident = $story:ident;)+) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $test() {
                tell(stories::$story);
            }
        )+
    };
}

every_story!(tests);
