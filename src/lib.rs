//! A shared-memory synchronized object store: typed values that all processes of one machine see at once, at about the
//! cost of a map inside the process, and that survive anybody's death.
//!
//! [`Sync`] is the handle. It opens a store by its name, and each process that opens that name, forked or started on its
//! own, shares the same values. There is no server.
//!
//! ```
//! use std::{collections::BTreeMap, time::Duration};
//!
//! use shmsync::{Lifetime, Sync};
//!
//! # fn main() -> shmsync::Result<()> {
//! let store = Sync::open("memory:")?; // "progress" would be shared memory, "./progress" a file
//!
//! store.set("host/a", "running")?; // anything that serde can write
//! store.set_with("host/b", "starting", Lifetime::Ttl(Duration::from_secs(60)))?;
//! let ticket = store.integer("tickets").increment(1)?; // each caller gets a number of its own
//! store.transaction(|tx| {
//!     tx.set("host/a", "done")?;
//!     tx.increment("done", 1) // both or neither
//! })?;
//!
//! let hosts: BTreeMap<String, String> = store.read_all("host/")?; // of one moment
//! assert_eq!((ticket, hosts["host/a"].as_str(), hosts.len()), (1, "done", 2));
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | opening, and with which limits and rights | [`Sync::open`], [`Sync::options`], [`Options`] |
//! | values | [`Sync::get`], [`Sync::set`], [`Sync::set_with`], [`Sync::remove`], [`Sync::compare_and_set`] |
//! | counters | [`Sync::integer`], [`Integer`] |
//! | read, compute, write back | [`Sync::update`], [`Sync::transaction`], [`Sync::get_or_insert_with`] |
//! | many at once | [`Sync::keys`], [`Sync::iter`], [`Sync::read_all`], [`Sync::replace_all`], [`Sync::namespace`] |
//! | being told of changes | [`Sync::watch`], [`Sync::watch_prefix`], [`Watch`] |
//! | locks, semaphores, leaders | [`Sync::lock`], [`Lock`], [`LockGuard`], [`Sync::semaphore`], [`Sync::leader`], [`Leadership`], [`Sync::locks`] |
//! | having the store for oneself | [`Sync::exclusive`], [`Exclusive`] |
//! | errors and what to do about each | [`ErrorKind`], [the table](_documentation::errors) |
//! | looking after a store | [`Sync::stats`], [`Sync::participants`], [`Sync::verify`], [`Sync::flush`] |
//! | a driver of one's own | [`driver`], and `conformance` with that feature |
//! | how it works | [design](_documentation::design), [format](_documentation::format), [coordination](_documentation::coordination), [drivers](_documentation::drivers) |
//!
//! # Crash safety
//!
//! A process may die at any instruction: no other hangs, nobody reads a torn or uncommitted value, no acknowledged write is
//! lost, nothing leaks. Calls that change something have a section of this name which says what others see then.
//!
//! # Platforms
//!
//! Shared memory needs 64-bit Linux; from 5.16 on waiting is woken fastest (`futex_waitv`). Elsewhere the crate
//! compiles, `memory:` and `etcd://` work, and names of shared memory give [`Unsupported`](ErrorKind::Unsupported).
//!
//! # Features
//!
//! - `tracing`: emits events for rare moments (targets `shmsync::recover`, `shmsync::owner_died`, `shmsync::grow`,
//!   `shmsync::full`, `shmsync::attach`).
//! - `conformance`: the suite that every driver must pass, for authors of drivers.
//! - `etcd`: names `etcd://…`, see [drivers](_documentation::drivers). Needs `protoc` to build (Debian:
//!   protobuf-compiler, libprotobuf-dev), as its client does, and has a thread with a runtime of its own inside.
//!
//! None is on by default, and none asks its user for an async runtime.
#![deny(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod coord;
pub mod driver;
mod error;
mod store;

#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable))),
    allow(dead_code, reason = "most lines of defence are those of regions")
)]
mod broken;
#[cfg(all(loom, test))]
mod models;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod primitive;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod region;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod storage;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod sys;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod trace;

/// The number of the format that regions have; a store of another one is refused with `Version`.
pub const FORMAT: u32 = 1;

/// The long texts, compiled in, so that what they show is tested and what they link to exists.
pub mod _documentation {
    #[doc = "[format]: crate::_documentation::format\n[coordination]: crate::_documentation::coordination\n[drivers]: crate::_documentation::drivers\n\n"]
    #[doc = include_str!("../docs/design.md")]
    pub mod design {}

    #[doc = "[coordination]: crate::_documentation::coordination\n\n"]
    #[doc = include_str!("../docs/format.md")]
    pub mod format {}

    #[doc = include_str!("../docs/coordination.md")]
    pub mod coordination {}

    #[doc = include_str!("../docs/drivers.md")]
    pub mod drivers {}

    #[doc = include_str!("../docs/errors.md")]
    pub mod errors {}

    #[doc = "[reliability]: https://docs.rs/crate/shmsync/latest/source/docs/reliability.md\n\n"]
    #[doc = include_str!("../docs/security.md")]
    pub mod security {}

    #[doc = "[format]: crate::_documentation::format\n\n"]
    #[doc = include_str!("../CHANGELOG.md")]
    pub mod changelog {}
}

/// Tests the examples of the README.
#[cfg(all(doctest, target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub use coord::{
    Candidate, Follow, Leader, Leadership, Lock, LockGuard, LockInfo, LockKind, LockState, Owner, OwnerProcess,
    Revoked, Token, Waiter,
};
pub use driver::{Conflict, Lifetime, Participant, Revision, Stats, Verification};
pub use error::{Error, ErrorKind, Result};
/// Any MessagePack value, for keys whose type is not known beforehand.
pub use rmpv::Value;
pub use store::{
    Change, ChangeKind, EncodedEntry, Exclusive, Integer, Iter, Keys, Options, Removed, StopHandle, Sync, Transaction,
    Watch,
};
