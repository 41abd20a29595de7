//! Where things are: the mapped file, its layout, who takes part in it.

#[cfg(not(all(loom, test)))]
mod cells;
pub(crate) mod glance;
pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod participants;
pub(crate) mod row;
pub(crate) mod watches;
