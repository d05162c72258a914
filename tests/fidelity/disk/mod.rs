//! Steps on the disk, each with the outcome that it must have on either half.

pub mod themes;

use std::collections::BTreeMap;
use std::io::{ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use seedlog::runtime::disk::{self, File, Lock, OpenMode};
use serde::{Deserialize, Serialize};

use crate::program::{History, Limits, done, error, outcome};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Read,
    ReadWrite,
    CreateOrOpen,
    CreateNew,
}

impl Mode {
    fn open_mode(self) -> OpenMode {
        match self {
            Mode::Read => OpenMode::Read,
            Mode::ReadWrite => OpenMode::ReadWrite,
            Mode::CreateOrOpen => OpenMode::CreateOrOpen,
            Mode::CreateNew => OpenMode::CreateNew,
        }
    }
}

/// Handles and locks are numbered. In a path `{255}` is a name of so many bytes, and `{u127}` one of so many
/// characters of two bytes each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Open(u8, String, Mode),
    OpenOnDemand(u8, String),
    Close(u8),
    /// At an offset, so many bytes.
    Write(u8, u64, u32),
    WriteParts(u8, u64, Vec<u32>),
    Append(u8, u32),
    ReadAt(u8, u64, u32),
    ReadRange(u8, u64, u32),
    Len(u8),
    Truncate(u8, u64),
    SyncData(u8),
    CreateDirAll(String),
    ReadDir(String),
    Exists(String),
    Rename(String, String),
    RemoveFile(String),
    RemoveDirAll(String),
    SyncDir(String),
    Lock(u8, String),
    Unlock(u8),
}

/// Performs the steps in an empty directory.
pub async fn perform(base: PathBuf, limits: Limits, steps: Vec<Step>) -> History {
    let mut hands = Hands { base, files: BTreeMap::new(), locks: BTreeMap::new(), written: 0 };
    let mut history = History::new();
    for step in &steps {
        let mut came_to = hands.take(step).await;
        // A full disk, and the largest file that the process may write, are the same limit to a program of one file.
        if limits.bytes.is_some() && ["!StorageFull", "!FileTooLarge"].contains(&came_to.as_str()) {
            came_to = "!no room".to_owned();
        }
        history.push(came_to);
    }
    history
}

struct Hands {
    base: PathBuf,
    files: BTreeMap<u8, File>,
    locks: BTreeMap<u8, Lock>,
    /// Writes so far: each writes bytes of its own.
    written: u8,
}

impl Hands {
    async fn take(&mut self, step: &Step) -> String {
        match step {
            Step::Open(slot, path, mode) => {
                self.files.remove(slot);
                let opened = disk::open(&self.path(path), mode.open_mode());
                outcome(opened, |file| self.keep(*slot, file))
            }
            Step::OpenOnDemand(slot, path) => {
                self.files.remove(slot);
                outcome(disk::open_on_demand(&self.path(path)), |file| self.keep(*slot, file))
            }
            Step::Close(slot) => {
                self.files.remove(slot);
                "ok".to_owned()
            }
            Step::Lock(slot, path) => {
                self.locks.remove(slot);
                let locked = disk::lock(&self.path(path));
                outcome(locked, |lock| {
                    self.locks.insert(*slot, lock);
                    "ok".to_owned()
                })
            }
            Step::Unlock(slot) => {
                self.locks.remove(slot);
                "ok".to_owned()
            }
            Step::Write(slot, ..)
            | Step::WriteParts(slot, ..)
            | Step::Append(slot, _)
            | Step::ReadAt(slot, ..)
            | Step::ReadRange(slot, ..)
            | Step::Len(slot)
            | Step::Truncate(slot, _)
            | Step::SyncData(slot) => match self.files.get(slot).cloned() {
                Some(file) => self.use_file(&file, step).await,
                None => "no file".to_owned(),
            },
            _ => self.name(step).await,
        }
    }

    fn keep(&mut self, slot: u8, file: File) -> String {
        self.files.insert(slot, file);
        "ok".to_owned()
    }

    fn path(&self, text: &str) -> PathBuf {
        self.base.join(expanded(text))
    }

    async fn use_file(&mut self, file: &File, step: &Step) -> String {
        match step {
            Step::Write(_, offset, len) => self.write(file, *offset, &[*len]),
            Step::WriteParts(_, offset, lens) => self.write(file, *offset, lens),
            Step::Append(_, len) => match file.len() {
                Ok(end) => self.write(file, end, &[*len]),
                Err(failed) => error(&failed),
            },
            Step::ReadAt(_, offset, len) => {
                let mut buffer = vec![0; *len as usize];
                let read = file.read_at(&mut buffer, *offset);
                outcome(read, |count| shown(&buffer[..count]))
            }
            // How long a directory is each file system decides for itself.
            Step::ReadRange(..) | Step::Len(_) if is_directory(file) => "a directory".to_owned(),
            Step::ReadRange(_, offset, len) => {
                outcome(file.read_range(*offset, *len as usize).await, |bytes| shown(&bytes))
            }
            Step::Len(_) => outcome(file.len(), |len| format!("{len} bytes")),
            Step::Truncate(_, len) => done(file.truncate(*len)),
            Step::SyncData(_) => done(file.sync_data().await),
            _ => unreachable!("{step:?} needs no file"),
        }
    }

    fn write(&mut self, file: &File, offset: u64, lens: &[u32]) -> String {
        self.written = self.written.wrapping_add(1);
        let mut next = self.written;
        let mut part = |len: &u32| -> Vec<u8> {
            (0..*len)
                .map(|_| {
                    next = next.wrapping_mul(29).wrapping_add(101);
                    next
                })
                .collect()
        };
        let parts: Vec<Vec<u8>> = lens.iter().map(&mut part).collect();
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        done(file.write_at(&slices, offset))
    }

    async fn name(&self, step: &Step) -> String {
        match step {
            Step::CreateDirAll(path) => done(disk::create_dir_all(&self.path(path))),
            Step::ReadDir(path) => outcome(disk::read_dir(&self.path(path)), |entries| listed(&entries)),
            Step::Exists(path) => outcome(disk::exists(&self.path(path)), |there| there.to_string()),
            Step::Rename(from, to) => done(disk::rename(&self.path(from), &self.path(to))),
            Step::RemoveFile(path) => done(disk::remove_file(&self.path(path))),
            Step::RemoveDirAll(path) => done(disk::remove_dir_all(&self.path(path))),
            Step::SyncDir(path) => done(disk::sync_dir(Path::new(&self.path(path))).await),
            _ => unreachable!("{step:?} names nothing"),
        }
    }
}

fn is_directory(file: &File) -> bool {
    file.read_at(&mut [0], 0).is_err_and(|error| error.kind() == ErrorKind::IsADirectory)
}

fn expanded(path: &str) -> String {
    let mut expanded = String::new();
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('{') {
        let (count, after) = behind.split_once('}').expect("a closing brace");
        let (letter, count) = count.strip_prefix('u').map_or(("n", count), |count| ("ü", count));
        expanded += before;
        expanded += &letter.repeat(count.parse().expect("a number of characters"));
        rest = after;
    }
    expanded + rest
}

/// Bytes by their number and a hash (FNV-1a).
fn shown(bytes: &[u8]) -> String {
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{} bytes {hash:08x}", bytes.len())
}

fn listed(entries: &[disk::DirEntry]) -> String {
    let name = |name: &str| if name.len() > 20 { format!("({} bytes)", name.len()) } else { name.to_owned() };
    let entry = |entry: &disk::DirEntry| {
        let kind = if entry.is_dir { "/".to_owned() } else { format!(":{}", entry.len) };
        name(&entry.name) + &kind
    };
    format!("[{}]", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
}
