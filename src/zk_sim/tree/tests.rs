use proptest::prelude::*;

use super::*;
use crate::zookeeper::codec::CreateFlags;

fn request(path: &str, flags: CreateFlags) -> CreateRequest {
    CreateRequest { path: path.into(), data: None, acl: vec![Acl::open()], flags }
}

/// Performs one change at `zxid` and keeps it.
fn at<T>(tree: &mut Tree, zxid: i64, change: impl FnOnce(&mut Transaction<'_>) -> T) -> (T, Vec<Change>) {
    let mut transaction = tree.change(Zxid(zxid), zxid * 1_000);
    let outcome = change(&mut transaction);
    (outcome, transaction.commit())
}

fn create(tree: &mut Tree, zxid: i64, path: &str, flags: CreateFlags) -> Result<String, ErrorCode> {
    at(tree, zxid, |t| t.create(&request(path, flags), SessionId(7))).0
}

#[test]
fn a_sequence_number_counts_creations_and_deletions_do_not_advance_it() {
    let mut tree = Tree::new();
    create(&mut tree, 1, "/q", CreateFlags::PERSISTENT).expect("created");
    create(&mut tree, 2, "/q/plain", CreateFlags::PERSISTENT).expect("created");
    let first = create(&mut tree, 3, "/q/n-", CreateFlags::PERSISTENT_SEQUENTIAL).expect("created");
    assert_eq!(first, "/q/n-0000000001");
    at(&mut tree, 4, |t| t.delete(&first, -1)).0.expect("deleted");
    let next = create(&mut tree, 5, "/q/n-", CreateFlags::PERSISTENT_SEQUENTIAL).expect("created");
    assert_eq!(next, "/q/n-0000000002");
    let bare = create(&mut tree, 6, "/q/", CreateFlags::PERSISTENT_SEQUENTIAL).expect("created");
    assert_eq!(bare, "/q/0000000003");
}

#[test]
fn stats_tell_what_happened_to_a_node() {
    let mut tree = Tree::new();
    create(&mut tree, 1, "/a", CreateFlags::PERSISTENT).expect("created");
    create(&mut tree, 2, "/a/b", CreateFlags::EPHEMERAL).expect("created");
    at(&mut tree, 3, |t| t.set_data("/a", Some(Bytes::from_static(b"xyz")), 0)).0.expect("set");
    at(&mut tree, 4, |t| t.delete("/a/b", 0)).0.expect("deleted");
    let expected = Stat {
        czxid: Zxid(1),
        mzxid: Zxid(3),
        pzxid: Zxid(4),
        ctime: 1_000,
        mtime: 3_000,
        version: 1,
        cversion: 2,
        data_length: 3,
        ..Stat::default()
    };
    assert_eq!(tree.stat("/a"), Ok(expected));
    assert_eq!(tree.stat("/").map(|s| (s.cversion, s.num_children)), Ok((0, 2)), "as a real server says");
}

#[test]
fn what_cannot_be_done_is_refused_with_its_code() {
    let mut tree = Tree::new();
    create(&mut tree, 1, "/a", CreateFlags::PERSISTENT).expect("created");
    create(&mut tree, 2, "/a/e", CreateFlags::EPHEMERAL).expect("created");
    let refused = |tree: &mut Tree, path| create(tree, 9, path, CreateFlags::PERSISTENT);
    assert_eq!(refused(&mut tree, "/a"), Err(ErrorCode::NODE_EXISTS));
    assert_eq!(refused(&mut tree, "/x/y"), Err(ErrorCode::NO_NODE));
    assert_eq!(refused(&mut tree, "/a/e/c"), Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS));
    assert_eq!(refused(&mut tree, "/a/"), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(refused(&mut tree, "a"), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(create(&mut tree, 9, "/c", CreateFlags(4)), Err(ErrorCode::BAD_ARGUMENTS));
    let closed = CreateRequest { acl: Vec::new(), ..request("/n", CreateFlags::PERSISTENT) };
    assert_eq!(at(&mut tree, 9, |t| t.create(&closed, SessionId(7))).0, Err(ErrorCode::INVALID_ACL));
    let delete = |tree: &mut Tree, path: &str, version| at(tree, 9, |t| t.delete(path, version)).0;
    assert_eq!(delete(&mut tree, "/a", -1), Err(ErrorCode::NOT_EMPTY));
    assert_eq!(delete(&mut tree, "/a/e", 3), Err(ErrorCode::BAD_VERSION));
    assert_eq!(delete(&mut tree, "/x", -1), Err(ErrorCode::NO_NODE));
    assert_eq!(delete(&mut tree, "/", -1), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(delete(&mut tree, "/zookeeper", -1), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(at(&mut tree, 9, |t| t.set_data("/a", None, 1)).0, Err(ErrorCode::BAD_VERSION));
}

#[test]
fn a_check_in_a_multi_refuses_a_path_that_no_node_may_have_before_it_looks() {
    let mut tree = Tree::new();
    let mut check = |path: &str| at(&mut tree, 1, |t| t.check(path, 0)).0;
    assert_eq!(check("/.."), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(check("/\u{1}"), Err(ErrorCode::BAD_ARGUMENTS));
    assert_eq!(check("/missing"), Err(ErrorCode::NO_NODE));
}

#[test]
fn an_access_list_without_a_permission_takes_it_away() {
    let mut tree = Tree::new();
    create(&mut tree, 1, "/a", CreateFlags::PERSISTENT).expect("created");
    let read_only = [Acl { permissions: Acl::READ, ..Acl::open() }];
    at(&mut tree, 2, |t| t.set_acl("/a", &read_only, 0)).0.expect("set");
    assert_eq!(tree.acl("/a").map(|(acl, stat)| (acl, stat.aversion)), Ok((read_only.to_vec(), 1)));
    assert!(tree.data("/a").is_ok());
    assert_eq!(at(&mut tree, 3, |t| t.set_data("/a", None, -1)).0, Err(ErrorCode::NO_AUTH));
    assert_eq!(create(&mut tree, 4, "/a/b", CreateFlags::PERSISTENT), Err(ErrorCode::NO_AUTH));
}

#[test]
fn a_change_tells_its_events_in_order() {
    let mut tree = Tree::new();
    create(&mut tree, 1, "/a", CreateFlags::PERSISTENT).expect("created");
    let (_, made) = at(&mut tree, 2, |t| t.create(&request("/a/b", CreateFlags::PERSISTENT), SessionId(7)));
    let change = |kind, path: &str| Change { kind, path: path.into() };
    assert_eq!(made, [change(EventKind::Created, "/a/b"), change(EventKind::ChildrenChanged, "/a")]);
    let (_, gone) = at(&mut tree, 3, |t| t.delete("/a/b", -1));
    assert_eq!(gone, [change(EventKind::Deleted, "/a/b"), change(EventKind::ChildrenChanged, "/a")]);
}

#[derive(Clone, Debug)]
enum Step {
    Create(String, i32),
    Delete(String),
    Set(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = || "(/[ab]){1,3}";
    let step = prop_oneof![
        (path(), 0..4_i32).prop_map(|(path, flags)| Step::Create(path, flags)),
        path().prop_map(Step::Delete),
        path().prop_map(Step::Set),
    ];
    proptest::collection::vec(step, 0..30)
}

/// Runs the steps, refused ones too.
fn run(transaction: &mut Transaction<'_>, steps: &[Step]) {
    for step in steps {
        let session = SessionId(7 + transaction.zxid.0 % 2);
        let outcome = match step {
            Step::Create(path, flags) => {
                transaction.create(&request(path, CreateFlags(*flags)), session).map(drop)
            }
            Step::Delete(path) => transaction.delete(path, -1),
            Step::Set(path) => transaction.set_data(path, Some(Bytes::from_static(b"v")), -1).map(drop),
        };
        if outcome.is_err() {
            continue;
        }
    }
}

proptest! {
    #[test]
    fn an_undone_change_leaves_no_trace(before in steps(), undone in steps()) {
        let mut tree = Tree::new();
        let mut kept = tree.change(Zxid(1), 1);
        run(&mut kept, &before);
        drop(kept.commit());
        let original = tree.clone();
        let mut change = tree.change(Zxid(2), 2);
        run(&mut change, &undone);
        change.undo();
        prop_assert_eq!(tree, original);
    }

    #[test]
    fn a_tree_is_rebuilt_from_its_nodes(steps in steps()) {
        let mut tree = Tree::new();
        let mut change = tree.change(Zxid(1), 1);
        run(&mut change, &steps);
        drop(change.commit());
        let nodes: Vec<_> = tree.nodes().map(|(path, node)| (path.to_owned(), node.clone())).collect();
        prop_assert_eq!(Tree::from_nodes(nodes), Some(tree));
    }

    #[test]
    fn ephemerals_are_the_nodes_with_an_owner(steps in steps()) {
        let mut tree = Tree::new();
        let mut change = tree.change(Zxid(1), 1);
        run(&mut change, &steps);
        drop(change.commit());
        let owned: Vec<_> =
            tree.nodes().filter(|(_, node)| node.owner == SessionId(8)).map(|(path, _)| path.to_owned()).collect();
        prop_assert_eq!(tree.ephemerals(SessionId(8)), owned);
    }
}
