//! The truth in a shared file: what processes of one machine have in common.

mod attachment;
#[cfg(all(test, not(loom)))]
mod clocks;
#[cfg(all(test, not(loom)))]
mod faults;
mod follow;
mod gate;
mod member;
mod one;
mod open;
mod wait;
mod watchman;
mod write;

use std::{path::Path, sync::Arc};

use attachment::Attachment;
use follow::Follow;

use super::{
    Access, Capabilities, Commit, Committed, Driver, Entry, Expected, GateToken, Head, Lifetime, Op, OwnerId,
    Participant, Patience, PrefixWatch, Range, Remaining, Revision, Space, State, Stats, Stop, Verification,
    check_value,
};
use crate::{
    error::{Error, ErrorKind, Result},
    primitive::allowance::Allowance,
    region::{
        layout::{EXTENT, FORMAT, live, space},
        participants,
    },
    storage::{Life, Seen, Wanted},
    store::Options,
};

/// A handle on a region. Clones share one attachment.
pub(crate) struct Shm(Arc<Attachment>);

/// An owner as the contract names it: number and slot.
fn owner_id(number: u64, slot: u32) -> OwnerId {
    OwnerId(number << 13 | u64::from(slot))
}

impl Shm {
    /// Opens the region at a path, creating it where the options say so.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self> {
        Attachment::open(path, options).map(Self)
    }

    /// A handle of a process of a model.
    #[cfg(all(loom, test))]
    pub(crate) fn modelled(storage: Arc<crate::storage::Storage>, name: participants::Name) -> std::io::Result<Self> {
        Ok(Self(Arc::new(Attachment::modelled(storage, member::Member::modelled(name)?))))
    }

    /// What lies beneath, for tests of it.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&crate::storage::Storage, participants::Name) {
        (&self.0.storage, self.0.name().expect("a participant"))
    }

    /// What tells this store from others of the process.
    pub(crate) fn identity(&self) -> String {
        self.0.identity()
    }

    fn head_of(&self, seen: Seen) -> Head {
        let remaining = match seen.life {
            Life::Forever => Remaining::Forever,
            Life::Until(deadline) => Remaining::Until(Attachment::instant_of(deadline)),
            Life::Owner { number, slot } => Remaining::Owner(owner_id(number, slot)),
        };
        Head { revision: revision(seen.revision), remaining, state: self.0.state_of(seen.life) }
    }

    fn entries(&self, found: Vec<crate::storage::Copied>, dead: bool) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for copied in found {
            let head = self.head_of(copied.seen);
            if dead || head.state == State::Live {
                let key = String::from_utf8(copied.key).map_err(|_| {
                    Error::new(ErrorKind::Corrupt, format!("{}: a key is not UTF-8", self.0.storage.path.display()))
                })?;
                entries.push(Entry { key, value: copied.value, head });
            }
        }
        entries.sort_by(|a, b| a.key.cmp(&b.key).then(b.head.revision.cmp(&a.head.revision)));
        // Removed and put again during the walk: the later one counts.
        entries.dedup_by(|later, first| later.key == first.key);
        Ok(entries)
    }
}

/// A revision read from a record that was validated: its version is not 0.
#[inline]
fn revision(number: u64) -> Revision {
    Revision::new(number.max(1)).expect("at least 1")
}

impl Driver for Shm {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "shm",
            shared: true,
            orphans: true,
            gate: true,
            largest_value: super::MAX_VALUE_LEN,
            sessions_end: false,
        }
    }

    #[inline(always)]
    fn get(&self, access: &Access, space: Space, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        match self.0.read_at_once(space, key, into) {
            Some(number) => Ok(Some(Revision(number))),
            None => self.0.read_thoroughly(access, space, key, into),
        }
    }

    fn head(&self, access: &Access, space: Space, key: &str) -> Result<Option<Head>> {
        self.0.check()?;
        let key = self.0.storage.key(space, key.as_bytes());
        let seen = self.0.gated(access, space, || self.0.storage.peek(&key))?;
        Ok(seen.map(|seen| self.head_of(seen)))
    }

    fn range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
        self.0.check()?;
        let storage = &self.0.storage;
        let (space, prefix) = (range.space, range.prefix.as_bytes());
        let wanted = Wanted { space, prefix, values: range.values, shards: storage.all_shards() };
        let allowance = Allowance::full();
        let found = self.0.gated(access, space, || storage.scan(&wanted, &allowance))?;
        let mut entries = self.entries(found, range.dead)?;
        if let Some(after) = range.after {
            entries.retain(|entry| entry.key.as_str() > after);
        }
        entries.truncate(range.limit);
        Ok(entries)
    }

    fn count(&self, access: &Access, space: Space, prefix: &str) -> Result<u64> {
        if !prefix.is_empty() {
            return Ok(self.range(access, Range::keys(space, prefix))?.len() as u64);
        }
        self.0.check()?;
        let allowance = Allowance::full();
        self.0.gated(access, space, || self.0.storage.count(space, &allowance))
    }

    fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
        self.0.check()?;
        self.0.commit(access, commit)
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
        if let Op::Put { value, .. } = op {
            check_value(key, value)?;
        }
        self.0.change_one(access, space, key, expected, op)
    }

    #[inline(always)]
    fn put(&self, access: &Access, space: Space, key: &str, value: &[u8], lifetime: Lifetime) -> Result<Revision> {
        self.0.put(access, space, key, value, lifetime)
    }

    fn delete(&self, access: &Access, space: Space, key: &str) -> Result<bool> {
        self.0.delete(access, space, key)
    }

    #[inline(always)]
    fn add(&self, access: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)> {
        self.0.add(access, space, key, delta)
    }

    fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>> {
        self.0.check()?;
        let storage = &self.0.storage;
        let wanted = Wanted { space, prefix: prefix.as_bytes(), values: true, shards: storage.all_shards() };
        let locker = || {
            self.0.name().map_err(|_| {
                Error::new(
                    ErrorKind::Locked,
                    format!(
                        "{}: others write without pause; a read-only handle cannot make them wait",
                        storage.path.display()
                    ),
                )
            })
        };
        let allowance = Allowance::full();
        let found = self.0.gated(access, space, || storage.snapshot(&wanted, &allowance, locker))?;
        self.entries(found, false)
    }

    fn replace(
        &self,
        access: &Access,
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()> {
        self.0.check()?;
        self.0.replace(access, space, prefix, entries)
    }

    fn wait(&self, keys: &[(Space, &str, Option<Revision>)], patience: Patience<'_>) -> Result<bool> {
        self.0.wait(keys, patience)
    }

    fn version(&self) -> Result<u64> {
        self.0.check()?;
        Ok(self.0.storage.version())
    }

    fn wait_version(&self, seen: u64, patience: Patience<'_>) -> Result<bool> {
        self.0.wait_version(seen, patience)
    }

    fn watch_prefix(&self, access: &Access, space: Space, prefix: &str) -> Result<Option<Box<dyn PrefixWatch>>> {
        self.0.check()?;
        let follow = Follow::begin(&self.0, *access, space, prefix)?;
        Ok(follow.map(|follow| Box::new(follow) as Box<dyn PrefixWatch>))
    }

    fn interrupt(&self, stop: &Stop) {
        self.0.interrupt(stop);
    }

    fn close_gate(&self, patience: Patience<'_>) -> Result<Option<GateToken>> {
        self.0.close_gate(patience)
    }

    fn open_gate(&self, token: GateToken) -> Result<bool> {
        self.0.open_gate(token)
    }

    fn force_gate(&self) -> Result<bool> {
        self.0.force_gate()
    }

    fn gate_holder(&self) -> Result<Option<OwnerId>> {
        Ok(self.0.gate_holder())
    }

    fn owner(&self) -> Result<OwnerId> {
        let me = self.0.me()?;
        Ok(owner_id(me.number, me.name.slot))
    }

    fn carry(&self) -> Result<std::os::fd::OwnedFd> {
        self.0.me()?.carry(&self.0.storage)
    }

    fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        Ok(!self.0.storage.participants().owner_is_dead((owner.0 & 0x1fff) as u32, owner.0 >> 13))
    }

    fn participants(&self) -> Result<Vec<Participant>> {
        self.0.check()?;
        let storage = &self.0.storage;
        let table = storage.participants();
        let high = storage.memory.load(live::HIGH_SLOT, std::sync::atomic::Ordering::Acquire);
        let slots = 0..high.min(u64::from(storage.geometry.participants)) as u32;
        let records =
            slots.filter_map(|slot| table.record(slot)).filter(|record| record.number < participants::MAX_NUMBER);
        Ok(records
            .map(|record| {
                let id = owner_id(record.number, record.slot);
                Participant {
                    id,
                    pid: record.identity.pid,
                    start_time: record.identity.start_time,
                    pid_namespace: record.identity.pid_namespace,
                    host: record.identity.host,
                    label: record.label,
                    command: record.identity.command,
                    alive: !table.owner_is_dead(record.slot, record.number),
                }
            })
            .collect())
    }

    fn stats(&self) -> Result<Stats> {
        self.0.check()?;
        let storage = &self.0.storage;
        Ok(Stats {
            driver: "shm",
            path: storage.path.display().to_string(),
            format: FORMAT,
            entries: storage.count(Space::Values, &Allowance::full())?,
            capacity_bytes: storage.geometry.capacity,
            allocated_bytes: self.0.allocated_bytes(),
            used_bytes: storage.space().used() * EXTENT,
            shards: storage.geometry.shards,
            participants: self.participants()?.iter().filter(|participant| participant.alive).count() as u32,
            recoveries: storage.memory.load(space::RECOVERIES, std::sync::atomic::Ordering::Relaxed),
            mode: self.0.mode,
        })
    }

    fn verify(&self) -> Result<Verification> {
        self.0.check()?;
        self.0.storage.verify(self.0.name()?)
    }

    fn flush(&self) -> Result<()> {
        self.0.check()?;
        let storage = &self.0.storage;
        storage.memory.flush().map_err(|error| storage.io("flush it to its medium", error))
    }

    fn destroy(&self) -> Result<()> {
        self.0.check()?;
        self.0.destroy()
    }
}
