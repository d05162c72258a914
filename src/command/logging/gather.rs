//! Gathers warnings that repeat, so that a fault which lasts does not fill the disk with one line.
//!
//! Pure: warnings and the time in, lines to write out. Of the warnings of one place in the code, within
//! [`WINDOW`], each text is written once, and at most [`TEXTS_MAX`] texts. The rest is counted, and its last line
//! is written at the end of the window, with `repeated=N`. Memory is bounded by the number of places.

use std::time::Duration;

use seedlog::types::Instant;

use super::line::Line;

/// How long warnings of one place are gathered.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Different texts of one place that are written within a window.
pub const TEXTS_MAX: usize = 20;

/// What was held back, in the order in which the windows began.
pub struct Gathered<P> {
    windows: Vec<Window<P>>,
}

/// The warnings of one place in the code, from the first on.
struct Window<P> {
    place: P,
    since: Instant,
    written: Vec<String>,
    held_back: u64,
    /// The last one that was held back.
    last: Option<Line>,
}

impl<P> Default for Gathered<P> {
    fn default() -> Gathered<P> {
        Gathered { windows: Vec::new() }
    }
}

impl<P: PartialEq> Gathered<P> {
    /// A warning: the lines to write now.
    pub fn take(&mut self, place: P, line: Line, now: Instant) -> Vec<String> {
        let mut lines = self.take_due(now);
        let window = self.window(place, now);
        if window.written.contains(&line.body) || window.written.len() >= TEXTS_MAX {
            window.held_back += 1;
            window.last = Some(line);
        } else {
            lines.push(line.text());
            window.written.push(line.body);
        }
        lines
    }

    fn window(&mut self, place: P, now: Instant) -> &mut Window<P> {
        let index = self.windows.iter().position(|window| window.place == place).unwrap_or_else(|| {
            self.windows.push(Window { place, since: now, written: Vec::new(), held_back: 0, last: None });
            self.windows.len() - 1
        });
        &mut self.windows[index]
    }

    /// The lines of windows that have ended.
    pub fn take_due(&mut self, now: Instant) -> Vec<String> {
        let is_due = |window: &mut Window<P>| now.saturating_since(window.since) >= WINDOW;
        self.windows.extract_if(.., is_due).filter_map(|window| window.summary(now)).collect()
    }

    /// The lines of all windows.
    pub fn take_all(&mut self, now: Instant) -> Vec<String> {
        self.windows.drain(..).filter_map(|window| window.summary(now)).collect()
    }
}

impl<P> Window<P> {
    /// What was not written, as one line.
    fn summary(&self, now: Instant) -> Option<String> {
        let seconds = now.saturating_since(self.since).as_secs();
        self.last.as_ref().map(|line| line.repeated(self.held_back, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn line(text: &str) -> Line {
        Line { head: "level=warn ".to_owned(), body: text.to_owned() }
    }

    #[test]
    fn a_warning_that_repeats_is_written_once_and_counted() {
        let mut gathered = Gathered::default();

        assert_eq!(gathered.take(1, line("event=slow"), at(0)), ["level=warn event=slow\n"]);
        for second in 1..9 {
            assert!(gathered.take(1, line("event=slow"), at(second)).is_empty());
        }
        assert!(gathered.take_due(at(9)).is_empty());

        assert_eq!(gathered.take_due(at(10)), ["level=warn event=slow repeated=8 within_s=10\n"]);
        assert_eq!(gathered.take(1, line("event=slow"), at(11)), ["level=warn event=slow\n"]);
        assert!(gathered.take_due(at(60)).is_empty(), "nothing was held back");
    }

    #[test]
    fn one_place_writes_a_bounded_number_of_texts_within_a_window() {
        let mut gathered = Gathered::default();
        let flood = 5 * TEXTS_MAX;

        let written =
            (0..flood).flat_map(|i| gathered.take(1, line(&format!("event=refused peer={i}")), at(0)));

        assert_eq!(written.count(), TEXTS_MAX);
        let summary = format!(
            "level=warn event=refused peer={} repeated={} within_s=3\n",
            flood - 1,
            flood - TEXTS_MAX
        );
        assert_eq!(gathered.take_all(at(3)), [summary]);
    }

    #[test]
    fn places_do_not_hide_each_other() {
        let mut gathered = Gathered::default();

        assert_eq!(gathered.take(1, line("event=a"), at(0)).len(), 1);
        assert_eq!(gathered.take(2, line("event=a"), at(0)).len(), 1);
        assert_eq!(gathered.take(1, line("event=b"), at(0)).len(), 1);
    }
}
