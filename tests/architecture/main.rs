//! Holds the code to ARCHITECTURE.md and STYLE.md: who may import whom, what only the seam may name, what "pure"
//! means, how long files and functions may grow, which names are not used, and whether what the docs name exists.
#![allow(clippy::disallowed_methods)] // Reads the sources.

mod canaries;
mod docs;
mod families;
mod sources;
mod style;

use std::collections::{BTreeMap, BTreeSet};

use sources::{Names, crate_module, sources};
use syn::visit::Visit;

/// Module -> what it may import besides `types`, `rules`, `marks` and `facts`.
fn import_table() -> BTreeMap<&'static str, &'static [&'static str]> {
    let clients: &[&str] = &["client", "protocol", "record", "registry", "runtime"];
    BTreeMap::from([
        ("types", &[][..]),
        ("rules", &[]),
        ("marks", &["runtime"]),
        ("facts", &["runtime"]),
        ("runtime", &[]),
        ("record", &[]),
        ("protocol", &["record"]),
        ("log", &["record", "runtime"]),
        ("zookeeper", &["runtime"]),
        ("zk_sim", &["zookeeper", "runtime"]),
        ("client", &["protocol", "runtime"]),
        ("registry", &["zookeeper", "runtime"]),
        ("broker", &["log", "protocol", "record", "registry", "client", "runtime", "zookeeper"]),
        ("producer", clients),
        ("consumer", &["client", "protocol", "record", "registry", "runtime", "zookeeper"]),
        ("admin", clients),
        ("lib", &[]),
        // The command puts everything together.
        (
            "command",
            &[
                "admin",
                "broker",
                "consumer",
                "producer",
                "protocol",
                "record",
                "runtime",
                "zk_sim",
                "zookeeper",
            ],
        ),
    ])
}

/// What nothing outside of `src/runtime` may name.
const SEAM_ONLY: &[&[&str]] = &[
    &["tokio", "net"],
    &["tokio", "time"],
    &["tokio", "fs"],
    &["tokio", "task"],
    &["tokio", "spawn"],
    &["tokio", "runtime"],
    &["madsim"],
    &["std", "fs"],
    &["std", "thread"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["rand"],
    &["rustix"],
    &["socket2"],
];

/// What a file that calls itself pure may import.
const PURE_MAY_IMPORT: &[&str] = &["types", "rules", "marks", "record"];

/// The pure parts, and plain data, of modules that are not pure as a whole.
const PURE_PARTS: &[&[&str]] = &[
    &["zookeeper", "codec"],
    &["log", "LogConfig"],
    &["client", "Leader"],
    &["facts", "LeaderAnswer"],
    &["facts", "LeaderRequest"],
    &["facts", "Znode"],
    &["facts", "ZnodeChange"],
    &["facts", "ZnodeWrite"],
    &["facts", "ZnodeWritten"],
];

#[test]
fn modules_import_only_what_the_table_allows() {
    let table = import_table();
    let mut violations = Vec::new();
    for source in sources() {
        let Some(allowed) = table.get(source.module.as_str()) else {
            panic!("{}: module {} is not in the import table", source.path.display(), source.module);
        };
        for imported in source.names.paths.iter().filter_map(|p| crate_module(p)) {
            let free = ["types", "rules", "marks", "facts", source.module.as_str()].contains(&imported);
            if !free && table.contains_key(imported) && !allowed.contains(&imported) {
                violations.push(format!("{} imports {imported}", source.path.display()));
            }
        }
    }
    assert!(violations.is_empty(), "ARCHITECTURE.md forbids:\n{}", violations.join("\n"));
}

#[test]
fn only_the_seam_names_the_machine_or_the_simulator() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|s| s.module != "runtime") {
        for path in &source.names.paths {
            let forbidden =
                SEAM_ONLY.iter().any(|f| path.len() >= f.len() && path.iter().zip(*f).all(|(a, b)| a == b));
            if forbidden {
                violations.push(format!("{} names {}", source.path.display(), path.join("::")));
            }
        }
    }
    assert!(violations.is_empty(), "only src/runtime may:\n{}", violations.join("\n"));
}

/// The simulation asserts the order in which the seam's are taken.
#[test]
fn every_lock_is_the_seams() {
    let sources = sources();
    let product = sources.iter().filter(|source| source.module != "runtime" && !source.is_test);
    let of_std = |source: &&sources::Source| {
        source
            .names
            .paths
            .iter()
            .any(|path| path.ends_with(&["sync".to_owned(), "Mutex".to_owned()]) && path[0] == "std")
    };
    let violations: Vec<String> = product.filter(of_std).map(|s| s.path.display().to_string()).collect();
    assert!(violations.is_empty(), "use runtime::lock in {violations:?}");
}

#[test]
fn pure_files_have_no_effects() {
    let mut violations = Vec::new();
    let mut pure_files = 0;
    for source in sources().iter().filter(|s| s.pure) {
        pure_files += 1;
        if source.names.is_async {
            violations.push(format!("{} is pure and async", source.path.display()));
        }
        for path in &source.names.paths {
            let Some(imported) = crate_module(path) else { continue };
            let is_pure_part = |part: &[&str]| {
                path[1..].iter().map(String::as_str).take(part.len()).eq(part.iter().copied())
            };
            let own = imported == source.module || PURE_PARTS.iter().any(|part| is_pure_part(part));
            if !own && !PURE_MAY_IMPORT.contains(&imported) && import_table().contains_key(imported) {
                violations.push(format!("{} is pure and imports {imported}", source.path.display()));
            }
        }
    }
    assert!(pure_files > 0, "no file says that it is pure");
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_build_is_asked_for_only_in_the_seam() {
    let free = ["runtime", "facts", "marks", "rules", "lib"];
    let violations: Vec<_> = sources()
        .iter()
        .filter(|s| !free.contains(&s.module.as_str()))
        .filter(|s| s.text.contains("feature = \"real-runtime\"") || s.text.contains("cfg(madsim"))
        .filter(|s| !s.path.to_string_lossy().contains("tests"))
        .map(|s| s.path.display().to_string())
        .collect();
    assert!(violations.is_empty(), "domain code asks which build it is in:\n{}", violations.join("\n"));
}

#[test]
fn the_table_refuses_what_it_should() {
    let syntax: syn::File = syn::parse_str(
        "use crate::{broker::Broker, types::Offset}; fn f() { crate::log::open(); tracing::info!(x = crate::registry::y()); }",
    )
    .expect("valid Rust");
    let mut names = Names::default();
    names.visit_file(&syntax);
    let modules: BTreeSet<_> = names.paths.iter().filter_map(|p| crate_module(p)).collect();
    assert_eq!(modules, BTreeSet::from(["broker", "types", "log", "registry"]));
}
