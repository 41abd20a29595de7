//! The driver for names `etcd://…`: the truth is kept by a cluster, so that processes of several machines share it.
//!
//! Every call is one transaction that also looks whether the store is still the one that was opened, and whether
//! somebody has it exclusively. Nothing is cached but what is known of leases.

mod add;
mod address;
mod cluster;
mod commit;
mod driver;
mod engine;
mod enter;
mod follow;
mod gate;
mod keys;
mod link;
mod lives;
mod open;
mod participant;
mod plan;
mod read;
mod record;
mod replace;
mod request;
mod session;
mod settle;
mod trouble;
mod wait;

pub(crate) use address::Address;
pub(crate) use open::Etcd;
