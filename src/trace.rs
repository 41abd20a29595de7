//! Events for the feature `tracing`: the rare moments that an operator wants to know of.
//!
//! Targets: `shmsync::recover`, `shmsync::owner_died`, `shmsync::grow`, `shmsync::full`, `shmsync::attach`.

use std::{path::Path, time::Duration};

/// Emits; without the feature nothing is even made to be emitted.
macro_rules! event {
    ($level:ident, $target:literal, $message:literal, $($field:ident = $value:expr),*) => {{
        #[cfg(feature = "tracing")]
        tracing::$level!(target: $target, $($field = $value),*, $message);
        #[cfg(not(feature = "tracing"))]
        let _ = || {
            $(let _ = $value;)*
        };
    }};
}

/// Somebody's unfinished work was finished or undone.
pub(crate) fn recover(path: &Path, part: u32, pid: u32, took: Duration) {
    event!(
        info,
        "shmsync::recover",
        "finished the work of a dead process",
        store = path.display().to_string(),
        part = part,
        pid = pid,
        took_ns = took.as_nanos() as u64
    );
}

/// A participant was found dead while something waited for it.
pub(crate) fn owner_died(path: &Path, pid: u32, waited: Duration) {
    event!(
        info,
        "shmsync::owner_died",
        "an owner is dead",
        store = path.display().to_string(),
        pid = pid,
        waited_ns = waited.as_nanos() as u64
    );
}

/// The file became longer.
pub(crate) fn grow(path: &Path, pid: u32, bytes: u64, took: Duration) {
    event!(
        debug,
        "shmsync::grow",
        "the store grew",
        store = path.display().to_string(),
        pid = pid,
        bytes = bytes,
        took_ns = took.as_nanos() as u64
    );
}

/// A change found no room, even after all that rested was freed.
pub(crate) fn full(path: &Path, key: &[u8], took: Duration) {
    event!(
        warn,
        "shmsync::full",
        "no room is left",
        store = path.display().to_string(),
        key = String::from_utf8_lossy(key).into_owned(),
        took_ns = took.as_nanos() as u64
    );
}

/// This process opened a store.
pub(crate) fn attach(path: &Path, pid: u32, took: Duration) {
    event!(
        debug,
        "shmsync::attach",
        "attached",
        store = path.display().to_string(),
        pid = pid,
        took_ns = took.as_nanos() as u64
    );
}
