//! Passes that need no second run: kept under `target/sim/cache/`, by the program that ran them.
//!
//! The program is the code: applications, checks and scenarios that are compiled in. A pass counts again for the same
//! program, scenario text, suspended rules and seed. Failures are never kept, and what cannot be read is left out with
//! a warning and run again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use seedlog::rules::Rule;
use seedlog::runtime::sim::trace;

use crate::report::{Outcome, Verdict};
use crate::scenario::Scenario;

/// Programs whose passes are kept; those of older ones are removed.
const PROGRAMS_KEPT_MAX: usize = 4;

/// A scenario's passes beyond this are not kept.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The passes of one program.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens the cache of the running program under `target/sim`.
    pub fn of_this_program(sim_folder: &Path) -> io::Result<Cache> {
        let program = hash_of_file(&std::env::current_exe()?)?;
        Cache::open(&sim_folder.join("cache"), program)
    }

    fn open(root: &Path, program: u64) -> io::Result<Cache> {
        let folder = root.join(format!("{program:016x}"));
        fs::create_dir_all(&folder)?;
        // The newest folder is the one that was used last.
        File::open(&folder)?.set_modified(std::time::SystemTime::now())?;
        remove_old(root)?;
        Ok(Cache { folder })
    }

    /// The passes of `scenario` by seed; second, what was wrong with lines that could not be read.
    pub fn passes(&self, scenario: &Scenario, without: &[Rule]) -> (BTreeMap<u64, Verdict>, Option<String>) {
        let path = self.file(scenario, without);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (BTreeMap::new(), None),
            Err(error) => return (BTreeMap::new(), Some(format!("{}: {error}", path.display()))),
        };
        let (mut passes, mut sound, mut unread) = (BTreeMap::new(), Vec::new(), 0);
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match read_line(line) {
                Some(verdict) if verdict.scenario == scenario.name => {
                    passes.insert(verdict.seed, verdict);
                    sound.extend_from_slice(line);
                    sound.push(b'\n');
                }
                _ => unread += 1,
            }
        }
        if unread == 0 {
            return (passes, None);
        }
        let mut warning = format!("{unread} damaged lines of {} are left out", path.display());
        if let Err(error) = fs::write(&path, sound) {
            warning.push_str(&format!(", and stay there: {error}"));
        }
        (passes, Some(warning))
    }

    /// Keeps a pass; anything else is left out.
    pub fn keep(&self, scenario: &Scenario, without: &[Rule], verdict: &Verdict) -> io::Result<()> {
        if verdict.verdict != Outcome::Pass || verdict.cached {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(self.file(scenario, without))?;
        if file.metadata()?.len() > FILE_BYTES_MAX {
            return Ok(());
        }
        // One write: lines of two sessions at once do not mix.
        file.write_all(&line_of(verdict))
    }

    /// Suspended rules and the text decide over the name, for scenarios change.
    fn file(&self, scenario: &Scenario, without: &[Rule]) -> PathBuf {
        let rules: Vec<&str> = without.iter().map(|rule| rule.slug()).collect();
        let options = trace::hash_bytes(format!("{}\n{}", rules.join(","), scenario.text).as_bytes());
        let readable: String =
            scenario.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
        self.folder.join(format!("{readable}-{options:016x}.jsonl"))
    }
}

/// A checksum and the verdict.
fn line_of(verdict: &Verdict) -> Vec<u8> {
    let json = serde_json::to_string(verdict).expect("a verdict is plain data");
    format!("{:016x} {json}\n", trace::hash_bytes(json.as_bytes())).into_bytes()
}

fn read_line(line: &[u8]) -> Option<Verdict> {
    let (checksum, json) = line.split_at_checked(17)?;
    let checksum = u64::from_str_radix(std::str::from_utf8(checksum).ok()?.trim_end(), 16).ok()?;
    if checksum != trace::hash_bytes(json) {
        return None;
    }
    let verdict: Verdict = serde_json::from_slice(json).ok()?;
    Some(Verdict { cached: true, ..verdict })
}

fn hash_of_file(path: &Path) -> io::Result<u64> {
    const CHUNK_BYTES: usize = 1 << 20;
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut hash = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(hash);
        }
        hash = trace::mix(hash, trace::hash_bytes(&chunk[..read]));
    }
}

fn remove_old(root: &Path) -> io::Result<()> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        programs.push((entry.metadata()?.modified()?, entry.path()));
    }
    programs.sort();
    let old = programs.len().saturating_sub(PROGRAMS_KEPT_MAX);
    for (_, path) in &programs[..old] {
        // Another session may have been faster.
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::library::built_in_sweep;

    fn root(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("seedlog-sim-cache-{name}-{}", std::process::id()));
        let _absent = fs::remove_dir_all(&path);
        path
    }

    fn pass(seed: u64) -> Verdict {
        Verdict::empty("sweep", seed)
    }

    #[test]
    fn a_pass_is_found_again_and_a_failure_is_not_kept() {
        let root = root("again");
        let (cache, sweep) = (Cache::open(&root, 1).unwrap(), built_in_sweep());
        cache.keep(&sweep, &[], &pass(3)).unwrap();
        let failure = Verdict { verdict: Outcome::Violation, ..pass(4) };
        cache.keep(&sweep, &[], &failure).unwrap();
        let (passes, warning) = cache.passes(&sweep, &[]);
        assert_eq!(passes.into_values().collect::<Vec<_>>(), [Verdict { cached: true, ..pass(3) }]);
        assert_eq!(warning, None);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn another_program_text_or_suspended_rule_knows_nothing_of_it() {
        let root = root("other");
        let (cache, sweep) = (Cache::open(&root, 1).unwrap(), built_in_sweep());
        cache.keep(&sweep, &[], &pass(3)).unwrap();
        let mut changed = sweep.clone();
        changed.text.push('#');
        assert!(cache.passes(&changed, &[]).0.is_empty());
        assert!(cache.passes(&sweep, &[Rule::CutTornTail]).0.is_empty());
        assert!(Cache::open(&root, 2).unwrap().passes(&sweep, &[]).0.is_empty());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn damaged_lines_are_left_out_with_a_warning() {
        let root = root("damaged");
        let (cache, sweep) = (Cache::open(&root, 1).unwrap(), built_in_sweep());
        (0..3).for_each(|seed| cache.keep(&sweep, &[], &pass(seed)).unwrap());
        let path = cache.file(&sweep, &[]);
        let mut bytes = fs::read(&path).unwrap();
        // One digit of the second line's seed, and the last line's end.
        let at = bytes.windows(8).position(|window| window == b"\"seed\":1").unwrap();
        bytes[at + 7] = b'7';
        bytes.truncate(bytes.len() - 10);
        fs::write(&path, bytes).unwrap();
        let (passes, warning) = cache.passes(&sweep, &[]);
        assert_eq!(passes.into_keys().collect::<Vec<_>>(), [0]);
        assert!(warning.unwrap().starts_with("2 damaged lines of "));
        assert_eq!(cache.passes(&sweep, &[]).1, None);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_passes_of_old_programs_are_removed() {
        let root = root("old");
        for program in 0..9 {
            Cache::open(&root, program).unwrap();
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), PROGRAMS_KEPT_MAX);
        assert!(root.join(format!("{:016x}", 8)).exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
