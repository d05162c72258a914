//! The seam in simulation: scheduler, clock, randomness and node lifecycle are madsim's; network and disk are
//! plugins of our own, because madsim's are too friendly to find bugs.
//!
//! Domain code uses `buggify`, `clock`, `disk`, `net`, `process`, `rng`, `task`. The testbed alone uses `world`
//! (nodes and their lives), `trace` (the hash that names a run), and the controls of the plugins.

pub mod buggify;
mod calling;
mod calls;
pub mod clock;
pub mod disk;
pub mod effects;
pub mod identity;
pub mod lock;
pub mod met;
pub mod net;
pub mod process;
pub mod rng;
pub mod task;
mod time;
pub mod trace;
pub mod world;
