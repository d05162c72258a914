//! Days of the calendar, as files write them: `2027-01-31`.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A day; ordered as days follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: u32,
    month: u32,
    day: u32,
}

const SECONDS_PER_DAY: u64 = 86_400;
const FIRST_YEAR: u32 = 1970;

impl Day {
    /// Of the machine's clock, in UTC. A clock before 1970 counts as its first day.
    pub fn today() -> Day {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Day::after_1970((since.as_secs() / SECONDS_PER_DAY) as u32)
    }

    fn after_1970(mut days: u32) -> Day {
        let mut year = FIRST_YEAR;
        while days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_of_month(year, month) {
            days -= days_of_month(year, month);
            month += 1;
        }
        Day { year, month, day: days + 1 }
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u32) -> u32 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Day, String> {
        let wrong = || format!("`{text}` is no day; write it as 2027-01-31");
        let parts: Vec<u32> =
            text.split('-').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let [year, month, day] = parts[..] else { return Err(wrong()) };
        let is_sound = (FIRST_YEAR..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day);
        is_sound.then_some(Day { year, month, day }).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (days, text) in
            [(0, "1970-01-01"), (58, "1970-02-28"), (11_016, "2000-02-29"), (20_850, "2027-02-01")]
        {
            assert_eq!(Day::after_1970(days).to_string(), text);
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        assert!("2028-02-29".parse::<Day>().is_ok());
        for text in ["", "2027-02-29", "2027-13-01", "2027-00-10", "2027-01", "31.01.2027", "1969-12-31"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
        assert!("2027-01-31".parse::<Day>().unwrap() < "2027-02-01".parse::<Day>().unwrap());
    }
}
