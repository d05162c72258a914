//! The generated parts of docs/ are what the code says.

use seedlog_sim::codes::pages;
use seedlog_sim::workspace::root;

#[test]
#[allow(clippy::disallowed_methods)] // Reads the pages.
fn the_generated_parts_are_up_to_date() {
    for (path, text) in pages::all(root()).unwrap() {
        let there = std::fs::read_to_string(&path).unwrap();
        let differs = there.lines().zip(text.lines()).find(|(old, new)| old != new);
        assert!(there == text, "{}: `cargo sim docs --write`; first: {differs:?}", path.display());
    }
}
