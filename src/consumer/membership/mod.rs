//! Consumer groups: who consumes what, and what the application has finished.
//!
//! Nothing yet: a consumer reads the partitions it is assigned by hand.
