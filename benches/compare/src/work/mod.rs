//! What is measured: one file for a work or a family of them.

mod attach;
#[cfg(feature = "etcd")]
mod cluster;
mod command;
mod counter;
mod hot;
mod idle;
mod insert;
mod large;
mod list;
mod lock;
mod loops;
mod memory;
mod scan;
mod tails;
mod transaction;
mod turns;
mod two;
mod typed;
mod values;
mod wake;

pub(crate) use self::list::{ALL, Work};
