//! Membership without a master: every member watches the registries and decides for itself (P20 to P25).
//!
//! `assign` and `member` are pure; `shell` and `perform` do what they decide, `commits` writes what is finished, `pulse`
//! watches over how long ZooKeeper has been unheard.

mod assign;
mod commits;
mod member;
mod perform;
mod pulse;
mod shell;

pub(super) use shell::{Command, Shell, Subscribed};
