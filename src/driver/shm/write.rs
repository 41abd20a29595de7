//! Changing a region through an attachment: locks, the gate, room, lifetimes.

use std::{
    sync::atomic::Ordering::Release,
    time::{Duration, Instant},
};

use super::{attachment::Attachment, owner_id, revision};
use crate::{
    driver::{
        Access, Commit, Committed, Conflict, Expected, Lifetime, Op, Revision, Space, State, check_value, number,
    },
    error::{ErrorKind, Result},
    region::layout::live,
    storage::{Change, Key, LARGE, Life, Locked, Shape, To, Wanted},
    sys::{clock, file},
};

impl Attachment {
    pub(super) fn identity(&self) -> String {
        let stat = file::stat(self.storage.memory.file());
        stat.map_or_else(
            |_| self.storage.path.display().to_string(),
            |stat| format!("shm {} {} {}", stat.dev, stat.ino, self.storage.created_ns),
        )
    }

    pub(super) fn allocated_bytes(&self) -> u64 {
        file::stat(self.storage.memory.file()).map_or(0, |stat| stat.blocks * 512)
    }

    /// Does something under the lock of a key's shard, once the gate lets it; a second time when room had to be made.
    #[inline(always)]
    fn change<T>(&self, access: &Access, key: &Key<'_>, mut change: impl FnMut(&Locked<'_>) -> Result<T>) -> Result<T> {
        let me = self.name()?;
        let mut made_room: Option<Instant> = None;
        loop {
            let locked = self.storage.shard(key.shard).lock(me)?;
            if !self.may_write(access, key.space)? {
                drop(locked);
                self.wait_at_gate(access)?;
                continue;
            }
            match change(&locked) {
                Err(error) if error.kind() == ErrorKind::Full => {
                    drop(locked);
                    if let Some(begun) = made_room {
                        crate::trace::full(&self.storage.path, key.bytes, begun.elapsed());
                        return Err(error);
                    }
                    made_room = Some(Instant::now());
                    self.make_room()?;
                }
                answer => return answer,
            }
        }
    }

    /// Frees whatever only rests: blocks that were retired lately, entries that are dead.
    fn make_room(&self) -> Result<()> {
        let me = self.name()?;
        for shard in self.storage.shards() {
            let locked = shard.lock(me)?;
            locked.bury_all()?;
            locked.free_dead_reservations()?;
            locked.free_retired()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn life(&self, locked: &Locked<'_>, key: &Key<'_>, lifetime: Lifetime) -> Result<Life> {
        Ok(match lifetime {
            Lifetime::Forever => Life::Forever,
            Lifetime::Ttl(left) => Life::Until(deadline(left)),
            Lifetime::Process => {
                let me = self.me()?;
                Life::Owner { number: me.number, slot: me.name.slot }
            }
            Lifetime::Keep => locked.seen(key)?.map_or(Life::Forever, |seen| seen.life),
        })
    }

    #[inline]
    pub(super) fn put(
        &self,
        access: &Access,
        space: Space,
        key: &str,
        value: &[u8],
        lifetime: Lifetime,
    ) -> Result<Revision> {
        check_value(key, value)?;
        let key = self.storage.key(space, key.as_bytes());
        if value.len() >= LARGE
            && let Some(revision) = self.put_large(access, &key, value, lifetime)?
        {
            return Ok(revision);
        }
        self.change(access, &key, |locked| {
            let life = self.life(locked, &key, lifetime)?;
            locked.put(&key, value, life).map(revision)
        })
    }

    /// Changes one key if it is as expected, without the lists that a commit of many needs.
    pub(super) fn change_one(
        &self,
        access: &Access,
        key: &Key<'_>,
        expected: Expected,
        op: Op<'_>,
    ) -> Result<std::result::Result<Option<Revision>, Option<Revision>>> {
        self.change(access, key, |locked| {
            let current = locked.live_at(locked.find(key)?)?.map(|current| revision(current.revision));
            if !expected.holds(current) {
                return Ok(Err(current));
            }
            Ok(Ok(match op {
                Op::Put { value, lifetime } => {
                    Some(revision(locked.put(key, value, self.life(locked, key, lifetime)?)?))
                }
                Op::Delete => {
                    locked.delete(key)?.and_then(|(state, number)| (state == State::Live).then(|| revision(number)))
                }
            }))
        })
    }

    /// Fills a large value outside the lock; `None` when that cannot be had now.
    fn put_large(&self, access: &Access, key: &Key<'_>, value: &[u8], lifetime: Lifetime) -> Result<Option<Revision>> {
        let me = self.me()?;
        let owner = owner_id(me.number, me.name.slot).0;
        let reserved = self.change(access, key, |locked| {
            let life = self.life(locked, key, lifetime)?;
            let shape = Shape::new(key.space, key.bytes.len(), value.len(), life);
            Ok((locked.reserve_block(owner, shape)?, life))
        })?;
        let (Some(reservation), life) = reserved else { return Ok(None) };
        let checksum = self.storage.fill_reserved(&reservation, key, value, life);
        let put = self.change(access, key, |locked| {
            let Some(checksum) = checksum else { return Err(locked.corrupt("a block lies outside the store")) };
            // A lifetime to be kept may have become another: then the record's form is another too.
            if lifetime == Lifetime::Keep && self.life(locked, key, lifetime)? != life {
                locked.cancel(&reservation)?;
                return Ok(None);
            }
            locked.put_reserved(key, &reservation, checksum, life)
        });
        if put.is_err()
            && let Ok(locked) = self.storage.shard(key.shard).lock(me.name)
        {
            // Should this fail too, the block comes back when this process ends.
            let _ = locked.cancel(&reservation);
        }
        Ok(put?.map(revision))
    }

    pub(super) fn delete(&self, access: &Access, space: Space, key: &str) -> Result<bool> {
        let key = self.storage.key(space, key.as_bytes());
        self.change(access, &key, |locked| Ok(matches!(locked.delete(&key)?, Some((State::Live, _)))))
    }

    pub(super) fn add(&self, access: &Access, space: Space, name: &str, delta: i64) -> Result<(i64, Revision)> {
        let key = self.storage.key(space, name.as_bytes());
        self.change(access, &key, |locked| {
            locked.bury()?;
            let found = locked.find(&key)?;
            let (number, life) = match locked.live_at(found)? {
                Some(current) => {
                    let len = current.shape.value_len;
                    // What is longer is no number, as its first bytes alone say.
                    let bytes = current.record.short_value(current.shape);
                    (number::decode(name, &bytes[..len.min(number::MAX_LEN + 1)])?, current.life)
                }
                None => (0, Life::Forever),
            };
            let sum = number::add(name, number, delta)?;
            let mut buffer = [0; number::MAX_LEN];
            let revision = locked.put_over(found, &key, number::encode(sum, &mut buffer), life).map(revision)?;
            Ok((sum, revision))
        })
    }

    pub(super) fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
        commit.check()?;
        let me = self.name()?;
        let mut changes: Vec<Change<'_>> = Vec::with_capacity(commit.ops.len());
        for (number, (space, name, _)) in commit.ops.iter().enumerate() {
            changes.push(Change { key: self.storage.key(*space, name.as_bytes()), to: To::Nothing, number });
        }
        let mut expected: Vec<Key<'_>> = Vec::with_capacity(commit.expect.len());
        expected.extend(commit.expect.iter().map(|(space, name, _)| self.storage.key(*space, name.as_bytes())));
        let keys = changes.iter().map(|change| &change.key).chain(&expected);
        let (shards, gated) = keys
            .fold((0, false), |(shards, gated), key| (shards | 1 << key.shard, gated || key.space == Space::Values));
        changes.sort_by_key(|change| change.key.shard);
        let space = if gated { Space::Values } else { Space::Coordination };
        let mut made_room = false;
        loop {
            let locks = self.storage.lock_shards(me, shards)?;
            if !self.may_write(access, space)? {
                drop(locks);
                self.wait_at_gate(access)?;
                continue;
            }
            if let Some(conflict) = self.conflict(&locks, commit, &expected)? {
                return Ok(Err(conflict));
            }
            match self.apply(&locks, commit, &mut changes) {
                Err(error) if error.kind() == ErrorKind::Full && !made_room => {
                    drop(locks);
                    self.make_room()?;
                    made_room = true;
                }
                answer => return answer.map(Ok),
            }
        }
    }

    fn conflict(&self, locks: &[Locked<'_>], commit: &Commit<'_>, keys: &[Key<'_>]) -> Result<Option<Conflict>> {
        for ((_, name, expected), key) in commit.expect.iter().zip(keys) {
            let current = lock_of(locks, key).seen(key)?.map(|seen| revision(seen.revision));
            if !expected.holds(current) {
                return Ok(Some(Conflict { key: (*name).to_owned(), current }));
            }
        }
        Ok(None)
    }

    fn apply<'c>(
        &self,
        locks: &[Locked<'_>],
        commit: &Commit<'c>,
        changes: &mut [Change<'c>],
    ) -> Result<Vec<Option<Revision>>> {
        for Change { key, to, number } in changes.iter_mut() {
            *to = match commit.ops[*number].2 {
                Op::Put { value, lifetime: Lifetime::Keep } => To::KeptValue(value),
                Op::Put { value, lifetime } => To::Value(value, self.life(lock_of(locks, key), key, lifetime)?),
                Op::Delete => To::Nothing,
            };
        }
        if let [change] = changes {
            let locked = lock_of(locks, &change.key);
            return Ok(vec![match change.to {
                To::Value(value, life) => Some(revision(locked.put(&change.key, value, life)?)),
                To::KeptValue(value) => {
                    let life = self.life(locked, &change.key, Lifetime::Keep)?;
                    Some(revision(locked.put(&change.key, value, life)?))
                }
                To::Nothing => locked
                    .delete(&change.key)?
                    .and_then(|(state, number)| (state == State::Live).then(|| revision(number))),
            }]);
        }
        let revisions = self.storage.transact(locks, changes)?;
        Ok(revisions.into_iter().map(|number| number.map(Revision)).collect())
    }

    /// Everything below a prefix at once, as one transaction without a limit.
    pub(super) fn replace(
        &self,
        access: &Access,
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()> {
        for (key, value, _) in entries {
            check_value(key, value)?;
        }
        let me = self.name()?;
        let mut made_room = false;
        loop {
            let locks = self.storage.lock_shards(me, self.storage.all_shards())?;
            if !self.may_write(access, space)? {
                drop(locks);
                self.wait_at_gate(access)?;
                continue;
            }
            match self.replace_locked(&locks, space, prefix, entries) {
                Err(error) if error.kind() == ErrorKind::Full && !made_room => {
                    drop(locks);
                    self.make_room()?;
                    made_room = true;
                }
                answer => return answer,
            }
        }
    }

    fn replace_locked(
        &self,
        locks: &[Locked<'_>],
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()> {
        let shards = self.storage.all_shards();
        let wanted = Wanted { space, prefix: prefix.as_bytes(), values: false, shards };
        let present = self.storage.scan(&wanted)?;
        let mut changes = std::collections::HashMap::with_capacity(present.len() + entries.len());
        for copied in &present {
            let key = self.storage.key(space, &copied.key);
            changes.insert(copied.key.as_slice(), Change { key, to: To::Nothing, number: 0 });
        }
        for (name, value, lifetime) in entries {
            let key = self.storage.key(space, name.as_bytes());
            let life = self.life(lock_of(locks, &key), &key, *lifetime)?;
            changes.insert(name.as_bytes(), Change { key, to: To::Value(value, life), number: 0 });
        }
        let mut changes: Vec<Change<'_>> = changes.into_values().collect();
        // Also in the order of their slots: what is done, and which blocks rest afterwards, is then no matter of chance.
        changes.sort_unstable_by_key(|change| (change.key.shard, change.key.hash));
        changes.iter_mut().enumerate().for_each(|(number, change)| change.number = number);
        self.storage.transact(locks, &changes).map(drop)
    }

    /// Removes the file and tells everybody.
    pub(super) fn destroy(&self) -> Result<()> {
        self.name()?;
        let storage = &self.storage;
        self.check_name_now()?;
        std::fs::remove_file(&storage.path).map_err(|error| storage.io("remove it", error))?;
        storage.memory.store32(live::GONE, 1, Release);
        storage.wake_everybody();
        Ok(())
    }
}

/// The lock of a key's shard among those held.
fn lock_of<'a, 'b>(locks: &'b [Locked<'a>], key: &Key<'_>) -> &'b Locked<'a> {
    locks.iter().find(|lock| lock.shard.index == key.shard).expect("every key's shard was locked")
}

/// When an entry with that much time left ends, in nanoseconds of the boot.
fn deadline(left: Duration) -> u64 {
    clock::boottime_ns().saturating_add(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX))
}
