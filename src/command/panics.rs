//! What the `seedlog` command does about a panic: the log says where and why, and the process ends.
//!
//! A task that is gone while the rest goes on is the worst of outcomes: a partition is led by nobody, and
//! everything looks well. The build profile stays as it is, because the simulator catches panics.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, set_hook};

/// From here on a panic on any thread ends the process by SIGABRT (exit code 134 at a shell), after an error line
/// `panicked` on standard error. `RUST_BACKTRACE=1` adds where it came from.
pub fn abort_on_panic() {
    set_hook(Box::new(|panic| {
        state(panic);
        std::process::abort();
    }));
}

fn state(panic: &PanicHookInfo<'_>) {
    let reason = text(panic.payload());
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(place, reason, %backtrace, "panicked"),
        _ => tracing::error!(place, reason, "panicked"),
    }
}

/// What `panic!` was given.
fn text(payload: &(dyn Any + Send)) -> &str {
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("not a text")
}
