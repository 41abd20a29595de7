//! Words that coordinate processes, written once over the driver contract: locks, semaphores, leaders.

mod amends;
mod background;
mod ending;
mod follow;
mod give;
mod leader;
mod leadership;
mod listing;
mod lock;
mod lock_guard;
mod owner;
mod owner_process;
mod place;
mod queue;
mod record;
mod session;
mod standing;
mod take;
mod term;
mod token;
mod who;
mod wire;

pub use follow::Follow;
pub use leader::{Candidate, Leader};
pub use leadership::Leadership;
pub use listing::{LockInfo, Waiter};
pub use lock::Lock;
pub use lock_guard::LockGuard;
pub use owner::{LockState, Owner};
pub use owner_process::OwnerProcess;
pub use place::LockKind;
pub(crate) use session::SessionSlot;
pub use term::Revoked;
pub use token::Token;
