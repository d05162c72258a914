//! Pure: delta debugging over a list (Zeller's ddmin), asked in rounds so that a round can be run in parallel.

/// As few as these are tried one by one at once: halves would take as many runs.
const ONE_BY_ONE_MAX: usize = 8;

/// The items without which the failure is gone, in their order: no single one of them can be left out, as long
/// as `first_failing` answers in time. It says which of some lists is the first that still fails.
pub fn minimise<T: Clone, E>(
    mut items: Vec<T>,
    mut first_failing: impl FnMut(&[Vec<T>]) -> Result<Option<usize>, E>,
) -> Result<Vec<T>, E> {
    if items.is_empty() {
        return Ok(items);
    }
    // Some failures need nothing.
    if first_failing(&[Vec::new()])?.is_some() {
        return Ok(Vec::new());
    }
    let mut parts = parts_of(&items);
    while items.len() > 1 {
        let mut lists = chunks(&items, parts);
        let complements = (0..lists.len()).map(|left_out| {
            let kept = lists.iter().enumerate().filter(|(at, _)| *at != left_out);
            kept.flat_map(|(_, chunk)| chunk.clone()).collect::<Vec<T>>()
        });
        let complements: Vec<Vec<T>> = if lists.len() > 2 { complements.collect() } else { Vec::new() };
        let subsets = lists.len();
        lists.extend(complements);
        match first_failing(&lists)? {
            Some(at) => {
                items = lists.swap_remove(at);
                parts = if at < subsets { parts_of(&items) } else { (parts - 1).max(2) };
            }
            None if parts >= items.len() => break,
            None => parts = (parts * 2).min(items.len()),
        }
    }
    Ok(items)
}

/// How many parts to begin with.
fn parts_of<T>(items: &[T]) -> usize {
    if items.len() <= ONE_BY_ONE_MAX { items.len() } else { 2 }
}

/// Cuts into `parts` lists of nearly equal length.
fn chunks<T: Clone>(items: &[T], parts: usize) -> Vec<Vec<T>> {
    let parts = parts.clamp(1, items.len());
    (0..parts)
        .map(|part| items[part * items.len() / parts..(part + 1) * items.len() / parts].to_vec())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn minimised(count: u32, fails: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
        let mut asked = 0;
        let found = minimise((0..count).collect(), |lists| {
            asked += lists.len();
            Ok::<_, Infallible>(lists.iter().position(|list| fails(list)))
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn nothing_is_found_at_once_and_one_thing_of_many_in_few_rounds() {
        assert_eq!(minimised(80, |_| true), (Vec::new(), 1));
        let (found, asked) = minimised(80, |list| list.contains(&17));
        assert_eq!(found, [17]);
        assert!(asked < 30, "{asked}");
    }

    #[test]
    fn what_never_fails_in_part_stays_whole() {
        assert_eq!(minimised(5, |list| list.len() == 5).0.len(), 5);
    }

    proptest! {
        #[test]
        fn exactly_the_needed_items_are_left(needed in prop::collection::btree_set(0_u32..30, 0..5)) {
            let (found, asked) = minimised(30, |list| needed.iter().all(|item| list.contains(item)));
            prop_assert_eq!(found, needed.into_iter().collect::<Vec<_>>());
            prop_assert!(asked < 500, "{}", asked);
        }
    }
}
