//! The checker of histories, as it is used for shared memory.
#![allow(dead_code, unreachable_pub, reason = "not all of it is of use here")]

#[path = "../linearizability/checker.rs"]
pub mod checker;
#[path = "../linearizability/holder.rs"]
mod holder;
#[path = "../linearizability/model.rs"]
pub mod model;
#[path = "../linearizability/operation.rs"]
pub mod operation;
#[path = "../linearizability/window.rs"]
pub mod window;

mod dice {
    pub use crate::common::Dice;
}
