//! A handle on a memory store, as the contract wants it.

use std::{
    sync::{Arc, MutexGuard},
    time::{Duration, Instant},
};

use super::{
    tables::{Record, Tables},
    world::{LONGEST_SLEEP, World},
};
use crate::{
    driver::{
        Access, Capabilities, Commit, Committed, Driver, Entry, GateToken, Head, Lifetime, MAX_VALUE_LEN, Op, OwnerId,
        Participant, Patience, Range, Revision, Space, State, Stats, Stop, Verification, check_value,
    },
    error::{Error, ErrorKind, Result},
};

/// A handle on a memory store; as an owner it lives until it is dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    world: Arc<World>,
    owner: OwnerId,
}

impl Memory {
    /// Opens the store of that name, or one of this handle's own.
    ///
    /// # Errors
    /// `NoStore` when there is none and none was to be created.
    pub(crate) fn open(name: Option<&str>, create: bool, label: &str) -> Result<Self> {
        let world = match name {
            None => World::private(),
            Some(name) => World::named(name, create)?.ok_or_else(|| {
                let message =
                    format!("there is no store \"memory:{name}\" in this process: open it with `create(true)`");
                Error::new(ErrorKind::NoStore, message)
            })?,
        };
        let owner = world.lock()?.enroll(label);
        Ok(Self { world, owner })
    }

    /// Tells this store from all others of the process.
    pub(crate) fn identity(&self) -> String {
        format!("{}@{}", self.world.name, self.world.number)
    }

    /// The tables, once the gate lets the caller in.
    fn enter(&self, access: &Access, space: Space, writes: bool) -> Result<MutexGuard<'_, Tables>> {
        let mut tables = self.world.lock()?;
        if space == Space::Coordination || tables.gate.passes(access, writes)? {
            return Ok(tables);
        }
        let began = Instant::now();
        let patience = Patience { deadline: access.limit.and_then(|limit| began.checked_add(limit)), stop: None };
        loop {
            let Some(limit) = patience.sleep(LONGEST_SLEEP)? else {
                return Err(self.still_locked(&tables, began.elapsed()));
            };
            tables = self.world.sleep(tables, limit)?;
            if tables.gate.passes(access, writes)? {
                return Ok(tables);
            }
        }
    }

    fn still_locked(&self, tables: &Tables, waited: Duration) -> Error {
        let holder = tables.gate.holder().and_then(|owner| tables.owners.get(&owner.0));
        let holder = holder.map_or("somebody".into(), Participant::to_string);
        let message =
            format!("Can't access {:?}, still locked after {:.1} s by {holder}", self.world.name, waited.as_secs_f64());
        Error::new(ErrorKind::Locked, message)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Ok(mut tables) = self.world.lock() {
            tables.bury_owner(self.owner);
            self.world.wake_all();
        }
    }
}

impl Driver for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "memory",
            shared: false,
            orphans: true,
            gate: true,
            largest_value: MAX_VALUE_LEN,
            sessions_end: false,
        }
    }

    fn get(&self, access: &Access, space: Space, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        into.clear();
        let tables = self.enter(access, space, false)?;
        let Some(record) = tables.live(space, key, Instant::now()) else { return Ok(None) };
        into.extend_from_slice(&record.value);
        Ok(Some(record.revision))
    }

    fn head(&self, access: &Access, space: Space, key: &str) -> Result<Option<Head>> {
        let tables = self.enter(access, space, false)?;
        Ok(tables.space(space).get(key).map(|record| tables.head(record, Instant::now())))
    }

    fn range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
        let tables = self.enter(access, range.space, false)?;
        let now = Instant::now();
        let entries = tables
            .below(range.space, range.prefix, range.after)
            .filter(|(_, record)| range.dead || tables.state(record, now) == State::Live)
            .take(range.limit)
            .map(|(key, record)| tables.entry(key, record, range.values, now));
        Ok(entries.collect())
    }

    fn count(&self, access: &Access, space: Space, prefix: &str) -> Result<u64> {
        let tables = self.enter(access, space, false)?;
        let now = Instant::now();
        let live = |&(_, record): &(&String, &Record)| tables.state(record, now) == State::Live;
        Ok(tables.below(space, prefix, None).filter(live).count() as u64)
    }

    fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
        commit.check()?;
        let touched = commit.ops.iter().map(|op| op.0).chain(commit.expect.iter().map(|expected| expected.0));
        let values = touched.into_iter().any(|space| space == Space::Values);
        let space = if values { Space::Values } else { Space::Coordination };
        let mut tables = self.enter(access, space, !commit.ops.is_empty())?;
        let now = Instant::now();
        let current = |space, key: &str| tables.live(space, key, now).map(|record| record.revision);
        if let Some(conflict) = commit.conflict(current) {
            return Ok(Err(conflict));
        }
        let apply = |&(space, key, op): &(Space, &str, Op<'_>)| match op {
            Op::Put { value, lifetime } => Some(tables.put(self.owner, space, key, value, lifetime, now)),
            Op::Delete => tables.delete(space, key, now),
        };
        let revisions = commit.ops.iter().map(apply).collect();
        tables.bury_some(now);
        self.world.wake_all();
        Ok(Ok(revisions))
    }

    fn put(&self, access: &Access, space: Space, key: &str, value: &[u8], lifetime: Lifetime) -> Result<Revision> {
        check_value(key, value)?;
        let mut tables = self.enter(access, space, true)?;
        let now = Instant::now();
        let revision = tables.put(self.owner, space, key, value, lifetime, now);
        tables.bury_some(now);
        self.world.wake_all();
        Ok(revision)
    }

    fn add(&self, access: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)> {
        let mut tables = self.enter(access, space, true)?;
        let sum = tables.add(self.owner, space, key, delta, Instant::now())?;
        self.world.wake_all();
        Ok(sum)
    }

    fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>> {
        self.range(access, Range { values: true, ..Range::keys(space, prefix) })
    }

    fn replace(
        &self,
        access: &Access,
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()> {
        entries.iter().try_for_each(|(key, value, _)| check_value(key, value))?;
        let mut tables = self.enter(access, space, true)?;
        let now = Instant::now();
        tables.clear(space, prefix);
        for (key, value, lifetime) in entries {
            tables.put(self.owner, space, key, value, *lifetime, now);
        }
        self.world.wake_all();
        Ok(())
    }

    fn wait(&self, keys: &[(Space, &str, Option<Revision>)], patience: Patience<'_>) -> Result<bool> {
        let mut tables = self.world.lock()?;
        loop {
            let now = Instant::now();
            let live = |&(space, key, _): &(Space, &str, _)| tables.live(space, key, now);
            if keys.iter().any(|key| live(key).map(|record| record.revision) != key.2) {
                return Ok(true);
            }
            let Some(limit) = patience.sleep(LONGEST_SLEEP)? else { return Ok(false) };
            let expiry = tables.next_expiry(keys.iter().filter_map(live));
            let limit = expiry.map_or(limit, |expiry| limit.min(expiry.saturating_duration_since(now)));
            tables = self.world.sleep(tables, limit)?;
        }
    }

    fn version(&self) -> Result<u64> {
        Ok(self.world.lock()?.clock())
    }

    fn wait_version(&self, seen: u64, patience: Patience<'_>) -> Result<bool> {
        let mut tables = self.world.lock()?;
        loop {
            if tables.clock() != seen {
                return Ok(true);
            }
            let Some(limit) = patience.sleep(LONGEST_SLEEP)? else { return Ok(false) };
            tables = self.world.sleep(tables, limit)?;
        }
    }

    fn interrupt(&self, _stop: &Stop) {
        // Under the lock, so that nobody is between having looked at the switch and sleeping.
        let _tables = self.world.lock();
        self.world.wake_all();
    }

    fn close_gate(&self, patience: Patience<'_>) -> Result<Option<GateToken>> {
        let mut tables = self.world.lock()?;
        loop {
            if let Some(token) = tables.gate.close(self.owner)? {
                return Ok(Some(token));
            }
            let Some(limit) = patience.sleep(LONGEST_SLEEP)? else { return Ok(None) };
            tables = self.world.sleep(tables, limit)?;
        }
    }

    fn open_gate(&self, token: GateToken) -> Result<bool> {
        let opened = self.world.lock()?.gate.open(token);
        self.world.wake_all();
        Ok(opened)
    }

    fn force_gate(&self) -> Result<bool> {
        let opened = self.world.lock()?.gate.force();
        self.world.wake_all();
        Ok(opened)
    }

    fn gate_holder(&self) -> Result<Option<OwnerId>> {
        Ok(self.world.lock()?.gate.holder())
    }

    fn owner(&self) -> Result<OwnerId> {
        Ok(self.owner)
    }

    fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        Ok(self.world.lock()?.owners.contains_key(&owner.0))
    }

    fn participants(&self) -> Result<Vec<Participant>> {
        Ok(self.world.lock()?.owners.values().cloned().collect())
    }

    fn stats(&self) -> Result<Stats> {
        let tables = self.world.lock()?;
        let now = Instant::now();
        let values = tables.space(Space::Values);
        let live = values.values().filter(|record| tables.state(record, now) == State::Live).count() as u64;
        let used: usize = values.iter().map(|(key, record)| key.len() + record.value.len()).sum();
        Ok(Stats {
            driver: "memory",
            path: self.world.name.clone(),
            entries: live,
            used_bytes: used as u64,
            participants: tables.owners.len() as u32,
            ..Stats::default()
        })
    }

    fn verify(&self) -> Result<Verification> {
        let tables = self.world.lock()?;
        let records = [Space::Values, Space::Coordination].map(|space| tables.space(space));
        let sizes = records.iter().flat_map(|map| map.iter()).map(|(key, record)| key.len() + record.value.len());
        let (count, bytes) = sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size as u64));
        Ok(Verification { records: count, bytes, problems: Vec::new() })
    }

    fn destroy(&self) -> Result<()> {
        self.world.destroy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Access = Access { limit: Some(Duration::ZERO), gate: None };

    fn two(name: &str) -> (Memory, Memory) {
        let open = || Memory::open(Some(name), true, "").unwrap();
        (open(), open())
    }

    #[test]
    fn a_holder_that_dies_leaves_the_gate_open() {
        let (holder, other) = two("gate-of-the-dead");
        std::thread::spawn(move || holder.close_gate(Patience::none()).unwrap().map(|_| std::mem::drop(holder)))
            .join()
            .unwrap()
            .expect("it was open");
        assert_eq!(other.gate_holder().unwrap(), None);
        assert_eq!(other.get(&OPEN, Space::Values, "k", &mut Vec::new()).unwrap(), None);
    }

    #[test]
    fn orphans_are_buried_in_passing() {
        let (owner, other) = two("orphans");
        for space in [Space::Values, Space::Coordination] {
            owner.put(&OPEN, space, "k", b"\x01", Lifetime::Process).unwrap();
        }
        drop(owner);
        for space in [Space::Values, Space::Coordination] {
            let head = other.head(&OPEN, space, "k").unwrap().expect("nobody has passed yet");
            assert_eq!(head.state, State::OwnerDied);
        }
        for n in 0..5_u8 {
            other.put(&OPEN, Space::Values, "other", &[n], Lifetime::Forever).unwrap();
        }
        for space in [Space::Values, Space::Coordination] {
            assert_eq!(other.head(&OPEN, space, "k").unwrap(), None, "buried");
        }
    }

    /// Scenario 5 in one process.
    #[test]
    fn a_lock_of_a_dead_owner_is_had_by_the_next_who_is_told() {
        let open = || crate::Sync::open("memory:orphaned locks").unwrap();
        let (owner, other) = (open(), open());
        let guard = owner.lock("k").unwrap().acquire().unwrap();
        let waiting = std::thread::spawn({
            let other = other.clone();
            move || other.lock("k").unwrap().acquire().unwrap().previous_owner_died()
        });
        while other.locks("").unwrap()[0].waiters.is_empty() {
            std::thread::yield_now();
        }
        let crate::driver::AnyDriver::Memory(memory) = &*owner.driver else { panic!("it is in memory") };
        memory.world.lock().unwrap().bury_owner(memory.owner);
        memory.world.wake_all();
        assert!(waiting.join().unwrap());
        assert!(!guard.release().unwrap());
    }

    #[test]
    fn nothing_expired_stays_for_ever() {
        let (driver, _other) = two("graves");
        for n in 0..100 {
            let ttl = Lifetime::Ttl(Duration::from_nanos(1));
            driver.put(&OPEN, Space::Coordination, &format!("k{n}"), b"\x01", ttl).unwrap();
        }
        for _ in 0..100 {
            driver.put(&OPEN, Space::Values, "k", b"\x01", Lifetime::Forever).unwrap();
        }
        assert_eq!(driver.verify().unwrap().records, 1);
    }
}
