//! A run's files: `target/sim/NAME/SEED/{verdict.json,history.jsonl,scenario.toml}`.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::Verdict;
use crate::history::{self, Entry};
use crate::scenario::Scenario;

/// Where a run's files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder(pub PathBuf);

/// The folder of one seed under the build's target directory.
pub fn seed_folder(scenario: &str, seed: u64) -> RunFolder {
    RunFolder(sim_folder().join(scenario).join(seed.to_string()))
}

/// The testbed's own part of the build's target directory.
pub fn sim_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| crate::workspace::root().join("target")).join("sim")
}

/// Writes the files, over those of an earlier run of the seed.
pub fn write_run(
    folder: &RunFolder,
    scenario: &Scenario,
    verdict: &Verdict,
    history: &[Entry],
) -> std::io::Result<()> {
    let RunFolder(path) = folder;
    fs::create_dir_all(path)?;
    fs::write(path.join("verdict.json"), serde_json::to_vec_pretty(verdict)?)?;
    fs::write(path.join("scenario.toml"), with_seed(&scenario.text, verdict.seed))?;
    write_history(&path.join("history.jsonl"), history)
}

fn write_history(path: &Path, history: &[Entry]) -> std::io::Result<()> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    history::write_json_lines(history, &mut out)
}

/// The scenario's text with its seed fixed, so that the file alone replays the run.
pub fn with_seed(text: &str, seed: u64) -> String {
    let mut fixed = String::with_capacity(text.len() + 32);
    let mut in_top = true;
    for line in text.lines() {
        in_top &= !line.trim_start().starts_with('[');
        let key = line.split('=').next().unwrap_or_default().trim();
        if in_top && (key == "seed" || key == "seeds") {
            continue;
        }
        fixed.push_str(line);
        fixed.push('\n');
        if in_top && key == "format" {
            fixed.push_str(&format!("seed   = \"{seed}\"\n"));
        }
    }
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Seeds;

    #[test]
    fn a_run_folder_holds_what_replays_and_what_explains_the_run() {
        let mut scenario = crate::scenario::library::built_in_sweep();
        scenario.text = scenario.text.replace("format = 1", "format = 1\nseeds = 9");
        let folder =
            RunFolder(std::env::temp_dir().join(format!("seedlog-sim-folder-{}", std::process::id())));
        let verdict = Verdict::empty("sweep", u64::MAX);
        write_run(&folder, &scenario, &verdict, &[]).unwrap();
        let text = fs::read_to_string(folder.0.join("scenario.toml")).unwrap();
        let replayed = Scenario::parse("sweep", "scenario.toml", &text).unwrap();
        assert_eq!(replayed.seeds, Seeds::One(u64::MAX));
        let json = fs::read(folder.0.join("verdict.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Verdict>(&json).unwrap(), verdict);
        assert!(folder.0.join("history.jsonl").exists());
        fs::remove_dir_all(&folder.0).unwrap();
    }
}
