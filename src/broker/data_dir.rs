//! A broker's data directory: whose it is, that nobody else uses it, and the partition directories in it.
//!
//! What is inside a partition's directory is `log`'s, except for the file that says which topic it is of.

use std::io;
use std::path::{Path, PathBuf};

use super::checked_file::{self, ReadError};
use crate::log::{directory_name, partition_of_directory, stored_bytes};
use crate::runtime::disk::{self, Lock};
use crate::runtime::durable;
use crate::types::{BrokerId, SessionId, TopicId, TopicPartition};

const LOCK_FILE: &str = ".lock";
const META_FILE: &str = "meta.properties";
const META_VERSION: &str = "1";
const SESSION_FILE: &str = "zookeeper.session";
const PARTITION_FILE: &str = "partition.metadata";
const PARTITION_VERSION: &str = "1";
/// Ends the name of a directory that was set aside.
const STRAY_SUFFIX: &str = ".stray";
/// What the files of this module take, generously: each is replaced by way of a second one.
const START_BYTES: u64 = 64 << 10;
/// Directories of one topic and partition that may be set aside.
const STRAYS_MAX: u32 = 1000;
/// What file systems take as a name.
const NAME_BYTES_MAX: usize = 255;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("data directory {} is in use by another process", path.display())]
    InUse { path: PathBuf },
    #[error("data directory {} belongs to broker {found}, this is broker {expected}", path.display())]
    OtherBroker { path: PathBuf, found: String, expected: BrokerId },
    #[error("data directory {} belongs to cluster {found}, ZooKeeper says {expected}", path.display())]
    OtherCluster { path: PathBuf, found: String, expected: String },
    /// A file of ours is damaged; nothing is overwritten.
    #[error("{}: {reason}", path.display())]
    Corrupt { path: PathBuf, reason: String },
    /// Logs without the file that says whose they are.
    #[error("data directory {} holds logs ({example}) but no {META_FILE}", path.display())]
    Unowned { path: PathBuf, example: String },
    /// The device is full. Nothing is damaged: with space the same succeeds.
    #[error("no space left in {}: {free_bytes} bytes free, needs {needed_bytes}", path.display())]
    NoSpace { path: PathBuf, free_bytes: u64, needed_bytes: u64 },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl DataDirError {
    /// Whether the same may succeed once there is space, or a file descriptor, again.
    pub fn is_shortage(&self) -> bool {
        match self {
            DataDirError::NoSpace { .. } => true,
            DataDirError::Io { source, .. } => disk::is_out_of_descriptors(source),
            _ => false,
        }
    }
}

/// A locked data directory of this broker.
pub(super) struct DataDir {
    path: PathBuf,
    broker: BrokerId,
    /// The cluster in `meta.properties`, if the file was there.
    cluster_id: Option<String>,
    /// The machine's boot in `meta.properties`.
    boot_id: Option<String>,
    /// Directories that got a new name on the way to this one.
    unsynced: Vec<PathBuf>,
    _lock: Lock,
}

impl DataDir {
    /// Makes the directory if need be, locks it and checks that it is this broker's.
    pub fn open(path: &Path, broker: BrokerId) -> Result<DataDir, DataDirError> {
        let at = io_error(path);
        let unsynced = parents_of_new(path).map_err(&at)?;
        disk::create_dir_all(path).map_err(&at)?;
        let lock = disk::lock(&path.join(LOCK_FILE)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => DataDirError::InUse { path: path.to_owned() },
            _ => at(error),
        })?;
        let (cluster_id, boot_id) = read_meta(path, broker)?;
        let directory = DataDir { path: path.to_owned(), broker, cluster_id, boot_id, unsynced, _lock: lock };
        if directory.cluster_id.is_none()
            && let Some(partition) = directory.partitions()?.first()
        {
            return Err(DataDirError::Unowned { path: path.to_owned(), example: partition.to_string() });
        }
        Ok(directory)
    }

    /// Checks that the directory is this cluster's, or makes it so; notes the machine's boot.
    pub async fn adopt(&self, cluster_id: &str) -> Result<(), DataDirError> {
        if let Some(found) = &self.cluster_id
            && found != cluster_id
        {
            return Err(DataDirError::OtherCluster {
                path: self.path.clone(),
                found: found.clone(),
                expected: cluster_id.to_owned(),
            });
        }
        for parent in &self.unsynced {
            durable::sync_names(parent).await.map_err(io_error(parent))?;
        }
        let broker = self.broker.to_string();
        let boot_id = disk::boot_id();
        if self.cluster_id.is_some() && self.boot_id.as_ref() == Some(&boot_id) {
            return Ok(());
        }
        let pairs = [
            ("version", META_VERSION),
            ("broker.id", &broker),
            ("cluster.id", cluster_id),
            ("boot.id", &boot_id),
        ];
        match checked_file::write(&self.path, META_FILE, &pairs).await.map_err(io_error(&self.path)) {
            // The boot is noted with the next start that has room.
            Err(error) if error.is_shortage() && self.cluster_id.is_some() => {
                tracing::warn!(%error, file = META_FILE, "boot_not_noted");
                Ok(())
            }
            written => written,
        }
    }

    /// The last ZooKeeper session in which this directory's broker registered. Its process is dead: this one
    /// holds the lock. A damaged file is as good as none.
    pub fn last_session(&self) -> Option<SessionId> {
        let pairs = checked_file::read(&self.path.join(SESSION_FILE));
        let pairs = pairs.unwrap_or_else(|error| {
            tracing::warn!(%error, file = SESSION_FILE, "file_not_readable");
            None
        });
        i64::from_str_radix(pairs?.get("session")?, 16).ok().map(SessionId)
    }

    /// Notes the session in which the broker is about to register.
    pub async fn note_session(&self, session: SessionId) -> Result<(), DataDirError> {
        let text = format!("{session:x}");
        let written = checked_file::write(&self.path, SESSION_FILE, &[("session", &text)]).await;
        written.map_err(io_error(&self.path))
    }

    /// The partitions that have a directory here, sorted.
    pub fn partitions(&self) -> Result<Vec<TopicPartition>, DataDirError> {
        let entries = disk::read_dir(&self.path).map_err(io_error(&self.path))?;
        let directories = entries.iter().filter(|entry| entry.is_dir);
        let mut partitions: Vec<_> =
            directories.filter_map(|entry| partition_of_directory(&entry.name)).collect();
        partitions.sort();
        Ok(partitions)
    }

    /// Whether there is a directory of this very partition, made by whomever.
    pub fn holds(&self, partition: &TopicPartition, topic_id: TopicId) -> Result<bool, DataDirError> {
        let path = self.path.join(directory_name(partition));
        if !disk::exists(&path).map_err(io_error(&path))? {
            return Ok(false);
        }
        Ok(read_topic_id(&path)?.is_some_and(|found| found == topic_id.to_string()))
    }

    /// The directory of a partition, made if need be. One of another topic of the same name is set aside; one
    /// with records and without the file that says whose they are is `Corrupt`, and left as it is.
    pub async fn partition(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<PathBuf, DataDirError> {
        let path = self.path.join(directory_name(partition));
        let topic_id = topic_id.to_string();
        let at = io_error(&path);
        if disk::exists(&path).map_err(&at)? {
            match read_topic_id(&path)? {
                Some(found) if found == topic_id => return Ok(path),
                Some(found) => self.set_aside(&path, &found).await?,
                // It is written first: a crash may have come between the directory and the file, and then no log
                // was begun.
                None => refuse_ownerless_log(&path)?,
            }
        }
        disk::create_dir_all(&path).map_err(&at)?;
        let pairs = [("version", PARTITION_VERSION), ("topic_id", &topic_id)];
        checked_file::write(&path, PARTITION_FILE, &pairs).await.map_err(&at)?;
        durable::sync_names(&self.path).await.map_err(&at)?;
        Ok(path)
    }

    async fn set_aside(&self, path: &Path, topic_id: &str) -> Result<(), DataDirError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stray = self.free_name(&name, topic_id)?;
        tracing::warn!(directory = %path.display(), stray = %stray.display(), "directory_of_other_topic_set_aside");
        disk::rename(path, &stray).map_err(io_error(path))?;
        durable::sync_names(&self.path).await.map_err(io_error(path))
    }

    fn free_name(&self, directory: &str, topic_id: &str) -> Result<PathBuf, DataDirError> {
        for number in 0..STRAYS_MAX {
            let path = self.path.join(stray_name(directory, topic_id, number));
            if !disk::exists(&path).map_err(io_error(&path))? {
                return Ok(path);
            }
        }
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "too many directories were set aside");
        Err(DataDirError::Io { path: self.path.join(directory), source })
    }
}

/// What a directory that is set aside is called. The partition's name is cut where all of it would be too long; the
/// topic's id tells which topic it was.
fn stray_name(directory: &str, topic_id: &str, number: u32) -> String {
    let counted = if number == 0 { String::new() } else { format!(".{number}") };
    let ending = format!(".{topic_id}{counted}{STRAY_SUFFIX}");
    // Names of topics, and so of their directories, are ASCII.
    let kept = directory.len().min(NAME_BYTES_MAX.saturating_sub(ending.len()));
    format!("{}{ending}", directory.get(..kept).unwrap_or_default())
}

/// A log of unknown topic: `Corrupt`, because setting it aside would show its readers an empty partition.
fn refuse_ownerless_log(directory: &Path) -> Result<(), DataDirError> {
    let bytes = stored_bytes(directory).map_err(io_error(directory))?;
    if bytes == 0 {
        return Ok(());
    }
    let reason = format!(
        "the file is missing beside a log of {bytes} bytes, so that nobody knows whose they are: put it back, or move \
         the directory away"
    );
    Err(DataDirError::Corrupt { path: directory.join(PARTITION_FILE), reason })
}

/// The directories that creating `path` will put a name into.
fn parents_of_new(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut parents = Vec::new();
    for ancestor in path.ancestors() {
        if ancestor.as_os_str().is_empty() || disk::exists(ancestor)? {
            break;
        }
        let parent = ancestor.parent().filter(|parent| !parent.as_os_str().is_empty());
        parents.push(parent.unwrap_or(Path::new(".")).to_owned());
    }
    Ok(parents)
}

/// The cluster and the boot that the file names, if it is there.
fn read_meta(directory: &Path, broker: BrokerId) -> Result<(Option<String>, Option<String>), DataDirError> {
    let path = directory.join(META_FILE);
    let Some(pairs) = checked_file::read(&path).map_err(read_error(&path))? else { return Ok((None, None)) };
    let get = |key: &str| {
        let missing = || DataDirError::Corrupt { path: path.clone(), reason: format!("no {key}") };
        pairs.get(key).cloned().ok_or_else(missing)
    };
    let version = get("version")?;
    if version != META_VERSION {
        let reason = format!("version {version} is not known, only {META_VERSION}");
        return Err(DataDirError::Corrupt { path: path.clone(), reason });
    }
    let found = get("broker.id")?;
    if found != broker.to_string() {
        return Err(DataDirError::OtherBroker { path: directory.to_owned(), found, expected: broker });
    }
    Ok((Some(get("cluster.id")?), pairs.get("boot.id").cloned()))
}

fn read_topic_id(directory: &Path) -> Result<Option<String>, DataDirError> {
    let path = directory.join(PARTITION_FILE);
    let pairs = checked_file::read(&path).map_err(read_error(&path))?;
    Ok(pairs.map(|pairs| pairs.get("topic_id").cloned().unwrap_or_default()))
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> DataDirError + use<> {
    let path = path.to_owned();
    move |source| {
        if disk::is_no_space(&source) {
            let free_bytes = disk::free_bytes(&path).unwrap_or_default();
            return DataDirError::NoSpace { path: path.clone(), free_bytes, needed_bytes: START_BYTES };
        }
        DataDirError::Io { path: path.clone(), source }
    }
}

fn read_error(path: &Path) -> impl Fn(ReadError) -> DataDirError + use<> {
    let path = path.to_owned();
    move |error| match error {
        ReadError::Corrupt(reason) => DataDirError::Corrupt { path: path.clone(), reason },
        ReadError::Io(source) => DataDirError::Io { path: path.clone(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    #[test]
    fn the_longest_name_fits_into_a_directory_name_and_so_does_its_stray() {
        let longest = TopicPartition::new("x".repeat(249), 9_999);
        let directory = directory_name(&longest);
        assert!(directory.len() <= NAME_BYTES_MAX);

        let id = TopicId::from_bytes([0xab; 16]).to_string();
        for number in [0, STRAYS_MAX - 1] {
            let stray = stray_name(&directory, &id, number);
            assert_eq!(stray.len(), NAME_BYTES_MAX, "{stray}");
            assert!(stray.contains(&id), "{stray}");
            assert_eq!(partition_of_directory(&stray), None);
        }
    }

    #[test]
    fn a_short_name_is_kept_whole_when_it_is_set_aside() {
        assert_eq!(stray_name("orders-3", "0a", 0), "orders-3.0a.stray");
        assert_eq!(stray_name("orders-3", "0a", 7), "orders-3.0a.7.stray");
    }
}
