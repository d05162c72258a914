//! Snappy with the Java client's framing (stub).
