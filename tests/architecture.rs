//! Holds the code to ARCHITECTURE.md: who may import whom, what only the seam may name, what "pure" means,
//! and how long a file may grow.
#![allow(clippy::disallowed_methods)] // Reads the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

const LINES_MAX: usize = 500;

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

struct Source {
    path: PathBuf,
    module: String,
    text: String,
    names: Names,
    pure: bool,
}

/// Every path of a file, `use` trees expanded, and the paths inside macro calls.
#[derive(Default)]
struct Names {
    paths: BTreeSet<Vec<String>>,
    is_async: bool,
}

impl Names {
    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.use_tree(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(item, prefix)),
            syn::UseTree::Name(name) => self.insert(prefix, &name.ident.to_string()),
            syn::UseTree::Rename(rename) => self.insert(prefix, &rename.ident.to_string()),
            syn::UseTree::Glob(_) => self.insert(prefix, "*"),
        }
    }

    fn insert(&mut self, prefix: &[String], last: &str) {
        let mut path = prefix.to_vec();
        path.push(last.to_owned());
        self.paths.insert(path);
    }

    /// Paths in a macro's tokens: identifiers joined by `::`.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.finish(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                proc_macro2::TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                proc_macro2::TokenTree::Group(group) => {
                    self.finish(&mut path);
                    self.tokens(group.stream());
                }
                _ => {
                    self.finish(&mut path);
                    colons = 0;
                }
            }
        }
        self.finish(&mut path);
    }

    fn finish(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.paths.insert(std::mem::take(path));
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|s| s.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.is_async |= signature.asyncness.is_some();
        syn::visit::visit_signature(self, signature);
    }

    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        self.is_async = true;
        syn::visit::visit_expr_await(self, expr);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }

    /// Test code may use what it likes; the table is about the product.
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|a| {
            a.path().is_ident("cfg") && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test"))
        });
        if !is_test {
            syn::visit::visit_item_mod(self, item);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files.sort();
    assert!(files.len() > 20, "the sources were not found");
    files.into_iter().map(|path| read_source(&root, path)).collect()
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of sources") {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn read_source(root: &Path, path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).expect("a readable source");
    let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let relative = path.strip_prefix(root).expect("below src").to_owned();
    let first = relative.components().next().expect("a file name").as_os_str().to_string_lossy().into_owned();
    let module = match first.trim_end_matches(".rs") {
        "main" => "command".to_owned(),
        other => other.to_owned(),
    };
    let is_test_file = relative.components().any(|c| {
        let name = c.as_os_str().to_string_lossy();
        name == "tests" || name == "tests.rs" || name.ends_with("_tests.rs")
    });
    let mut names = Names::default();
    if !is_test_file {
        names.visit_file(&syntax);
    }
    let pure =
        text.lines().take_while(|l| l.starts_with("//!")).any(|l| l.contains("Pure:") || l.contains("Pure."));
    Source { path: relative, module, text, names, pure }
}

fn crate_module(path: &[String]) -> Option<&str> {
    match path {
        [first, second, ..] if first == "crate" || first == "seedlog" => Some(second),
        _ => None,
    }
}

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
            // The one pure part of a module that is not pure as a whole.
            let own =
                imported == source.module || path[1..].starts_with(&["zookeeper".into(), "codec".into()]);
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
fn files_stay_short() {
    let long: Vec<_> = sources()
        .iter()
        .filter(|s| s.text.lines().count() > LINES_MAX)
        .map(|s| format!("{}: {} lines", s.path.display(), s.text.lines().count()))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LINES_MAX} lines, split on a noun of the domain:\n{}",
        long.join("\n")
    );
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
