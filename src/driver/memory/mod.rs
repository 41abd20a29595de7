//! The `memory` driver: plain ordered maps under one lock, the readable reference of the contract.

mod driver;
mod gate;
mod tables;
mod world;

pub(crate) use driver::Memory;
