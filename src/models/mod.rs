//! Models: small worlds in which a checker tries every interleaving, and every point of death, of the code that runs.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib loom_` runs them; `docs/reliability-models.md` says what they show.

pub(crate) mod atomics;
pub(crate) mod cells;
mod death;
pub(crate) mod futex;
mod world;

mod deaths;
mod gate;
mod locks;
mod readers;
mod recoverers;
mod transactions;
mod waiting;
