//! What the store promises, over the `memory` driver. Each test owns its world.

mod errors;
mod exclusive;
mod garbage;
mod integers;
mod lifetimes;
mod listings;
mod opening;
mod properties;
mod transactions;
mod updates;
mod values;
mod watches;

/// A store of nobody else.
fn store() -> shmsync::Sync {
    shmsync::Sync::open("memory:").unwrap()
}

/// The kind of error that this ended with.
fn kind<T: std::fmt::Debug>(result: shmsync::Result<T>) -> shmsync::ErrorKind {
    result.unwrap_err().kind()
}
