//! Membership without a master: every member watches the registries and decides for itself (P20 to P25).
//!
//! `assign` and `member` are pure; `shell` and `perform` do what they decide, `commits` writes what is finished,
//! `delivery_gate` holds records back once ZooKeeper was not heard for too long.

mod assign;
mod commits;
mod delivery_gate;
mod member;
mod perform;
mod shell;

pub(super) use shell::{Command, Shell, Subscribed};
