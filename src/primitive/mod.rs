//! Excluding and waiting.

pub(crate) mod allowance;
pub(crate) mod atomics;
pub(crate) mod backoff;
pub(crate) mod shard_lock;
pub(crate) mod wait_word;
