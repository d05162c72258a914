//! Reads the sources: every file of `src/` with the paths that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

pub struct Source {
    /// From `src`.
    pub path: PathBuf,
    /// The module of the first level.
    pub module: String,
    /// The whole path of modules.
    pub modules: Vec<String>,
    pub text: String,
    pub names: Names,
    pub pure: bool,
    pub is_test: bool,
}

/// Every path of a file, `use` trees expanded, and the paths inside macro calls.
#[derive(Default)]
pub struct Names {
    pub paths: BTreeSet<Vec<String>>,
    pub is_async: bool,
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

pub fn sources() -> Vec<Source> {
    let root = root().join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files.sort();
    assert!(files.len() > 20, "the sources were not found");
    files.into_iter().map(|path| read_source(&root, path)).collect()
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
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
    Source { modules: modules(&relative), path: relative, module, text, names, pure, is_test: is_test_file }
}

/// `broker/server/mod.rs` is `broker`, `server`.
fn modules(relative: &Path) -> Vec<String> {
    let path = relative.with_extension("");
    let mut modules: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if modules.last().is_some_and(|last| last == "mod") {
        modules.pop();
    }
    modules
}

pub fn crate_module(path: &[String]) -> Option<&str> {
    match path {
        [first, second, ..] if first == "crate" || first == "seedlog" => Some(second),
        _ => None,
    }
}
