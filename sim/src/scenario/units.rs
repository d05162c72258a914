//! Quantities as people write them: `250ms`, `4s`, `2m`, `20/s`.

use std::time::Duration;

/// A time of up to a day.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write it as `250ms`, `4s` or `2m`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    millis.filter(|&ms| ms <= 86_400_000).map(Duration::from_millis).ok_or_else(wrong)
}

/// A time as [`duration`] reads it.
pub fn written(time: Duration) -> String {
    match time.as_millis() {
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}

/// A rate, as the time between two: `20/s` is 50 ms.
pub fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no rate; write it as `20/s` (1 to 1000 a second)");
    let per_second: u64 = text.strip_suffix("/s").and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    if !(1..=1000).contains(&per_second) {
        return Err(wrong());
    }
    Ok(Duration::from_micros(1_000_000 / per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_read_as_written() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("4s"), Ok(Duration::from_secs(4)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(written(Duration::from_millis(250)), "250ms");
        assert_eq!(written(Duration::from_secs(120)), "120s");
        assert_eq!(interval("20/s"), Ok(Duration::from_millis(50)));
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_an_example() {
        for text in ["4", "s", "-1s", "4h", "99999999999999999999s", "2000m", ""] {
            assert!(duration(text).unwrap_err().contains("`4s`"), "{text}");
        }
        for text in ["20", "0/s", "2000/s", "x/s"] {
            assert!(interval(text).unwrap_err().contains("`20/s`"), "{text}");
        }
    }
}
