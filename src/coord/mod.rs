//! Words that coordinate processes, written once over the driver contract: locks, semaphores, leaders.

mod ending;
mod give;
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
mod token;
mod who;
mod wire;

pub use lock::Lock;
pub use lock_guard::LockGuard;
pub use owner::{LockState, Owner};
pub use owner_process::OwnerProcess;
pub use place::LockKind;
pub(crate) use session::SessionSlot;
pub use token::Token;
