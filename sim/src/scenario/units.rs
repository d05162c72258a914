//! Quantities as people write them: `250ms`, `4s`, `2m`, `20/s`, `256KiB`, `64KiB/s`.

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

/// Units of bytes, the largest first.
const BYTE_UNITS: [(&str, u64); 3] = [("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// The largest number of bytes that anybody may ask for.
const BYTES_MAX: u64 = 1 << 30;

/// A number of bytes: at least one, at most a GiB.
pub fn bytes(text: &str) -> Result<u64, String> {
    read_bytes(text)
        .ok_or_else(|| format!("`{text}` is no number of bytes; write it as `500B`, `64KiB` or `1MiB`"))
}

fn read_bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, of_unit) = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?;
    let bytes = number.parse::<u64>().ok()?.checked_mul(*of_unit)?;
    (1..=BYTES_MAX).contains(&bytes).then_some(bytes)
}

/// Bytes as [`bytes()`] reads them.
pub fn written_bytes(bytes: u64) -> String {
    let (unit, of_unit) =
        BYTE_UNITS.iter().find(|(_, of_unit)| bytes.is_multiple_of(*of_unit)).expect("1 divides all");
    format!("{}{unit}", bytes / of_unit)
}

/// Bytes a second.
pub fn bandwidth(text: &str) -> Result<u64, String> {
    let bytes = text.strip_suffix("/s").and_then(read_bytes);
    bytes.ok_or_else(|| format!("`{text}` is no bandwidth; write it as `500B/s`, `64KiB/s` or `1MiB/s`"))
}

/// Bytes a second as [`bandwidth`] reads them.
pub fn written_bandwidth(bytes_per_second: u64) -> String {
    format!("{}/s", written_bytes(bytes_per_second))
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
        for (text, number) in [("500B", 500), ("64KiB", 65_536), ("3MiB", 3 << 20), ("1025B", 1025)] {
            assert_eq!(bytes(text), Ok(number));
            assert_eq!(written_bytes(number), text);
            assert_eq!(bandwidth(&written_bandwidth(number)), Ok(number));
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_an_example() {
        for text in ["4", "s", "-1s", "4h", "99999999999999999999s", "2000m", ""] {
            assert!(duration(text).unwrap_err().contains("`4s`"), "{text}");
        }
        for text in ["4", "KiB", "0B", "-1B", "4kb", "2000MiB", "99999999999999999999B", "1KiB/m", ""] {
            assert!(bytes(text).unwrap_err().contains("`64KiB`"), "{text}");
            assert!(bandwidth(text).unwrap_err().contains("`64KiB/s`"), "{text}");
        }
        for text in ["20", "0/s", "2000/s", "x/s"] {
            assert!(interval(text).unwrap_err().contains("`20/s`"), "{text}");
        }
    }
}
