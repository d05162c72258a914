//! The second level: inside of a module its children form an order, no circle.
//!
//! A child is a file or folder beside others. What stands in the parent's own `mod.rs` belongs to nobody: it puts
//! the children together.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Source, sources};

type Edges = BTreeSet<(String, String)>;

/// Circles that are still there, by family. None may be added; one that was opened is taken off the list.
const CIRCLES: &[(&str, &[&str])] = &[
    ("broker", &["core", "server", "topics"]),
    // The simulated machine is one thing in several files.
    ("runtime::sim", &["disk", "net", "world"]),
    ("runtime::sim::disk", &["crash", "data"]),
    ("runtime::sim::net", &["conns", "dial", "flow", "kernel", "messages", "timer"]),
];

/// Edges that are allowed inside of a family, written as `child: what it may name`.
const TABLES: &[(&str, &[&str])] = &[
    (
        "broker",
        &[
            "assignment: metadata replicas",
            "core: config data_dir departure descriptors failure flusher group_lag metadata metrics replicas server shortage supervision",
            "data_dir: checked_file",
            "exposition: core gauges metrics partition",
            "flusher: failure metrics partition purgatory",
            "gauges: core replicas",
            "group_lag_reader: core group_lag partition",
            "health: core replicas",
            "http: core exposition",
            "membership: assignment config core data_dir descriptors metadata partition replicas start_error",
            "partition: descriptors metrics purgatory",
            "replicas: partition",
            "server: config core metadata partition purgatory replicas topics",
            "start_error: data_dir descriptors",
            "topics: config core",
        ],
    ),
    (
        "consumer",
        &[
            "fetcher: chunk partition positions shared",
            "membership: fetcher lease partition positions shared",
            "opened_batch: chunk",
            "partition: chunk lease opened_batch",
            "positions: chunk lease partition",
            "shared: chunk config lease partition positions",
        ],
    ),
    ("runtime", &["real: disk_types living pace random", "sim: disk_types living pace random"]),
];

/// The absolute path of modules that a path in `source` begins with; `None` for foreign ones.
fn absolute(source: &Source, path: &[String]) -> Option<Vec<String>> {
    let (mut base, mut rest) = match path.first()?.as_str() {
        "crate" | "seedlog" => (Vec::new(), &path[1..]),
        "super" => (parent(&source.modules)?, &path[1..]),
        "self" => (source.modules.clone(), &path[1..]),
        _ => return None,
    };
    while rest.first().is_some_and(|first| first == "super") {
        base = parent(&base)?;
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

fn parent(modules: &[String]) -> Option<Vec<String>> {
    let (_, parent) = modules.split_last()?;
    Some(parent.to_vec())
}

/// Who names whom among the children of each family, by the family's path.
fn families(sources: &[Source]) -> BTreeMap<String, Edges> {
    let modules: BTreeSet<&[String]> = sources.iter().map(|source| source.modules.as_slice()).collect();
    let mut families: BTreeMap<String, Edges> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        for path in &source.names.paths {
            let Some(target) = absolute(source, path) else { continue };
            let shared = source.modules.iter().zip(&target).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (source.modules.get(shared), target.get(shared)) else { continue };
            if modules.contains(&target[..=shared]) {
                let family = source.modules[..shared].join("::");
                families.entry(family).or_default().insert((from.clone(), to.clone()));
            }
        }
    }
    families
}

/// Everyone who can be reached from himself.
fn in_circles(edges: &Edges) -> BTreeSet<&str> {
    let reachable = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next = vec![from];
        while let Some(node) = next.pop() {
            for (_, to) in edges.iter().filter(|(a, _)| a == node) {
                if seen.insert(to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let nodes: BTreeSet<&str> = edges.iter().map(|(from, _)| from.as_str()).collect();
    nodes.into_iter().filter(|node| reachable(node).contains(node)).collect()
}

fn table(family: &str) -> Option<Edges> {
    let (_, lines) = TABLES.iter().find(|(name, _)| *name == family)?;
    let edges = lines.iter().flat_map(|line| {
        let (from, to) = line.split_once(':').expect("`child: what it may name`");
        to.split_whitespace().map(move |to| (from.to_owned(), to.to_owned()))
    });
    Some(edges.collect())
}

#[test]
fn the_children_of_a_module_form_no_circle() {
    let mut wrong = Vec::new();
    for (family, edges) in families(&sources()) {
        let known = CIRCLES.iter().find(|(name, _)| *name == family).map_or(&[][..], |(_, known)| known);
        let known: BTreeSet<&str> = known.iter().copied().collect();
        let found = in_circles(&edges);
        let new: Vec<_> = found.difference(&known).collect();
        let opened: Vec<_> = known.difference(&found).collect();
        if !new.is_empty() {
            let among: Vec<String> = edges
                .iter()
                .filter(|(from, to)| found.contains(from.as_str()) && found.contains(to.as_str()))
                .map(|(from, to)| format!("{from} -> {to}"))
                .collect();
            wrong.push(format!("{family}: {new:?} name each other in a circle: {}", among.join(", ")));
        }
        if !opened.is_empty() {
            wrong.push(format!("{family}: {opened:?} are in no circle any more; take them off the list"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn inside_of_a_module_only_the_edges_of_its_table_are_there() {
    let families = families(&sources());
    let mut wrong = Vec::new();
    for (family, _) in TABLES {
        let (allowed, found) = (table(family).expect("it is listed"), families.get(*family).cloned());
        let found = found.unwrap_or_default();
        let tell = |edges: Vec<&(String, String)>| {
            edges.into_iter().map(|(a, b)| format!("{a} -> {b}")).collect::<Vec<_>>().join(", ")
        };
        let (new, gone) =
            (tell(found.difference(&allowed).collect()), tell(allowed.difference(&found).collect()));
        if !new.is_empty() {
            wrong.push(format!("{family}: not in the table: {new}"));
        }
        if !gone.is_empty() {
            wrong.push(format!("{family}: in the table and not in the code: {gone}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_seen_however_long_it_is() {
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let edges = Edges::from([edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("d", "a")]);
    assert_eq!(in_circles(&edges), BTreeSet::from(["a", "b", "c"]));
    assert_eq!(in_circles(&Edges::from([edge("a", "b"), edge("d", "a")])), BTreeSet::new());
}
