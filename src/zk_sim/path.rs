//! Paths of nodes: their parts, and which ones ZooKeeper takes.
//!
//! Pure.

/// The parent's path; the root's is the root.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(slash) => &path[..slash],
    }
}

/// The last part.
pub(super) fn name(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// ZooKeeper's own nodes, which cannot be deleted.
pub(super) fn is_reserved(path: &str) -> bool {
    matches!(path, "/zookeeper" | "/zookeeper/quota" | "/zookeeper/config")
}

/// A path that no node may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidPath;

/// Absolute, without an empty part, `.`, `..`, control characters, or a slash at the end.
pub(super) fn validate(path: &str) -> Result<(), InvalidPath> {
    if path == "/" {
        return Ok(());
    }
    let parts = path.strip_prefix('/').ok_or(InvalidPath)?;
    let fine = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(is_forbidden);
    if parts.split('/').all(fine) { Ok(()) } else { Err(InvalidPath) }
}

fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_parent_and_its_name() {
        assert_eq!((parent("/a/b"), name("/a/b")), ("/a", "b"));
        assert_eq!((parent("/a"), name("/a")), ("/", "a"));
        assert_eq!((parent("/a/"), name("/a/")), ("/a", ""));
        assert_eq!(parent("/"), "/");
    }

    #[test]
    fn only_absolute_paths_of_plain_parts_are_valid() {
        for valid in ["/", "/a", "/a/b.c", "/é", "/...", "/a b"] {
            assert_eq!(validate(valid), Ok(()), "{valid}");
        }
        for invalid in ["", "a", "/a/", "//", "/a//b", "/.", "/a/../b", "/a\u{1}", "/\u{7f}", "/\u{e000}"] {
            assert_eq!(validate(invalid), Err(InvalidPath), "{invalid:?}");
        }
    }
}
