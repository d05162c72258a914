//! The snapshot on disk: written whole to a temporary file, synced, renamed, and the directory synced.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::snapshot::Image;
use crate::runtime::disk::{self, Lock, OpenMode};
use crate::runtime::durable;

const SNAPSHOT: &str = "zookeeper.snapshot";
const TEMPORARY: &str = "zookeeper.snapshot.tmp";
const LOCK: &str = "zookeeper.lock";

/// A directory that this server alone writes to.
pub(super) struct Store {
    directory: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Takes the directory, making it if it is not there. `WouldBlock` if another server has it.
    pub async fn open(directory: &Path) -> io::Result<Store> {
        disk::create_dir_all(directory)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk::sync_dir(parent).await?;
        }
        let lock = disk::lock(&directory.join(LOCK)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                let text = format!("another process uses {}", directory.display());
                io::Error::new(io::ErrorKind::WouldBlock, text)
            }
            _ => error,
        })?;
        Ok(Store { directory: directory.to_owned(), _lock: lock })
    }

    /// What was saved last; a new server's image if nothing ever was. `InvalidData` if it is corrupt: a
    /// server that forgot its writes must not start as though there had been none.
    pub async fn load(&self) -> io::Result<Image> {
        let path = self.directory.join(SNAPSHOT);
        if !disk::exists(&path)? {
            return Ok(Image::new());
        }
        let file = disk::open(&path, OpenMode::Read)?;
        let length = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let bytes = file.read_range(0, length).await?;
        Image::decode(&bytes).map_err(|reason| {
            let text = format!(
                "the ZooKeeper snapshot {} is corrupt: {reason}; to start empty, move it away",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// On return the bytes are what a start after a power failure finds.
    pub async fn save(&self, bytes: &Bytes) -> io::Result<()> {
        durable::write_and_rename(&self.directory, SNAPSHOT, TEMPORARY, bytes).await?;
        disk::sync_dir(&self.directory).await
    }
}
