use seedlog::facts::{Fact, LeaderAnswer, LeaderRequest, Znode, ZnodeChange, ZnodeWrite, ZnodeWritten};
use seedlog::types::{SessionId, Zxid};

use super::CHECK;
use crate::checkers::story::Story;
use crate::cluster::ZOOKEEPER;
use crate::history::{Injected, Seen};

/// The session of the client that writes.
const WRITER: i64 = 1;
const DATA: u32 = 5;

/// A node that nobody owns, by the zxid of its last write and its version.
fn node(mzxid: i64, version: i32) -> Option<Znode> {
    Some(Znode { mzxid: Zxid(mzxid), version, owner: SessionId::NONE, data: Some(DATA) })
}

fn owned_by(session: i64, mzxid: i64) -> Option<Znode> {
    Some(Znode { mzxid: Zxid(mzxid), version: 0, owner: SessionId(session), data: Some(DATA) })
}

/// What ZooKeeper and its clients state, in short.
trait Znodes {
    fn asked(self, session: i64, request: i32, asks: LeaderRequest) -> Story;
    fn asked_write(self, session: i64, request: i32, path: &str, change: ZnodeChange) -> Story;
    fn answered(self, session: i64, request: i32, zxid: i64, done: &[(&str, Option<Znode>)]) -> Story;
    fn stated(self, zxid: i64, path: &str, change: ZnodeChange, owner: i64) -> Story;
    /// Asked for, stated by the server and acknowledged.
    fn made(self, zxid: i64, path: &str, owner: i64) -> Story;
    fn set(self, zxid: i64, path: &str, version: i32) -> Story;
    fn deleted(self, zxid: i64, path: &str) -> Story;
    fn saw(self, session: i64, zxid: i64, path: &str, node: Option<Znode>) -> Story;
    fn watched(self, session: i64, zxid: i64, path: &str, node: Option<Znode>) -> Story;
    fn listed(self, session: i64, zxid: i64, path: &str, names: Option<&[&str]>, watches: bool) -> Story;
    fn heard(self, session: i64, path: &str, change: ZnodeChange) -> Story;
    fn attached(self, session: i64) -> Story;
}

impl Znodes for Story {
    fn asked(self, session: i64, request: i32, asks: LeaderRequest) -> Story {
        self.fact("w", Fact::LeaderAsked { session: SessionId(session), request, asks })
    }

    fn asked_write(self, session: i64, request: i32, path: &str, change: ZnodeChange) -> Story {
        let ephemeral = session != WRITER;
        let write = ZnodeWrite { path: path.into(), change, data: DATA, ephemeral };
        self.asked(session, request, LeaderRequest::Write(vec![write]))
    }

    fn answered(self, session: i64, request: i32, zxid: i64, done: &[(&str, Option<Znode>)]) -> Story {
        let written = done.iter().map(|(path, node)| ZnodeWritten { path: (*path).into(), node: *node });
        let answer = LeaderAnswer::Done(written.collect());
        let (session, zxid) = (SessionId(session), Zxid(zxid));
        self.fact("w", Fact::LeaderAnswered { session, request, zxid, answer })
    }

    fn stated(self, zxid: i64, path: &str, change: ZnodeChange, owner: i64) -> Story {
        let (zxid, owner) = (Zxid(zxid), SessionId(owner));
        self.fact(ZOOKEEPER, Fact::ZnodeChanged { zxid, path: path.into(), change, owner })
    }

    fn made(self, zxid: i64, path: &str, owner: i64) -> Story {
        let session = if owner == 0 { WRITER } else { owner };
        let made = if owner == 0 { node(zxid, 0) } else { owned_by(owner, zxid) };
        self.asked_write(session, zxid as i32, path, ZnodeChange::Created)
            .stated(zxid, path, ZnodeChange::Created, owner)
            .answered(session, zxid as i32, zxid, &[(path, made)])
    }

    fn set(self, zxid: i64, path: &str, version: i32) -> Story {
        self.asked_write(WRITER, zxid as i32, path, ZnodeChange::DataChanged)
            .stated(zxid, path, ZnodeChange::DataChanged, 0)
            .answered(WRITER, zxid as i32, zxid, &[(path, node(zxid, version))])
    }

    fn deleted(self, zxid: i64, path: &str) -> Story {
        self.asked_write(WRITER, zxid as i32, path, ZnodeChange::Deleted)
            .stated(zxid, path, ZnodeChange::Deleted, 0)
            .answered(WRITER, zxid as i32, zxid, &[(path, None)])
    }

    fn saw(self, session: i64, zxid: i64, path: &str, node: Option<Znode>) -> Story {
        let (session, zxid, path) = (SessionId(session), Zxid(zxid), path.into());
        self.fact("a", Fact::ZnodeRead { session, zxid, path, found: node, watches: false })
    }

    fn watched(self, session: i64, zxid: i64, path: &str, node: Option<Znode>) -> Story {
        let (session, zxid, path) = (SessionId(session), Zxid(zxid), path.into());
        self.fact("a", Fact::ZnodeRead { session, zxid, path, found: node, watches: true })
    }

    fn listed(self, session: i64, zxid: i64, path: &str, names: Option<&[&str]>, watches: bool) -> Story {
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let (session, zxid, path) = (SessionId(session), Zxid(zxid), path.into());
        self.fact("a", Fact::ChildrenRead { session, zxid, path, names, watches })
    }

    fn heard(self, session: i64, path: &str, change: ZnodeChange) -> Story {
        self.fact("a", Fact::WatchFired { session: SessionId(session), path: path.into(), change })
    }

    fn attached(self, session: i64) -> Story {
        self.fact("a", Fact::SessionAttached { session: SessionId(session) })
    }
}

const CREATED: ZnodeChange = ZnodeChange::Created;
const DELETED: ZnodeChange = ZnodeChange::Deleted;
const CHANGED: ZnodeChange = ZnodeChange::DataChanged;
const CHILDREN: ZnodeChange = ZnodeChange::ChildrenChanged;

fn found(story: &Story) -> Vec<String> {
    story.violations(&CHECK)
}

#[test]
fn reads_of_what_was_written_pass_stale_ones_of_the_past_too() {
    let story = Story::new()
        .saw(7, 0, "/a", None)
        .made(1, "/a", 0)
        .set(2, "/a", 1)
        .saw(7, 1, "/a", node(1, 0))
        .saw(8, 2, "/a", node(2, 1))
        .deleted(3, "/a")
        .saw(8, 3, "/a", None)
        .saw(8, 3, "/zookeeper", Some(Znode { data: None, mzxid: Zxid(0), version: 0, owner: SessionId(0) }));
    assert!(found(&story).is_empty(), "{:?}", found(&story));
    assert_eq!(story.met(&CHECK), 3, "of what nobody had written nothing is known");
}

#[test]
fn an_acknowledged_write_that_is_gone_after_a_kill_is_found() {
    for crash in
        [Injected::Kill { target: ZOOKEEPER.into() }, Injected::PowerFailure { target: ZOOKEEPER.into() }]
    {
        let crashed = || Story::new().made(5, "/a", 0).fault(crash.clone());
        assert_eq!(
            found(&crashed().saw(7, 6, "/a", None)),
            ["session 0x7 read /a as of zxid 0x6: nobody had deleted /a, which was there at 0x5"]
        );
        assert_eq!(found(&crashed().listed(7, 6, "/", Some(&[]), false)).len(), 1);
        assert!(found(&crashed().saw(7, 6, "/a", node(5, 0))).is_empty());
    }
}

#[test]
fn an_older_value_than_the_one_acknowledged_is_found() {
    let story = Story::new().made(1, "/a", 0).set(2, "/a", 1).saw(7, 2, "/a", node(1, 0));
    assert_eq!(found(&story), ["session 0x7 read /a as of zxid 0x2: the write at 0x2 left something else"]);
}

#[test]
fn what_a_disk_that_lied_has_lost_is_not_judged() {
    let to_lie = || Story::new().made(5, "/a", 0).fault(Injected::DiskLies { target: ZOOKEEPER.into() });
    let lying = Seen::Struck { target: ZOOKEEPER.into(), fault: "lying-sync".into() };
    let lost = |story: Story| {
        let power_failure = Injected::PowerFailure { target: ZOOKEEPER.into() };
        found(&story.fault(power_failure).saw(7, 6, "/a", None)).len()
    };
    assert_eq!(lost(to_lie().seen(lying)), 0);
    assert_eq!(lost(to_lie()), 1, "nobody has met the lie");
    let wiped = Story::new().made(5, "/a", 0).fault(Injected::Wipe { target: ZOOKEEPER.into() });
    assert!(found(&wiped.saw(7, 1, "/a", None)).is_empty());
}

#[test]
fn a_read_of_a_node_that_nobody_wrote_is_found() {
    let story = Story::new().saw(7, 4, "/a", node(3, 0));
    assert_eq!(found(&story), ["session 0x7 read /a as of zxid 0x4: nobody wrote it at 0x3"]);
    let stated = Story::new().stated(3, "/a", CREATED, 0).saw(7, 4, "/a", node(3, 0));
    assert_eq!(found(&stated).len(), 1, "the server's word does not make a write");
    let listed = Story::new().listed(7, 4, "/", Some(&["a", "zookeeper"]), false);
    assert_eq!(found(&listed), ["session 0x7 read / as of zxid 0x4: nobody made the child a"]);
}

#[test]
fn a_node_that_is_read_before_its_write_was_asked_for_is_found() {
    let story = Story::new().saw(7, 4, "/a", node(3, 0)).made(3, "/a", 0);
    assert!(found(&story).iter().any(|one| one.ends_with("it was not asked for yet")), "{:?}", found(&story));
}

#[test]
fn a_write_whose_reply_was_lost_may_be_seen_or_not_but_does_not_come_and_go() {
    let lost = || Story::new().asked_write(WRITER, 1, "/a", CREATED);
    assert!(found(&lost().saw(7, 4, "/a", None)).is_empty());
    assert!(found(&lost().saw(7, 4, "/a", node(3, 0))).is_empty());
    assert_eq!(found(&lost().saw(7, 4, "/a", node(3, 0)).saw(7, 5, "/a", None)).len(), 1);
    assert_eq!(found(&lost().saw(7, 4, "/a", node(3, 1))).len(), 1, "a version that it did not have");
    let other = Znode { data: Some(DATA + 1), ..node(3, 0).expect("a node") };
    assert_eq!(found(&lost().saw(7, 4, "/a", Some(other))).len(), 1, "data that it did not have");
    let deleting = || Story::new().made(1, "/a", 0).asked_write(WRITER, 2, "/a", DELETED);
    assert!(found(&deleting().saw(7, 4, "/a", node(1, 0)).saw(7, 5, "/a", None)).is_empty());
    assert_eq!(found(&deleting().saw(7, 4, "/a", None).saw(8, 5, "/a", node(1, 0))).len(), 1, "back again");
}

#[test]
fn a_session_that_goes_back_in_zxid_is_found() {
    let story = Story::new().made(1, "/a", 0).set(2, "/a", 1);
    let story = story.saw(7, 2, "/a", node(2, 1)).saw(7, 1, "/a", node(1, 0));
    assert_eq!(found(&story), ["session 0x7 saw zxid 0x1 after 0x2"]);
    let own_write = Story::new().made(1, "/a", 0).saw(WRITER, 0, "/a", None);
    assert_eq!(found(&own_write), ["session 0x1 saw zxid 0x0 after 0x1"]);
}

#[test]
fn a_write_that_is_ordered_before_what_was_told_already_is_found() {
    let story = Story::new().made(5, "/a", 0).made(4, "/b", 2);
    assert_eq!(found(&story), ["session 0x2 wrote at zxid 0x4, though 0x5 had been told before it asked"]);
}

#[test]
fn a_read_after_a_sync_that_is_older_than_the_sync_is_found() {
    let synced = || Story::new().made(5, "/a", 0).asked(7, 1, LeaderRequest::Sync).answered(7, 1, 4, &[]);
    assert_eq!(found(&synced().saw(7, 4, "/a", None)), ["session 0x7 saw zxid 0x4 after 0x5"]);
    assert!(found(&synced().saw(7, 5, "/a", node(5, 0))).is_empty());
}

#[test]
fn a_list_without_a_child_or_with_one_too_many_is_found() {
    let tree = || Story::new().made(1, "/a", 0).made(2, "/a/x", 0).made(3, "/a/y", 0);
    let listed = |names: &[&str]| found(&tree().listed(7, 3, "/a", Some(names), false)).len();
    assert_eq!([listed(&["y", "x"]), listed(&["x"]), listed(&["x", "y", "z"])], [0, 1, 1]);
    let deleted = || tree().deleted(4, "/a/x");
    assert!(found(&deleted().listed(7, 4, "/a", Some(&["y"]), false)).is_empty());
    assert_eq!(found(&deleted().listed(7, 4, "/a", Some(&["x", "y"]), false)).len(), 1);
    assert_eq!(found(&tree().listed(7, 3, "/a", None, false)).len(), 1);
}

#[test]
fn an_ephemeral_node_goes_with_its_session_in_one_zxid() {
    let owned = || Story::new().made(1, "/a", 7).made(2, "/b", 7).made(3, "/c", 0).session_expired(7);
    let gone = |zxid: i64, path: &str, story: Story| story.stated(zxid, path, DELETED, 0);
    assert!(found(&gone(5, "/c", gone(4, "/b", gone(4, "/a", owned())))).is_empty());
    let torn = gone(5, "/b", gone(4, "/a", owned()));
    assert_eq!(found(&torn), ["/b outlives session 0x7, which had expired"]);
    let stays = owned().set(4, "/c", 1).set(5, "/c", 2);
    assert_eq!(found(&stays), ["/a outlives session 0x7, which had expired"]);
    assert_eq!(found(&owned()).len(), 1);
}

#[test]
fn an_ephemeral_node_is_there_while_its_session_lives_and_no_longer() {
    let owned = || Story::new().made(1, "/a", 7);
    assert_eq!(found(&owned().saw(8, 2, "/a", None)).len(), 1);
    let expired = owned().session_expired(7).stated(2, "/a", DELETED, 0).saw(8, 2, "/a", None);
    assert!(found(&expired).is_empty());
    let closed = || owned().asked(7, 2, LeaderRequest::Close).answered(7, 2, 2, &[]);
    assert!(found(&closed().saw(8, 2, "/a", None)).is_empty());
    assert_eq!(
        found(&closed().saw(8, 2, "/a", owned_by(7, 1))),
        ["session 0x8 read /a as of zxid 0x2: it outlives session 0x7, which was closed at 0x2"]
    );
}

#[test]
fn an_expiry_just_before_a_crash_may_never_have_been_stated_unless_the_session_lives_on() {
    let crashed = || Story::new().made(1, "/a", 7).killed(ZOOKEEPER).saw(8, 3, "/a", None);
    assert!(found(&crashed()).is_empty());
    assert_eq!(found(&crashed().attached(7)).len(), 1);
}

#[test]
fn an_ephemeral_node_that_was_deleted_before_does_not_count() {
    let story = Story::new().made(1, "/a", 7).deleted(2, "/a").session_expired(7);
    assert!(found(&story).is_empty());
}

#[test]
fn a_node_made_for_an_expired_session_is_found() {
    let story = Story::new().session_expired(7).made(1, "/a", 7);
    assert_eq!(found(&story), ["/a was made for session 0x7, which had expired"]);
}

#[test]
fn a_watch_that_fires_before_newer_data_is_seen_passes() {
    let story = Story::new()
        .made(1, "/a", 0)
        .watched(7, 1, "/a", node(1, 0))
        .set(2, "/a", 1)
        .heard(7, "/a", CHANGED)
        .saw(7, 2, "/a", node(2, 1));
    assert!(found(&story).is_empty());
}

#[test]
fn newer_data_seen_before_the_watch_fires_is_found() {
    let watching = || Story::new().made(1, "/a", 0).made(2, "/b", 0).watched(7, 2, "/a", node(1, 0));
    assert_eq!(
        found(&watching().set(3, "/a", 1).saw(7, 3, "/b", node(2, 0))),
        ["session 0x7 saw zxid 0x3 before it heard that /a had changed at 0x3"]
    );
    assert!(found(&watching().set(3, "/a", 1).saw(7, 2, "/b", node(2, 0))).is_empty());
    let unstated = watching()
        .asked_write(WRITER, 3, "/a", CHANGED)
        .answered(WRITER, 3, 3, &[("/a", node(3, 1))])
        .saw(7, 3, "/b", node(2, 0));
    assert_eq!(found(&unstated).len(), 1, "what the server does not state has happened all the same");
}

#[test]
fn a_change_made_while_the_reply_was_under_way_is_to_be_heard_of_too() {
    let story = Story::new().made(1, "/a", 0).set(2, "/a", 1).watched(7, 1, "/a", node(1, 0));
    assert_eq!(found(&story.saw(7, 2, "/a", node(2, 1))).len(), 1);
}

#[test]
fn children_are_watched_apart_from_data() {
    let watching = || Story::new().made(1, "/a", 0).listed(7, 1, "/a", Some(&[]), true);
    assert!(found(&watching().set(2, "/a", 1).saw(7, 2, "/a", node(2, 1))).is_empty());
    let child = || watching().made(2, "/a/x", 0);
    assert_eq!(found(&child().saw(7, 2, "/a/x", node(2, 0))).len(), 1);
    assert!(found(&child().heard(7, "/a", CHILDREN).saw(7, 2, "/a/x", node(2, 0))).is_empty());
    let gone = watching().deleted(2, "/a").heard(7, "/a", DELETED).saw(7, 2, "/a", None);
    assert!(found(&gone).is_empty());
}

#[test]
fn a_watch_survives_a_reconnect() {
    let watching = || Story::new().made(1, "/a", 0).watched(7, 1, "/a", node(1, 0));
    let before = watching().set(2, "/a", 1).attached(7).saw(7, 2, "/a", node(2, 1));
    assert_eq!(found(&before).len(), 1, "changed while there was no connection");
    let after = watching().attached(7).set(2, "/a", 1).saw(7, 2, "/a", node(2, 1));
    assert_eq!(found(&after).len(), 1, "changed on the new connection");
    let heard = watching().attached(7).set(2, "/a", 1).heard(7, "/a", CHANGED).saw(7, 2, "/a", node(2, 1));
    assert!(found(&heard).is_empty());
    let forgotten = Fact::WatchForgotten { session: SessionId(7), path: "/a".into(), of_children: false };
    let forgotten = watching().fact("a", forgotten).attached(7).set(2, "/a", 1).saw(7, 2, "/a", node(2, 1));
    assert!(found(&forgotten).is_empty());
}

#[test]
fn a_node_that_came_and_went_without_a_connection_is_not_heard_of_and_one_that_stayed_is() {
    let watching = || Story::new().watched(7, 0, "/a", None);
    let gone = || watching().made(1, "/a", 0).deleted(2, "/a").attached(7).saw(7, 2, "/a", None);
    assert!(found(&gone()).is_empty());
    assert_eq!(
        found(&gone().made(3, "/a", 0).saw(7, 3, "/a", node(3, 0))).len(),
        1,
        "it is watched for still"
    );
    let stayed = watching().made(1, "/a", 0).attached(7).saw(7, 1, "/a", node(1, 0));
    assert_eq!(found(&stayed).len(), 1);
}

#[test]
fn a_deletion_without_a_connection_is_heard_of_by_who_saw_the_node() {
    let story = Story::new().made(1, "/a", 0).watched(7, 1, "/a", node(1, 0)).deleted(2, "/a").attached(7);
    assert_eq!(found(&story.saw(7, 2, "/a", None)).len(), 1);
}

#[test]
fn an_event_without_a_change_is_found_unless_the_server_died_before_it_could_say() {
    let watching = || Story::new().made(1, "/a", 0).watched(7, 1, "/a", node(1, 0));
    assert_eq!(
        found(&watching().attached(7).heard(7, "/a", CREATED)),
        ["session 0x7 heard of a change of /a, and there was none"]
    );
    assert!(found(&watching().killed(ZOOKEEPER).attached(7).heard(7, "/a", CHANGED)).is_empty());
}
