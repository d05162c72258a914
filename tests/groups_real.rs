//! The scenarios of `groups`, told with a ZooKeeper 3.8 from Debian in place of ours.
#![cfg(feature = "real-runtime")]
#![allow(clippy::disallowed_methods)] // Outside of any simulation.

#[path = "groups/harness.rs"]
#[allow(dead_code)]
mod harness;
#[path = "groups/stories.rs"]
mod stories;
mod support;

use std::future::Future;

use seedlog::runtime::task;
use stories::every_story;

/// Every story has a ZooKeeper of its own: they use the same names.
fn tell<S, F>(story: S)
where
    S: Fn(harness::Setting) -> F,
    F: Future<Output = ()>,
{
    if support::have_zookeeper() {
        let zookeeper = support::ZooKeeper::start();
        task::block_on(harness::tell_with(&zookeeper.address(), story));
    }
}

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
