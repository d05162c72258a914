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

#[test]
#[allow(clippy::disallowed_methods)] // Reads the page.
fn every_check_says_on_the_testbeds_page_when_it_is_violated() {
    let page = std::fs::read_to_string(root().join("docs/testbed.md")).unwrap();
    for check in &seedlog_sim::checkers::CHECKS {
        let row = format!("| {} | `{}` | ", check.id, check.slug);
        assert!(page.contains(&row), "docs/testbed.md has no row `{row}`");
    }
}
