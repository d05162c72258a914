//! The half of the seam that this build has, as a place where programs run.

#[cfg(not(feature = "real-runtime"))]
mod simulated;
#[cfg(not(feature = "real-runtime"))]
pub use simulated::*;

#[cfg(feature = "real-runtime")]
mod machine;
#[cfg(feature = "real-runtime")]
pub use machine::*;
