//! Both disks keep the seam's contract: the same test bodies run on simulated and on real files.

use std::future::Future;
use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use seedlog::runtime::disk::{self, DirEntry, File, OpenMode};

/// Runs `body` as a process on a simulated node, with an empty directory.
#[cfg(not(feature = "real-runtime"))]
fn on_disk<F>(body: fn(PathBuf) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    use seedlog::runtime::clock;
    use seedlog::runtime::sim::world::{self, RunConfig};
    use std::time::Duration;

    let config = RunConfig { seed: 1, keep_trace: false, event_limit: 100_000, buggify: false };
    let finished = world::run(config, move || async move {
        let node = world::add_node("disk", move || async move {
            let base = PathBuf::from("/data/conformance");
            disk::create_dir_all(&base).unwrap();
            body(base).await;
        });
        world::start(node);
        while world::is_running(node) {
            clock::sleep(Duration::from_millis(10)).await;
        }
    });
    finished.outcome.expect("the body ran to its end");
}

/// Runs `body` on the real machine, with an empty directory.
#[cfg(feature = "real-runtime")]
fn on_disk<F>(body: fn(PathBuf) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let base = tempfile::tempdir().unwrap();
    seedlog::runtime::task::block_on(body(base.path().to_owned()));
}

fn create(path: &Path) -> File {
    disk::open(path, OpenMode::CreateNew).unwrap()
}

fn write(file: &File, bytes: &[u8], offset: u64) {
    file.write_at(&[IoSlice::new(bytes)], offset).unwrap();
}

/// Everything in the file.
fn content(file: &File) -> Vec<u8> {
    let mut buffer = vec![0; file.len().unwrap() as usize];
    let len = file.read_at(&mut buffer, 0).unwrap();
    assert_eq!(len, buffer.len());
    buffer
}

fn content_of(path: &Path) -> Vec<u8> {
    content(&disk::open(path, OpenMode::Read).unwrap())
}

/// The error of something that must not work.
fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("this must fail").kind()
}

#[test]
fn bytes_written_are_read_back() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        write(&file, b"hello world", 0);
        write(&file, b"there", 6);

        let mut middle = [0; 4];
        assert_eq!(file.read_at(&mut middle, 4).unwrap(), 4);
        assert_eq!(&middle, b"o th");
        assert_eq!(content_of(&base.join("a")), b"hello there");
        assert_eq!(file.read_range(6, 5).await.unwrap().as_ref(), b"there");
    });
}

#[test]
fn the_parts_of_a_vectored_write_follow_each_other() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        let parts: Vec<Vec<u8>> = (0..3000_u32).map(|n| n.to_be_bytes()[..n as usize % 5].to_vec()).collect();
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        write(&file, b"..", 0);
        file.write_at(&slices, 2).unwrap();
        file.write_at(&[], 5000).unwrap();

        let expected: Vec<u8> = b"..".iter().copied().chain(parts.concat()).collect();
        assert_eq!(content(&file), expected);
    });
}

#[test]
fn reading_at_or_past_the_end_gives_nothing() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        write(&file, b"abc", 0);
        let mut buffer = [0; 8];
        assert_eq!(file.read_at(&mut buffer, 1).unwrap(), 2);
        assert_eq!(file.read_at(&mut buffer, 3).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
    });
}

#[test]
fn a_range_past_the_end_is_an_unexpected_end() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        write(&file, b"abc", 0);
        assert_eq!(kind(file.read_range(1, 3).await), ErrorKind::UnexpectedEof);
        assert_eq!(kind(file.read_range(0, 1 << 45).await), ErrorKind::UnexpectedEof);
        assert!(file.read_range(3, 0).await.unwrap().is_empty());
    });
}

#[test]
fn truncation_cuts_and_what_grows_back_is_zeros() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        write(&file, b"abcdef", 0);
        file.truncate(2).unwrap();
        assert_eq!(content(&file), b"ab");
        file.truncate(4).unwrap();
        assert_eq!(content(&file), b"ab\0\0");
        file.truncate(0).unwrap();
        assert!(file.is_empty().unwrap());
    });
}

#[test]
fn a_write_beyond_the_end_leaves_zeros_between() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        write(&file, b"ab", 0);
        write(&file, b"z", 4);
        assert_eq!(content(&file), b"ab\0\0z");
    });
}

#[test]
fn open_modes_say_whether_the_file_may_exist() {
    on_disk(|base| async move {
        let path = base.join("a");
        assert_eq!(kind(disk::open(&path, OpenMode::Read)), ErrorKind::NotFound);
        assert_eq!(kind(disk::open(&path, OpenMode::ReadWrite)), ErrorKind::NotFound);
        assert!(!disk::exists(&path).unwrap());
        write(&create(&path), b"kept", 0);
        assert!(disk::exists(&path).unwrap());
        assert_eq!(kind(disk::open(&path, OpenMode::CreateNew)), ErrorKind::AlreadyExists);
        let file = disk::open(&path, OpenMode::CreateOrOpen).unwrap();
        assert_eq!(content(&file), b"kept");
        assert_eq!(kind(disk::open(&base.join("no/a"), OpenMode::CreateNew)), ErrorKind::NotFound);
    });
}

#[test]
fn a_handle_opened_for_reading_does_not_write() {
    on_disk(|base| async move {
        write(&create(&base.join("a")), b"kept", 0);
        let file = disk::open(&base.join("a"), OpenMode::Read).unwrap();
        assert!(file.write_at(&[IoSlice::new(b"lost")], 0).is_err());
        assert_eq!(kind(file.truncate(0)), ErrorKind::InvalidInput);
        assert_eq!(content(&file), b"kept");
    });
}

#[test]
fn a_directory_is_opened_and_synced_but_not_read() {
    on_disk(|base| async move {
        let path = base.join("d");
        disk::create_dir_all(&path).unwrap();
        let directory = disk::open(&path, OpenMode::Read).unwrap();
        assert_eq!(kind(directory.read_at(&mut [0; 4], 0)), ErrorKind::IsADirectory);
        directory.sync_data().await.unwrap();
        assert_eq!(kind(disk::open(&path, OpenMode::ReadWrite)), ErrorKind::IsADirectory);
        // And what is synced by its name may be a file.
        create(&base.join("a"));
        disk::sync_dir(&base.join("a")).await.unwrap();
    });
}

#[test]
fn of_several_things_wrong_with_a_rename_the_first_is_told() {
    on_disk(|base| async move {
        disk::create_dir_all(&base.join("d/e")).unwrap();
        create(&base.join("a"));
        let renamed = |from: &str, to: &str| kind(disk::rename(&base.join(from), &base.join(to)));
        let too_long = "n".repeat(256);
        assert_eq!(renamed("missing", "a/x"), ErrorKind::NotADirectory);
        assert_eq!(renamed("missing", &too_long), ErrorKind::NotFound);
        assert_eq!(renamed("a", &too_long), ErrorKind::InvalidFilename);
        assert_eq!(renamed("d/e", "d"), ErrorKind::DirectoryNotEmpty);
        assert_eq!(renamed("d", "d/e/f"), ErrorKind::InvalidInput);
    });
}

#[test]
fn clones_of_a_file_are_one_open_file() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        let clone = file.clone();
        write(&file, b"x", 0);
        drop(file);
        assert_eq!(content(&clone), b"x");
    });
}

#[test]
fn a_rename_replaces_and_open_handles_follow() {
    on_disk(|base| async move {
        let (old, new) = (create(&base.join("old")), create(&base.join("new")));
        write(&old, b"old", 0);
        write(&new, b"new", 0);
        disk::rename(&base.join("new"), &base.join("old")).unwrap();

        assert_eq!(content_of(&base.join("old")), b"new");
        assert!(!disk::exists(&base.join("new")).unwrap());
        write(&new, b"!", 3);
        assert_eq!(content_of(&base.join("old")), b"new!");
        assert_eq!(content(&old), b"old");
        assert_eq!(kind(disk::rename(&base.join("new"), &base.join("x"))), ErrorKind::NotFound);
    });
}

#[test]
fn a_directory_is_renamed_with_all_it_holds() {
    on_disk(|base| async move {
        disk::create_dir_all(&base.join("topic-0")).unwrap();
        disk::create_dir_all(&base.join("trash")).unwrap();
        write(&create(&base.join("topic-0/log")), b"x", 0);
        disk::rename(&base.join("topic-0"), &base.join("trash/topic-0-delete")).unwrap();
        assert_eq!(content_of(&base.join("trash/topic-0-delete/log")), b"x");
        assert!(!disk::exists(&base.join("topic-0/log")).unwrap());
    });
}

#[test]
fn a_removed_file_stays_readable_while_open() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        write(&file, b"still here", 0);
        disk::remove_file(&base.join("a")).unwrap();

        assert!(!disk::exists(&base.join("a")).unwrap());
        assert_eq!(content(&file), b"still here");
        file.sync_data().await.unwrap();
        assert_eq!(kind(disk::remove_file(&base.join("a"))), ErrorKind::NotFound);
        create(&base.join("a"));
    });
}

#[test]
fn a_directory_lists_its_entries_by_name_with_their_lengths() {
    on_disk(|base| async move {
        disk::create_dir_all(&base.join("sub/deeper")).unwrap();
        write(&create(&base.join("b")), b"12345", 0);
        create(&base.join("a"));

        let entry = |name: &str, is_dir, len| DirEntry { name: name.into(), is_dir, len };
        let expected = [entry("a", false, 0), entry("b", false, 5), entry("sub", true, 0)];
        assert_eq!(disk::read_dir(&base).unwrap(), expected);
        assert_eq!(kind(disk::read_dir(&base.join("no"))), ErrorKind::NotFound);
        assert_eq!(kind(disk::read_dir(&base.join("b"))), ErrorKind::NotADirectory);
    });
}

#[test]
fn directories_are_made_with_their_parents_and_more_than_once() {
    on_disk(|base| async move {
        disk::create_dir_all(&base.join("x/y")).unwrap();
        disk::create_dir_all(&base.join("x/y")).unwrap();
        assert!(disk::read_dir(&base.join("x/y")).unwrap().is_empty());
        create(&base.join("file"));
        assert!(disk::create_dir_all(&base.join("file")).is_err());
        assert!(disk::create_dir_all(&base.join("file/x")).is_err());
    });
}

#[test]
fn a_directory_is_removed_with_all_it_holds() {
    on_disk(|base| async move {
        disk::create_dir_all(&base.join("x/y/z")).unwrap();
        create(&base.join("x/y/a"));
        disk::remove_dir_all(&base.join("x")).unwrap();
        assert!(!disk::exists(&base.join("x/y/a")).unwrap());
        assert!(disk::read_dir(&base).unwrap().is_empty());
        assert_eq!(kind(disk::remove_dir_all(&base.join("x"))), ErrorKind::NotFound);
    });
}

#[test]
fn a_lock_excludes_until_it_is_dropped() {
    on_disk(|base| async move {
        let path = base.join(".lock");
        let held = disk::lock(&path).unwrap();
        assert_eq!(kind(disk::lock(&path)), ErrorKind::WouldBlock);
        let other = disk::lock(&base.join("other.lock")).unwrap();
        drop(held);
        drop(disk::lock(&path).unwrap());
        drop(other);
    });
}

#[test]
fn syncs_succeed_on_what_exists() {
    on_disk(|base| async move {
        let file = create(&base.join("a"));
        write(&file, b"x", 0);
        file.sync_data().await.unwrap();
        file.sync_data().await.unwrap();
        disk::sync_dir(&base).await.unwrap();
        disk::settle().await;
        assert_eq!(kind(disk::sync_dir(&base.join("no")).await), ErrorKind::NotFound);
    });
}

#[test]
fn the_boot_id_stays_while_the_machine_runs() {
    on_disk(|_base| async move {
        assert!(!disk::boot_id().is_empty());
        assert_eq!(disk::boot_id(), disk::boot_id());
    });
}
