//! A node's files and directories, and how a power failure rolls them back.
//!
//! Pure: draws come in as an argument, nothing waits, nothing fails but as POSIX says. Faults, locks and lives
//! are `machine`'s business.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::data::{FileData, Mark};
use super::names::{Directory, InodeId, NameChange, NameSurvival, PENDING_NAMES_MAX, Partner};
use crate::runtime::disk_types::{DirEntry, OpenMode};
use crate::runtime::random::Rng;

/// The directory that every machine has from its first day, as a disk mounted there.
pub(super) const MOUNT_POINT: &str = "data";

const ROOT: InodeId = InodeId(0);
const EISDIR: i32 = 21;

enum Inode {
    File(FileData),
    Directory(Directory),
}

pub(super) struct Tree {
    inodes: BTreeMap<InodeId, Inode>,
    next: u64,
    /// Open handles of an inode: while there are any, its last name may go.
    open: BTreeMap<InodeId, u32>,
    /// Unreachable inodes are swept out when there are this many inodes.
    sweep_at: usize,
}

const SWEEP_AT_LEAST: usize = 64;

impl Tree {
    pub(super) fn new() -> Tree {
        let mount = InodeId(1);
        let mut root = Directory::default();
        root.durable.insert(MOUNT_POINT.to_owned(), mount);
        root.current.clone_from(&root.durable);
        let inodes =
            BTreeMap::from([(ROOT, Inode::Directory(root)), (mount, Inode::Directory(Directory::default()))]);
        Tree { inodes, next: 2, open: BTreeMap::new(), sweep_at: SWEEP_AT_LEAST }
    }

    // -- paths -------------------------------------------------------------------------------------

    fn resolve_in(
        &self,
        path: &Path,
        names: impl Fn(&Directory) -> &BTreeMap<String, InodeId>,
    ) -> io::Result<InodeId> {
        let mut at = ROOT;
        for name in components(path) {
            at = *names(self.directory(at)?).get(name?).ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    pub(super) fn resolve(&self, path: &Path) -> io::Result<InodeId> {
        self.resolve_in(path, |directory| &directory.current)
    }

    /// What `path` would lead to if the power failed and nothing pending survived.
    pub(super) fn resolve_durable(&self, path: &Path) -> io::Result<InodeId> {
        self.resolve_in(path, |directory| &directory.durable)
    }

    /// The same, if the device had never lied.
    pub(super) fn resolve_claimed(&self, path: &Path) -> io::Result<InodeId> {
        self.resolve_in(path, Directory::claimed)
    }

    /// The directory in which `path` has its last name, and that name, which nobody has looked up yet.
    fn parent(&self, path: &Path) -> io::Result<(InodeId, io::Result<String>)> {
        let parent = self.resolve(path.parent().ok_or(ErrorKind::InvalidInput)?)?;
        self.directory(parent)?;
        let name = components(path).last().ok_or(ErrorKind::InvalidInput)?;
        Ok((parent, name.map(str::to_owned)))
    }

    fn directory(&self, inode: InodeId) -> io::Result<&Directory> {
        match self.inodes.get(&inode) {
            Some(Inode::Directory(directory)) => Ok(directory),
            Some(Inode::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn directory_mut(&mut self, inode: InodeId) -> &mut Directory {
        match self.inodes.get_mut(&inode) {
            Some(Inode::Directory(directory)) => directory,
            _ => panic!("inode {inode:?} was resolved as a directory"),
        }
    }

    /// Whether a handle leads to a directory, which can neither be read nor written through it.
    pub(super) fn is_directory(&self, inode: InodeId) -> bool {
        self.directory(inode).is_ok()
    }

    /// The mark after a directory's changes so far; `None` of what is no directory.
    pub(super) fn names_mark(&self, inode: InodeId) -> Option<Mark> {
        self.directory(inode).ok().map(Directory::mark)
    }

    /// `None` if no such file survived the last crash.
    pub(super) fn file(&self, inode: InodeId) -> Option<&FileData> {
        match self.inodes.get(&inode)? {
            Inode::File(file) => Some(file),
            Inode::Directory(_) => None,
        }
    }

    pub(super) fn file_mut(&mut self, inode: InodeId) -> Option<&mut FileData> {
        match self.inodes.get_mut(&inode)? {
            Inode::File(file) => Some(file),
            Inode::Directory(_) => None,
        }
    }

    // -- names -------------------------------------------------------------------------------------

    fn add(&mut self, inode: Inode) -> InodeId {
        let id = InodeId(self.next);
        self.next += 1;
        self.inodes.insert(id, inode);
        id
    }

    fn change(&mut self, directory: InodeId, change: NameChange, partner: Option<Partner>) {
        let names = self.directory_mut(directory);
        names.change(change, partner);
        if names.pending.len() > PENDING_NAMES_MAX {
            let upto = names.settled + (PENDING_NAMES_MAX / 2) as Mark;
            self.harden_names(directory, upto);
        }
    }

    /// Whether opening `path` in `mode` would make a new file.
    pub(super) fn would_create(&self, path: &Path, mode: OpenMode) -> bool {
        matches!(mode, OpenMode::CreateNew | OpenMode::CreateOrOpen) && self.resolve(path).is_err()
    }

    /// Opens a file for one more handle.
    pub(super) fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<InodeId> {
        let inode = match self.resolve(path) {
            Ok(_) if mode == OpenMode::CreateNew => return Err(ErrorKind::AlreadyExists.into()),
            // A directory can be opened for reading; only the reading fails.
            Ok(inode) if self.file(inode).is_some() || mode == OpenMode::Read => inode,
            Ok(_) => return Err(io::Error::from_raw_os_error(EISDIR)),
            Err(error) if matches!(mode, OpenMode::Read | OpenMode::ReadWrite) => return Err(error),
            Err(_) => {
                let (parent, name) = self.parent(path)?;
                let name = name?;
                let inode = self.add(Inode::File(FileData::default()));
                self.change(parent, NameChange::Link { name, inode }, None);
                inode
            }
        };
        *self.open.entry(inode).or_default() += 1;
        Ok(inode)
    }

    pub(super) fn close(&mut self, inode: InodeId) {
        if let Some(handles) = self.open.get_mut(&inode) {
            *handles -= 1;
            if *handles == 0 {
                self.open.remove(&inode);
            }
        }
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for name in components(path) {
            let here = self.directory(at)?;
            let name = name?;
            at = match here.current.get(name) {
                Some(inode) => *inode,
                None => {
                    let inode = self.add(Inode::Directory(Directory::default()));
                    self.change(at, NameChange::Link { name: name.to_owned(), inode }, None);
                    inode
                }
            };
        }
        self.directory(at).map(|_| ()).map_err(|_| ErrorKind::AlreadyExists.into())
    }

    pub(super) fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let directory = self.directory(self.resolve(path)?)?;
        let entry = |(name, inode): (&String, &InodeId)| {
            let file = self.file(*inode);
            let len = file.map_or(0, |file| file.current().len() as u64);
            DirEntry { name: name.clone(), is_dir: file.is_none(), len }
        };
        Ok(directory.current.iter().map(entry).collect())
    }

    /// Where several things are wrong, the first that Linux looks at is told.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let from_name = from_name?;
        let inode = *self.directory(from_dir)?.current.get(&from_name).ok_or(ErrorKind::NotFound)?;
        let to_name = to_name?;
        let moved_is_dir = self.file(inode).is_none();
        if moved_is_dir && to.starts_with(from) && to != from {
            return Err(ErrorKind::InvalidInput.into());
        }
        if from.starts_with(to) && to != from {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        if let Some(&replaced) = self.directory(to_dir)?.current.get(&to_name) {
            match self.directory(replaced) {
                _ if replaced == inode => return Ok(()),
                Ok(_) if !moved_is_dir => return Err(ErrorKind::IsADirectory.into()),
                Err(_) if moved_is_dir => return Err(ErrorKind::NotADirectory.into()),
                Ok(replaced) if !replaced.current.is_empty() => {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
        }
        if from_dir == to_dir {
            self.change(from_dir, NameChange::Rename { from: from_name, to: to_name, inode }, None);
            return Ok(());
        }
        let link = Partner { directory: to_dir, at: self.directory(to_dir)?.mark() };
        let unlink = Partner { directory: from_dir, at: self.directory(from_dir)?.mark() };
        self.change(to_dir, NameChange::Link { name: to_name, inode }, Some(unlink));
        self.change(from_dir, NameChange::Unlink { name: from_name }, Some(link));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.resolve(path)?;
        if self.file(inode).is_none() {
            return Err(io::Error::from_raw_os_error(EISDIR));
        }
        let (parent, name) = self.parent(path)?;
        self.change(parent, NameChange::Unlink { name: name? }, None);
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.resolve(path)?;
        self.directory(inode)?;
        let (parent, name) = self.parent(path)?;
        self.empty(inode);
        self.change(parent, NameChange::Unlink { name: name? }, None);
        Ok(())
    }

    fn empty(&mut self, directory: InodeId) {
        let entries = self.directory_mut(directory).current.clone();
        for (name, inode) in entries {
            if self.file(inode).is_none() {
                self.empty(inode);
            }
            self.change(directory, NameChange::Unlink { name }, None);
        }
    }

    // -- durability --------------------------------------------------------------------------------

    /// The directory at `path`, and the mark after its changes so far.
    pub(super) fn directory_mark(&self, path: &Path) -> io::Result<(InodeId, Mark)> {
        let inode = self.resolve(path)?;
        Ok((inode, self.directory(inode)?.mark()))
    }

    /// Makes a directory's changes before `upto` durable, and with a move's one half its other half.
    pub(super) fn harden_names(&mut self, directory: InodeId, upto: Mark) {
        let mut work = vec![(directory, upto)];
        while let Some((directory, upto)) = work.pop() {
            let Some(Inode::Directory(names)) = self.inodes.get_mut(&directory) else { continue };
            while let Some(hardened) = names.harden_one(upto) {
                work.extend(hardened.partner.map(|partner| (partner.directory, partner.at + 1)));
            }
        }
        if self.inodes.len() >= self.sweep_at {
            self.sweep();
        }
    }

    /// A sync says that a directory's changes before `upto` are durable, and they are not.
    pub(super) fn claim_names(&mut self, directory: InodeId, upto: Mark) {
        if let Some(Inode::Directory(names)) = self.inodes.get_mut(&directory) {
            names.claim(upto);
        }
    }

    /// The power fails: every file and directory becomes what the crash model draws, handles are gone.
    /// Returns how often each kind of loss was drawn.
    pub(super) fn crash(&mut self, draws: &mut Rng) -> BTreeMap<&'static str, u64> {
        let mut outcomes = BTreeMap::new();
        self.open.clear();
        let mut directories = BTreeMap::new();
        for (id, inode) in &mut self.inodes {
            match inode {
                Inode::File(file) => {
                    if let Some(survival) = file.crash(draws) {
                        *outcomes.entry(survival.name()).or_default() += 1;
                    }
                }
                Inode::Directory(names) if !names.pending.is_empty() => {
                    let (kept, survival): (Vec<bool>, NameSurvival) = names.draw_survivors(draws);
                    *outcomes.entry(survival.name()).or_default() += 1;
                    directories.insert(*id, kept);
                }
                Inode::Directory(_) => {}
            }
        }
        self.lose_half_moves(&mut directories);
        for (id, kept) in &directories {
            self.directory_mut(*id).crash(kept);
        }
        self.sweep();
        outcomes
    }

    /// What rotted on the device shows from now on.
    pub(super) fn evict_rotten(&mut self) {
        for inode in self.inodes.values_mut() {
            if let Inode::File(file) = inode {
                file.evict_rotten();
            }
        }
    }

    /// A move between two directories survives whole or not at all.
    fn lose_half_moves(&self, survivors: &mut BTreeMap<InodeId, Vec<bool>>) {
        loop {
            let before = survivors.clone();
            for (id, kept) in survivors.iter_mut() {
                let Ok(names) = self.directory(*id) else { continue };
                for (pending, kept) in names.pending.iter().zip(kept.iter_mut()) {
                    *kept &= pending.partner.is_none_or(|partner| self.survives(partner, &before));
                }
                names.respect_order(kept);
            }
            if *survivors == before {
                return;
            }
        }
    }

    fn survives(&self, partner: Partner, survivors: &BTreeMap<InodeId, Vec<bool>>) -> bool {
        let Ok(names) = self.directory(partner.directory) else { return true };
        let Some(index) = partner.at.checked_sub(names.settled) else { return true };
        survivors.get(&partner.directory).is_some_and(|kept| kept.get(index as usize) == Some(&true))
    }

    /// Frees what no name, durable name, pending change or handle leads to.
    pub(super) fn sweep(&mut self) {
        let mut reached: BTreeSet<InodeId> = self.open.keys().copied().collect();
        let mut work = vec![ROOT];
        reached.insert(ROOT);
        while let Some(id) = work.pop() {
            if let Some(Inode::Directory(names)) = self.inodes.get(&id) {
                work.extend(names.reachable().filter(|inode| reached.insert(*inode)));
            }
        }
        self.inodes.retain(|id, _| reached.contains(id));
        self.sweep_at = SWEEP_AT_LEAST.max(2 * self.inodes.len());
    }

    // -- inspection --------------------------------------------------------------------------------

    /// Bytes of the files that a name or a handle leads to. What only the disk still has names of, until they are synced,
    /// the file system gives out again as soon as somebody needs it.
    pub(super) fn used_bytes(&self) -> u64 {
        let mut reached: BTreeSet<InodeId> = self.open.keys().copied().collect();
        let mut work = vec![ROOT];
        while let Some(id) = work.pop() {
            if let Ok(names) = self.directory(id) {
                work.extend(names.current.values().copied().filter(|inode| reached.insert(*inode)));
            }
        }
        reached.into_iter().filter_map(|id| self.file(id)).map(|file| file.current().len() as u64).sum()
    }

    /// Every file, by path, as programs see it.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut work = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, id)) = work.pop() {
            match self.directory(id) {
                Ok(names) => work.extend(names.current.iter().map(|(name, id)| (path.join(name), *id))),
                Err(_) => found.push(path),
            }
        }
        found.sort();
        found
    }
}

/// As on the file systems of real machines.
const NAME_BYTES_MAX: usize = 255;
const ENAMETOOLONG: i32 = 36;

/// The names of a path from the root on; a relative path starts there too.
fn components(path: &Path) -> impl Iterator<Item = io::Result<&str>> {
    path.components().filter_map(|component| match component {
        Component::RootDir | Component::CurDir => None,
        Component::Normal(name) if name.len() > NAME_BYTES_MAX => {
            Some(Err(io::Error::from_raw_os_error(ENAMETOOLONG)))
        }
        Component::Normal(name) => Some(name.to_str().ok_or_else(|| ErrorKind::InvalidInput.into())),
        Component::ParentDir | Component::Prefix(_) => Some(Err(ErrorKind::InvalidInput.into())),
    })
}
