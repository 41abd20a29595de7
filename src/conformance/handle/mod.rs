//! Scenarios of the handle, in everyday words.

pub(super) mod exclusive;
pub(super) mod integers;
pub(super) mod leaders;
pub(super) mod locks;
pub(super) mod names;
pub(super) mod spans;
pub(super) mod transactions;
pub(super) mod updates;
pub(super) mod values;
pub(super) mod watches;
pub(super) mod whole;
