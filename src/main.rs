//! The `seedlog` command.

fn main() {}
