//! One direction, step by step.
