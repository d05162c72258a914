//! Words of a line, and the known word that a misspelt one may have been meant for.

use std::ops::Range;

/// Splits at separators that stand outside of parentheses; drops what is empty.
pub fn split_outside_parentheses(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<&str> {
    ranges_outside_parentheses(text, is_separator).into_iter().map(|range| text[range].trim()).collect()
}

fn ranges_outside_parentheses(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<Range<usize>> {
    let (mut depth, mut start, mut ranges) = (0_u32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 && is_separator(c) => {
                ranges.push(start..at);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    ranges.push(start..text.len());
    ranges.retain(|range| !text[range.clone()].trim().is_empty());
    ranges
}

/// The words of a step: blanks separate them, but not inside of parentheses, nor after a comma.
pub fn of_step(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in split_outside_parentheses(text, char::is_whitespace) {
        match words.last_mut() {
            Some(last) if last.ends_with(',') || word.starts_with(',') => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// The known word nearest to `text`, if one is near enough to have been meant.
pub fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips_max = (text.chars().count() / 3).clamp(1, 4);
    let near = known.map(|word| (distance(text, word), word)).filter(|(slips, _)| *slips <= slips_max);
    near.min().map(|(_, word)| word)
}

/// `; did you mean ...?` where a known word is near, else nothing.
pub fn did_you_mean<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(text, known).map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}

/// How many letters must be changed, added, left out or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_inside_of_parentheses_separate_nothing() {
        assert_eq!(
            of_step("kill owner(billing, orders-0) for 3s"),
            ["kill", "owner(billing, orders-0)", "for", "3s"]
        );
        assert_eq!(of_step("kill broker(1), shop for 3s"), ["kill", "broker(1),shop", "for", "3s"]);
    }

    #[test]
    fn the_nearest_word_is_one_that_may_have_been_meant() {
        let known = ["broker", "brokers", "topics", "kill"];
        let nearest = |text| nearest(text, known.into_iter());
        assert_eq!(nearest("borker"), Some("broker"));
        assert_eq!(nearest("topic"), Some("topics"));
        assert_eq!(nearest("kil"), Some("kill"));
        assert_eq!(nearest("producer"), None);
    }
}
