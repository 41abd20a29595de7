//! Scenarios of the driver contract.

pub(super) mod basics;
pub(super) mod commits;
pub(super) mod crowds;
pub(super) mod gate;
pub(super) mod integers;
pub(super) mod lifetimes;
pub(super) mod prefixes;
pub(super) mod ranges;
pub(super) mod session;
pub(super) mod waiting;
pub(super) mod whole;
