//! Variable-length integers (stub).
