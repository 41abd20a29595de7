//! Atomics, fences and pauses for everything that touches a region.
//!
//! They are those of the standard library; when the crate's own tests are built with `--cfg loom`, they are doubles that a
//! model checker schedules, so that what it checks is the code that runs.

#[cfg(all(loom, test))]
pub(crate) use crate::models::atomics::{AtomicU32, AtomicU64, fence, sleep, spin_loop, yield_now};
#[cfg(not(all(loom, test)))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, AtomicU64, fence},
    thread::{sleep, yield_now},
};

/// Whether a model checker runs this: then what is only a matter of speed is left out, and what can be small is small.
pub(crate) const MODELLED: bool = cfg!(all(loom, test));
