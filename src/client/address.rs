//! `host:port` as people write it. Looking hosts up is the seam's.

/// Splits `host:port`; an IPv6 address stands in brackets. `None` if there is no valid port.
pub(super) fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some((host, port.parse().ok()?))
}

/// Joins what a broker advertises.
pub(super) fn join(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_both_kinds_of_addresses_split_and_join() {
        assert_eq!(split("broker-1:9092"), Some(("broker-1", 9092)));
        assert_eq!(split("10.0.0.1:1"), Some(("10.0.0.1", 1)));
        assert_eq!(split(&join("::1", 9092)), Some(("::1", 9092)));
        assert_eq!(join("broker-1", 9092), "broker-1:9092");
    }

    #[test]
    fn what_has_no_port_is_refused() {
        for address in ["broker", "broker:", ":9092", "broker:99999", ""] {
            assert_eq!(split(address), None, "{address}");
        }
    }
}
