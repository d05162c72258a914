//! Small files that are replaced whole, and names that must outlive a power failure.
//!
//! A file is written under a temporary name, synced and renamed, so that a crash leaves the old one or the new
//! one. Its name counts as durable after its directory was synced. What stands in the file is the caller's.

use std::io::{self, IoSlice};
use std::path::Path;

use super::disk::{self, OpenMode};
use crate::rules::{Rule, holds};

/// Replaces `name` in `directory`; when this returns, the new content is durable, name included.
pub async fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_and_rename(directory, name, &format!("{name}.tmp"), bytes).await?;
    sync_names(directory).await
}

/// The same, but for the sync of the directory: after a power failure either content may be there. Callers that
/// may overlap give each a `temporary` name of its own. A crash may leave a file of that name.
pub async fn write_and_rename(directory: &Path, name: &str, temporary: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(temporary);
    let file = disk::open(&temporary, OpenMode::CreateOrOpen)?;
    file.truncate(0)?;
    file.write_at(&[IoSlice::new(bytes)], 0)?;
    file.sync_data().await?;
    disk::rename(&temporary, &directory.join(name))
}

/// Makes the names in `directory` durable.
pub async fn sync_names(directory: &Path) -> io::Result<()> {
    if holds(Rule::SyncDirectoryOfNewName) { disk::sync_dir(directory).await } else { Ok(()) }
}
