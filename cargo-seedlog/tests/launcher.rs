//! The launcher as cargo calls it.
#![cfg(unix)]
#![allow(clippy::disallowed_methods)] // Starts the command and writes the packages it looks at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn launcher(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-seedlog"));
    command.arg("seedlog").args(arguments).current_dir(directory);
    for name in ["RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS"] {
        command.env_remove(name);
    }
    command.env_remove("CARGO_TARGET_DIR");
    command
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A package with these lines of dependencies.
fn package(dependencies: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    let manifest = format!(
        "[package]\nname = \"shop\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{dependencies}"
    );
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    folder
}

/// A cargo that answers `metadata` like the real one, and tells how it was called otherwise.
fn cargo_that_tells(folder: &Path) -> std::path::PathBuf {
    let script = "#!/bin/sh\n\
        if [ \"$1\" = metadata ]; then\n\
        echo '{\"packages\":[{\"name\":\"shop\",\"dependencies\":[{\"name\":\"seedlog-sim\"}],\
        \"targets\":[{\"name\":\"sim\",\"kind\":[\"bin\"]}]}],\"target_directory\":\"/x/target\"}'\n\
        exit 0\nfi\n\
        echo \"args: $*\"; echo \"flags: $RUSTFLAGS\"; echo \"target: $CARGO_TARGET_DIR\"; echo \"launcher: $CARGO_SEEDLOG\"\nexit 7\n";
    let path = folder.join("cargo");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn cargo_is_called_with_the_flag_and_a_target_directory_and_its_exit_code_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let cargo = cargo_that_tells(folder.path());
    let output =
        launcher(folder.path(), &["test", "--release", "orders"]).env("CARGO", cargo).output().unwrap();
    let told = told(&output);
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(told.contains(r#"--config build.rustflags=["--cfg", "madsim"]"#), "{told}");
    assert!(told.contains("test --release orders\n"), "{told}");
    assert!(told.contains("target: /x/target/seedlog\n"), "{told}");
    assert!(told.contains("launcher: 1\n"), "replay lines name this command: {told}");
    assert!(told.contains("building with the simulator in /x/target/seedlog: minutes"), "{told}");
}

#[test]
fn flags_of_the_environment_survive() {
    let folder = tempfile::tempdir().unwrap();
    let cargo = cargo_that_tells(folder.path());
    let mut command = launcher(folder.path(), &["run"]);
    let output = command.env("CARGO", cargo).env("RUSTFLAGS", "-C debuginfo=0").output().unwrap();
    assert!(told(&output).contains("flags: -C debuginfo=0 --cfg madsim\n"), "{}", told(&output));
    assert!(!told(&output).contains("build.rustflags"), "{}", told(&output));
}

#[test]
fn sim_runs_the_binary_of_that_name() {
    let folder = tempfile::tempdir().unwrap();
    let cargo = cargo_that_tells(folder.path());
    let output = launcher(folder.path(), &["sim", "sweep", "--seeds", "0..9"]).env("CARGO", cargo).output();
    let told = told(&output.unwrap());
    assert!(told.contains("run --bin sim -- sweep --seeds 0..9\n"), "{told}");
}

#[test]
fn a_missing_cargo_is_said_to_be_missing() {
    let folder = package("");
    let output = launcher(folder.path(), &["test"]).env("CARGO", "/nowhere/cargo").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("cannot start `/nowhere/cargo`: it is not there"), "{}", told(&output));
}

#[test]
fn outside_of_a_package_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = launcher(folder.path(), &["test"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("this is no package that cargo can read"), "{}", told(&output));
    assert!(told(&output).contains("could not find `Cargo.toml`"), "{}", told(&output));
}

#[test]
fn a_package_without_seedlog_is_told_what_to_add() {
    let folder = package("");
    let output = launcher(folder.path(), &["test"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("`shop` depends neither on `seedlog`"), "{}", told(&output));
}

#[test]
fn an_unknown_command_is_answered_with_the_known_ones() {
    let folder = package("");
    let output = launcher(folder.path(), &["tset"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("`tset` is no command"), "{}", told(&output));
    assert!(told(&output).contains("usage: cargo seedlog"), "{}", told(&output));
}
