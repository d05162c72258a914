//! Operations that do not come to their end before the disk is cured.

use std::sync::Arc;

use seedlog::runtime::lock::Mutex;
use seedlog::runtime::sim::disk::Hang;
use seedlog::runtime::task::{Lane, TaskGroup};

use super::*;

fn hang(node: NodeId, operation: Option<Operation>, file: Option<&str>) {
    let hang = Hang { operation, file: file.map(Into::into) };
    control::set_faults(node, |faults| {
        faults.hung.insert(hang);
    });
}

#[test]
fn a_sync_that_hangs_ends_when_the_disk_is_cured_and_holds_up_no_other_file() {
    run(1, || async {
        let node = started(|| async {
            let (hung, other) = (open("/data/hung"), open("/data/other"));
            write(&hung, b"a", 0).unwrap();
            write(&other, b"b", 0).unwrap();
            a_second().await;
            other.sync_data().await.unwrap();
            let soon = clock::now() + Duration::from_secs(1);
            assert!(clock::timeout(Duration::from_secs(60), hung.sync_data()).await.is_err());
            hung.sync_data().await.unwrap();
            assert!(clock::now() > soon + Duration::from_secs(60));
        });
        clock::sleep(Duration::from_millis(500)).await;
        hang(node, Some(Operation::Sync), Some("/data/hung"));
        clock::sleep(Duration::from_secs(90)).await;
        assert!(world::is_running(node), "it hangs");
        control::heal(node);
        clock::sleep(Duration::from_secs(2)).await;
        assert!(control::faults_fired(node).is_empty(), "a sync that is late is no error");
    });
}

fn kept() -> File {
    open("/data/kept")
}

/// Everything that a process does with a disk that its threads wait for, each by its name.
fn calls() -> [(Operation, fn()); 8] {
    [
        (Operation::Read, || assert_eq!(kept().read_at(&mut [0; 4], 0).unwrap(), 0)),
        (Operation::Write, || write(&kept(), b"new", 0).unwrap()),
        (Operation::SetLen, || kept().truncate(1).unwrap()),
        (Operation::Open, || drop(open("/data/other"))),
        (Operation::Rename, || disk::rename(Path::new("/data/old"), Path::new("/data/new")).unwrap()),
        (Operation::CreateDir, || disk::create_dir_all(Path::new("/data/dir")).unwrap()),
        (Operation::ReadDir, || drop(disk::read_dir(Path::new("/data")).unwrap())),
        (Operation::Remove, || disk::remove_file(Path::new("/data/useless")).unwrap()),
    ]
}

/// After a second a task calls, and says so when the call has returned; another one says that it runs.
async fn one_calls_and_one_runs(call: fn()) {
    let tasks = TaskGroup::new(Lane::Data);
    ["/data/kept", "/data/old", "/data/useless"].into_iter().for_each(|path| drop(open(path)));
    tasks.spawn("caller", async move {
        a_second().await;
        call();
        task::yield_now().await;
        drop(open("/data/returned"));
    });
    tasks.spawn("other", async {
        a_second().await;
        a_second().await;
        drop(open("/data/runs"));
    });
    pending::<()>().await;
}

#[test]
fn every_operation_may_hang_and_holds_up_who_called_it_and_nobody_else() {
    for (operation, call) in calls() {
        for whole in [false, true] {
            run(1, move || async move {
                let node = started(move || one_calls_and_one_runs(call));
                clock::sleep(Duration::from_millis(500)).await;
                let is_there = |path| current(node, path).is_some();
                // With the disk as a whole nobody is left who could say that he runs.
                hang(node, (!whole).then_some(operation), None);
                clock::sleep(Duration::from_secs(60)).await;
                assert!(!is_there("/data/returned"), "{operation:?}");
                let others_run = !whole && operation != Operation::Open;
                assert!(!others_run || is_there("/data/runs"), "{operation:?}");
                assert!(world::is_running(node));
                control::heal(node);
                clock::sleep(Duration::from_secs(1)).await;
                assert!(is_there("/data/returned") && is_there("/data/runs"), "{operation:?}");
                assert!(control::faults_fired(node).is_empty(), "what is late is no error");
            });
        }
    }
}

#[test]
fn a_file_that_hangs_holds_up_no_other_file() {
    run(1, || async {
        let node = started(|| one_calls_and_one_runs(|| write(&open("/data/other"), b"x", 0).unwrap()));
        clock::sleep(Duration::from_millis(500)).await;
        hang(node, None, Some("/data/kept"));
        clock::sleep(Duration::from_secs(2)).await;
        assert!(current(node, "/data/returned").is_some());
    });
}

#[test]
fn a_task_that_is_stopped_inside_of_a_call_is_gone_when_it_returns() {
    run(1, || async {
        let node = started(|| async {
            let tasks = Arc::new(TaskGroup::new(Lane::Data));
            let file = open("/data/kept");
            tasks.spawn("caller", async move {
                a_second().await;
                write(&file, b"x", 0).unwrap();
                task::yield_now().await;
                drop(open("/data/went-on"));
            });
            clock::sleep(Duration::from_secs(2)).await;
            tasks.abort_all();
            tasks.all_gone().await;
            drop(open("/data/gone"));
        });
        clock::sleep(Duration::from_millis(500)).await;
        hang(node, Some(Operation::Write), None);
        clock::sleep(Duration::from_secs(60)).await;
        assert!(current(node, "/data/gone").is_none(), "its thread is inside of the call");
        control::heal(node);
        clock::sleep(Duration::from_secs(1)).await;
        assert!(current(node, "/data/gone").is_some());
        assert!(current(node, "/data/went-on").is_none(), "it was stopped");
    });
}

#[test]
fn a_thread_of_the_pool_that_hangs_keeps_its_result_for_itself() {
    run(1, || async {
        let node = started(|| async {
            a_second().await;
            task::blocking(|| drop(disk::read_dir(Path::new("/data")))).await;
            drop(open("/data/returned"));
        });
        hang(node, Some(Operation::ReadDir), None);
        clock::sleep(Duration::from_secs(60)).await;
        assert!(current(node, "/data/returned").is_none());
        control::heal(node);
        clock::sleep(Duration::from_secs(1)).await;
        assert!(current(node, "/data/returned").is_some());
    });
}

#[test]
fn who_wants_a_lock_under_which_another_thread_hangs_waits_for_it_and_others_do_not() {
    run(1, || async {
        let node = started(|| async {
            let tasks = TaskGroup::new(Lane::Data);
            let (file, locks) = (open("/data/kept"), Arc::new([Mutex::new(1_u8), Mutex::new(2_u8)]));
            let theirs = Arc::clone(&locks);
            tasks.spawn("caller", async move {
                a_second().await;
                let held = theirs[0].lock().unwrap();
                write(&file, &[*held], 0).unwrap();
            });
            for (at, path) in ["/data/waits", "/data/passes"].into_iter().enumerate() {
                let locks = Arc::clone(&locks);
                tasks.spawn("other", async move {
                    a_second().await;
                    a_second().await;
                    drop(locks[at].lock().unwrap());
                    task::yield_now().await;
                    drop(open(path));
                });
            }
            pending::<()>().await;
        });
        clock::sleep(Duration::from_millis(500)).await;
        hang(node, Some(Operation::Write), Some("/data/kept"));
        clock::sleep(Duration::from_secs(60)).await;
        assert!(current(node, "/data/waits").is_none());
        assert!(current(node, "/data/passes").is_some());
        control::heal(node);
        clock::sleep(Duration::from_secs(1)).await;
        assert!(current(node, "/data/waits").is_some());
    });
}
