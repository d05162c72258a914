use seedlog::facts::{Fact, ZnodeChange};
use seedlog::types::{SessionId, Zxid};

use super::CHECK;
use crate::checkers::story::Story;
use crate::cluster::ZOOKEEPER;

/// What ZooKeeper and its clients state, in short.
trait Znodes {
    fn made(self, zxid: i64, path: &str, owner: i64) -> Story;
    fn changed(self, zxid: i64, path: &str, change: ZnodeChange) -> Story;
    fn saw(self, session: i64, zxid: i64, path: &str, mzxid: Option<i64>) -> Story;
    fn watched(self, session: i64, zxid: i64, path: &str, mzxid: Option<i64>) -> Story;
    fn listed(self, session: i64, zxid: i64, path: &str, names: Option<&[&str]>, watches: bool) -> Story;
    fn heard(self, session: i64, path: &str, change: ZnodeChange) -> Story;
}

impl Znodes for Story {
    fn made(self, zxid: i64, path: &str, owner: i64) -> Story {
        let change = ZnodeChange::Created;
        self.fact(
            ZOOKEEPER,
            Fact::ZnodeChanged { zxid: Zxid(zxid), path: path.into(), change, owner: SessionId(owner) },
        )
    }

    fn changed(self, zxid: i64, path: &str, change: ZnodeChange) -> Story {
        self.fact(
            ZOOKEEPER,
            Fact::ZnodeChanged { zxid: Zxid(zxid), path: path.into(), change, owner: SessionId::NONE },
        )
    }

    fn saw(self, session: i64, zxid: i64, path: &str, mzxid: Option<i64>) -> Story {
        self.fact(
            "a",
            Fact::ZnodeRead {
                session: SessionId(session),
                zxid: Zxid(zxid),
                path: path.into(),
                mzxid: mzxid.map(Zxid),
                watches: false,
            },
        )
    }

    fn watched(self, session: i64, zxid: i64, path: &str, mzxid: Option<i64>) -> Story {
        self.fact(
            "a",
            Fact::ZnodeRead {
                session: SessionId(session),
                zxid: Zxid(zxid),
                path: path.into(),
                mzxid: mzxid.map(Zxid),
                watches: true,
            },
        )
    }

    fn listed(self, session: i64, zxid: i64, path: &str, names: Option<&[&str]>, watches: bool) -> Story {
        let digest =
            |names: &[&str]| names.iter().fold(0, |all, name| all ^ crc32fast::hash(name.as_bytes()));
        let names = names.map(digest);
        self.fact(
            "a",
            Fact::ChildrenRead {
                session: SessionId(session),
                zxid: Zxid(zxid),
                path: path.into(),
                names,
                watches,
            },
        )
    }

    fn heard(self, session: i64, path: &str, change: ZnodeChange) -> Story {
        self.fact("a", Fact::WatchFired { session: SessionId(session), path: path.into(), change })
    }
}

const DELETED: ZnodeChange = ZnodeChange::Deleted;
const DATA: ZnodeChange = ZnodeChange::DataChanged;
const CHILDREN: ZnodeChange = ZnodeChange::ChildrenChanged;

#[test]
fn reads_of_what_was_written_pass_stale_ones_of_the_past_too() {
    let story = Story::new()
        .saw(7, 0, "/a", None)
        .made(1, "/a", 0)
        .changed(2, "/a", DATA)
        .saw(7, 1, "/a", Some(1))
        .saw(8, 2, "/a", Some(2))
        .changed(3, "/a", DELETED)
        .saw(8, 3, "/a", None);
    assert!(story.violations(&CHECK).is_empty());
    assert_eq!(story.met(&CHECK), 3, "of what nobody had written nothing is known");
}

#[test]
fn a_session_that_goes_back_in_zxid_is_found() {
    let story = Story::new().made(1, "/a", 0).changed(2, "/a", DATA);
    let story = story.saw(7, 2, "/a", Some(2)).saw(7, 1, "/a", Some(1));
    assert_eq!(story.violations(&CHECK), ["session 0x7 saw zxid 0x1 after 0x2"]);
}

#[test]
fn a_read_of_another_value_than_stood_there_is_found() {
    let story = Story::new().made(1, "/a", 0).changed(2, "/a", DATA).saw(7, 2, "/a", Some(1));
    assert_eq!(
        story.violations(&CHECK),
        ["session 0x7 read /a as of zxid 0x2, and it is not what stood there"]
    );
    let absent = Story::new().made(1, "/a", 0).saw(7, 1, "/a", None);
    assert_eq!(absent.violations(&CHECK).len(), 1);
}

#[test]
fn a_list_without_a_child_or_with_one_too_many_is_found() {
    let tree = || Story::new().made(1, "/a", 0).made(2, "/a/x", 0).made(3, "/a/y", 0);
    let listed = |names: &[&str]| tree().listed(7, 3, "/a", Some(names), false).violations(&CHECK).len();
    assert_eq!([listed(&["y", "x"]), listed(&["x"]), listed(&["x", "y", "z"])], [0, 1, 1]);
    let deleted = tree().changed(4, "/a/x", DELETED).listed(7, 4, "/a", Some(&["y"]), false);
    assert!(deleted.violations(&CHECK).is_empty());
    assert_eq!(tree().listed(7, 3, "/a", None, false).violations(&CHECK).len(), 1);
}

#[test]
fn an_ephemeral_node_goes_with_its_session_in_one_zxid() {
    let owned = || Story::new().made(1, "/a", 7).made(2, "/b", 7).made(3, "/c", 0).session_expired(7);
    let gone = owned().changed(4, "/a", DELETED).changed(4, "/b", DELETED).changed(5, "/c", DELETED);
    assert!(gone.violations(&CHECK).is_empty());
    let torn = owned().changed(4, "/a", DELETED).changed(5, "/b", DELETED);
    assert_eq!(torn.violations(&CHECK), ["/b outlives session 0x7, which had expired"]);
    let stays = owned().changed(4, "/c", DATA).changed(5, "/c", DATA);
    assert_eq!(stays.violations(&CHECK), ["/a outlives session 0x7, which had expired"]);
    assert_eq!(owned().violations(&CHECK).len(), 1);
}

#[test]
fn an_ephemeral_node_that_was_deleted_before_does_not_count() {
    let story = Story::new().made(1, "/a", 7).changed(2, "/a", DELETED).session_expired(7);
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn a_node_made_for_an_expired_session_is_found() {
    let story = Story::new().session_expired(7).made(1, "/a", 7);
    assert_eq!(story.violations(&CHECK), ["/a was made for session 0x7, which had expired"]);
}

#[test]
fn a_watch_that_fires_before_newer_data_is_seen_passes() {
    let story = Story::new()
        .made(1, "/a", 0)
        .watched(7, 1, "/a", Some(1))
        .changed(2, "/a", DATA)
        .heard(7, "/a", DATA)
        .saw(7, 2, "/a", Some(2));
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn newer_data_seen_before_the_watch_fires_is_found() {
    let story = Story::new().made(1, "/a", 0).made(2, "/b", 0).watched(7, 2, "/a", Some(1));
    let story = story.changed(3, "/a", DATA).saw(7, 3, "/b", Some(2));
    assert_eq!(
        story.violations(&CHECK),
        ["session 0x7 saw zxid 0x3 before it heard that /a had changed at 0x3"]
    );
    let before = Story::new().made(1, "/a", 0).made(2, "/b", 0).watched(7, 2, "/a", Some(1));
    assert!(before.changed(3, "/a", DATA).saw(7, 2, "/b", Some(2)).violations(&CHECK).is_empty());
}

#[test]
fn a_change_made_while_the_reply_was_under_way_is_to_be_heard_of_too() {
    let story = Story::new().made(1, "/a", 0).changed(2, "/a", DATA).watched(7, 1, "/a", Some(1));
    assert_eq!(story.saw(7, 2, "/a", Some(2)).violations(&CHECK).len(), 1);
}

#[test]
fn children_are_watched_apart_from_data() {
    let watching = || Story::new().made(1, "/a", 0).listed(7, 1, "/a", Some(&[]), true);
    let data = watching().changed(2, "/a", DATA).saw(7, 2, "/a", Some(2));
    assert!(data.violations(&CHECK).is_empty());
    let child = watching().made(2, "/a/x", 0).saw(7, 2, "/a/x", Some(2));
    assert_eq!(child.violations(&CHECK).len(), 1);
    let heard = watching().made(2, "/a/x", 0).heard(7, "/a", CHILDREN).saw(7, 2, "/a/x", Some(2));
    assert!(heard.violations(&CHECK).is_empty());
    let gone = watching().changed(2, "/a", DELETED).heard(7, "/a", DELETED).saw(7, 2, "/a", None);
    assert!(gone.violations(&CHECK).is_empty());
}

#[test]
fn watches_of_a_lost_connection_are_not_followed() {
    let story = Story::new()
        .made(1, "/a", 0)
        .watched(7, 1, "/a", Some(1))
        .fact("a", Fact::SessionAttached { session: SessionId(7) })
        .changed(2, "/a", DATA)
        .saw(7, 2, "/a", Some(2));
    assert!(story.violations(&CHECK).is_empty());
}

#[test]
fn what_a_crash_kept_from_being_stated_is_not_judged() {
    let crashed = || Story::new().made(1, "/a", 0).killed(ZOOKEEPER);
    assert!(crashed().saw(7, 2, "/a", Some(2)).violations(&CHECK).is_empty());
    let stated = crashed().changed(3, "/a", DATA).saw(7, 3, "/a", Some(2));
    assert_eq!(stated.violations(&CHECK).len(), 1);
}
