//! The contract between the words users speak and the places where truth is kept.
//!
//! A [`Driver`] stores keyed bytes with revisions and lifetimes, changes several keys at once, and lets callers wait
//! for changes. Everything else (typed values, integers, transactions, watches, locks, leaders) is written once,
//! over this contract.

mod any;
mod contract;
#[cfg(feature = "etcd")]
mod etcd;
mod incarnation;
pub(crate) mod ledger;
mod masked;
mod memory;
pub(crate) mod number;
mod patience;
pub(crate) mod process;
mod rescan;
mod rules;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod shm;
mod signal;
mod stop;
mod unanswered;

pub(crate) use any::AnyDriver;
pub use contract::*;
#[cfg(feature = "etcd")]
pub(crate) use etcd::{Address, Etcd};
pub(crate) use incarnation::{incarnation, thread_number};
pub use masked::without_password;
pub(crate) use memory::Memory;
pub(crate) use patience::through_gate;
pub(crate) use rescan::{Rescan, ended_by};
pub use rules::{add_encoded, check_value};
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
pub(crate) use shm::Shm;
pub(crate) use signal::{Signal, spawn_aside, uptime_ns, wall_ms};
pub use stop::Stop;
pub(crate) use unanswered::{AGAIN, PAUSES};
