//! What users say: typed values under keys, and everything that is done with them.

mod claim;
mod codec;
mod compute;
mod encoded;
mod exclusive;
mod following;
mod integer;
mod keys;
mod keys_watch;
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable))),
    path = "locate_nowhere.rs"
)]
mod locate;
mod name;
mod options;
mod registry;
mod relay;
mod scratch;
mod stop_handle;
mod sync;
mod touched;
mod transaction;
mod update;
mod values;
mod watch;

pub use encoded::EncodedEntry;
pub use exclusive::Exclusive;
pub(crate) use following::next_item;
pub use integer::Integer;
pub use keys::{Iter, Keys};
#[cfg(any(test, feature = "conformance"))]
pub(crate) use name::Name;
pub(crate) use name::is_plain;
pub use options::Options;
pub(crate) use scratch::Scratch;
pub use stop_handle::StopHandle;
pub use sync::Sync;
pub use transaction::Transaction;
pub use watch::{Change, ChangeKind, Removed, Watch};
