//! One driver of those there are, chosen when a store is opened.

use std::fmt;

use super::{
    Access, Capabilities, Commit, Committed, Driver, Entry, Expected, GateToken, Head, Lifetime, Memory, Op, OwnerId,
    Participant, Patience, PrefixWatch, Range, Revision, Space, Stats, Stop, Verification,
};
use crate::error::Result;

/// Whoever keeps the truth of a store. A `match` costs less than a virtual call and lets hot paths be inlined.
pub(crate) enum AnyDriver {
    /// Process memory.
    Memory(Memory),
    /// A file that processes share.
    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
    Shm(super::Shm),
    /// A cluster.
    #[cfg(feature = "etcd")]
    Etcd(std::sync::Arc<super::Etcd>),
    /// A driver of somebody else's.
    Custom(Box<dyn Driver>),
}

/// A panic in a user's closure never happens inside of a driver, so none is left half changed by one.
impl std::panic::UnwindSafe for AnyDriver {}
impl std::panic::RefUnwindSafe for AnyDriver {}

macro_rules! dispatch {
    ($self:ident, $driver:ident => $call:expr) => {
        match $self {
            AnyDriver::Memory($driver) => $call,
            #[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
            AnyDriver::Shm($driver) => $call,
            #[cfg(feature = "etcd")]
            AnyDriver::Etcd($driver) => $call,
            AnyDriver::Custom($driver) => $call,
        }
    };
}

impl fmt::Debug for AnyDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.capabilities().name)
    }
}

impl Driver for AnyDriver {
    fn capabilities(&self) -> Capabilities {
        dispatch!(self, driver => driver.capabilities())
    }

    #[inline(always)]
    fn get(&self, access: &Access, space: Space, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        dispatch!(self, driver => driver.get(access, space, key, into))
    }

    fn head(&self, access: &Access, space: Space, key: &str) -> Result<Option<Head>> {
        dispatch!(self, driver => driver.head(access, space, key))
    }

    fn range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
        dispatch!(self, driver => driver.range(access, range))
    }

    fn count(&self, access: &Access, space: Space, prefix: &str) -> Result<u64> {
        dispatch!(self, driver => driver.count(access, space, prefix))
    }

    fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
        dispatch!(self, driver => driver.commit(access, commit))
    }

    #[inline(always)]
    fn change(
        &self,
        access: &Access,
        space: Space,
        key: &str,
        expected: Expected,
        op: Op<'_>,
    ) -> Result<std::result::Result<Option<Revision>, Option<Revision>>> {
        dispatch!(self, driver => driver.change(access, space, key, expected, op))
    }

    #[inline(always)]
    fn put(&self, access: &Access, space: Space, key: &str, value: &[u8], lifetime: Lifetime) -> Result<Revision> {
        dispatch!(self, driver => driver.put(access, space, key, value, lifetime))
    }

    fn delete(&self, access: &Access, space: Space, key: &str) -> Result<bool> {
        dispatch!(self, driver => driver.delete(access, space, key))
    }

    #[inline(always)]
    fn add(&self, access: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)> {
        dispatch!(self, driver => driver.add(access, space, key, delta))
    }

    fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>> {
        dispatch!(self, driver => driver.snapshot(access, space, prefix))
    }

    fn replace(
        &self,
        access: &Access,
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()> {
        dispatch!(self, driver => driver.replace(access, space, prefix, entries))
    }

    fn wait(&self, keys: &[(Space, &str, Option<Revision>)], patience: Patience<'_>) -> Result<bool> {
        dispatch!(self, driver => driver.wait(keys, patience))
    }

    fn version(&self) -> Result<u64> {
        dispatch!(self, driver => driver.version())
    }

    fn wait_version(&self, seen: u64, patience: Patience<'_>) -> Result<bool> {
        dispatch!(self, driver => driver.wait_version(seen, patience))
    }

    fn watch_prefix(&self, access: &Access, space: Space, prefix: &str) -> Result<Option<Box<dyn PrefixWatch>>> {
        dispatch!(self, driver => driver.watch_prefix(access, space, prefix))
    }

    fn interrupt(&self, stop: &Stop) {
        dispatch!(self, driver => driver.interrupt(stop));
    }

    fn close_gate(&self, patience: Patience<'_>) -> Result<Option<GateToken>> {
        dispatch!(self, driver => driver.close_gate(patience))
    }

    fn open_gate(&self, token: GateToken) -> Result<bool> {
        dispatch!(self, driver => driver.open_gate(token))
    }

    fn force_gate(&self) -> Result<bool> {
        dispatch!(self, driver => driver.force_gate())
    }

    fn gate_holder(&self) -> Result<Option<OwnerId>> {
        dispatch!(self, driver => driver.gate_holder())
    }

    fn owner(&self) -> Result<OwnerId> {
        dispatch!(self, driver => driver.owner())
    }

    #[cfg(unix)]
    fn carry(&self) -> Result<std::os::fd::OwnedFd> {
        dispatch!(self, driver => driver.carry())
    }

    fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        dispatch!(self, driver => driver.is_alive(owner))
    }

    fn participants(&self) -> Result<Vec<Participant>> {
        dispatch!(self, driver => driver.participants())
    }

    fn stats(&self) -> Result<Stats> {
        dispatch!(self, driver => driver.stats())
    }

    fn verify(&self) -> Result<Verification> {
        dispatch!(self, driver => driver.verify())
    }

    fn flush(&self) -> Result<()> {
        dispatch!(self, driver => driver.flush())
    }

    fn destroy(&self) -> Result<()> {
        dispatch!(self, driver => driver.destroy())
    }
}
