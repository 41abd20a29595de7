//! The operating system: the only place with system calls.
//!
//! Everything here is a thin, named piece of Linux with its traps written down. It knows nothing of stores.
#![allow(dead_code)]

pub(crate) mod allocate;
pub(crate) mod barrier;
pub(crate) mod byte_lock;
pub(crate) mod clock;
pub(crate) mod event_fd;
#[cfg(test)]
pub(crate) mod faults;
pub(crate) mod file;
pub(crate) mod file_system;
pub(crate) mod fork;
#[cfg(not(all(loom, test)))]
pub(crate) mod futex;
pub(crate) mod identity;
pub(crate) mod mapping;
pub(crate) mod page;
pub(crate) mod robust;
pub(crate) mod signals;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod thread;
pub(crate) mod userdir;
pub(crate) mod wipe_page;

#[cfg(all(loom, test))]
pub(crate) use crate::models::futex;
