//! Changing a region through an attachment: locks, the gate, room, lifetimes.

use std::{sync::atomic::Ordering::Release, time::Duration};

use super::{attachment::Attachment, revision};
use crate::{
    driver::{Access, Commit, Committed, Conflict, Expected, Lifetime, Op, Revision, Space, State, check_value},
    error::{ErrorKind, Result},
    primitive::allowance::Allowance,
    region::layout::live,
    storage::{Change, FEW, Key, Life, Locked, Overwrite, To, Wanted},
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

    /// Frees whatever only rests: blocks that were retired lately, entries that are dead.
    pub(super) fn make_room(&self, allowance: &Allowance) -> Result<()> {
        let me = self.name()?;
        for shard in self.storage.shards() {
            let locked = shard.lock(me, allowance)?;
            locked.bury_all()?;
            locked.free_dead_reservations()?;
            locked.free_retired()?;
            // What somebody could not give back lately.
            locked.give_back()?;
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn life(&self, locked: &Locked<'_>, key: &Key<'_>, lifetime: Lifetime) -> Result<Life> {
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

    pub(super) fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
        commit.check()?;
        match self.commit_at_once(access, commit) {
            Some(revisions) => Ok(Ok(revisions)),
            None => self.commit_thoroughly(access, commit),
        }
    }

    /// What most transactions come to: a few values, each in a shard of its own, take the place of others, which are expected
    /// to be as they were read.
    fn commit_at_once(&self, access: &Access, commit: &Commit<'_>) -> Option<Vec<Option<Revision>>> {
        if !(2..=FEW).contains(&commit.ops.len()) {
            return None;
        }
        let me = self.ready().ok()?.name;
        let mut expect = commit.expect.iter().peekable();
        let mut overwrites = Vec::with_capacity(commit.ops.len());
        for (number, (space, name, op)) in commit.ops.iter().enumerate() {
            let Op::Put { value, lifetime: Lifetime::Forever | Lifetime::Keep } = *op else { return None };
            let expected = match expect.next_if(|(of, key, _)| of == space && std::ptr::eq(*key, *name)) {
                Some((.., Expected::At(revision))) => Some(revision.get()),
                Some(_) => return None,
                None => None,
            };
            let key = self.storage.key(*space, name.as_bytes());
            overwrites.push(Overwrite { key, value, expected, number });
        }
        if expect.next().is_some() {
            return None;
        }
        overwrites.sort_unstable_by_key(|overwrite| overwrite.key.shard);
        if overwrites.windows(2).any(|two| two[0].key.shard == two[1].key.shard) {
            return None;
        }
        let revisions = self.storage.overwrite_together(me, &overwrites, |seized| {
            overwrites.iter().all(|overwrite| self.may_write_at_once(access, overwrite.key.space, seized))
        })?;
        Some(revisions[..overwrites.len()].iter().map(|number| Some(revision(*number))).collect())
    }

    fn commit_thoroughly(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed> {
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
        let (mut made_room, mut waiting, allowance) = (false, None, Allowance::full());
        loop {
            let locks = self.storage.lock_shards(me, shards, &allowance)?;
            if !self.may_write(access, space)? {
                drop(locks);
                self.wait_at_gate(access, &mut waiting)?;
                continue;
            }
            if let Some(conflict) = self.conflict(&locks, commit, &expected)? {
                return Ok(Err(conflict));
            }
            match self.apply(&locks, commit, &mut changes) {
                Err(error) if error.kind() == ErrorKind::Full && !made_room => {
                    drop(locks);
                    self.make_room(&allowance)?;
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
        let (mut made_room, mut waiting, allowance) = (false, None, Allowance::full());
        loop {
            let locks = self.storage.lock_shards(me, self.storage.all_shards(), &allowance)?;
            if !self.may_write(access, space)? {
                drop(locks);
                self.wait_at_gate(access, &mut waiting)?;
                continue;
            }
            match self.replace_locked(&locks, space, prefix, entries, &allowance) {
                Err(error) if error.kind() == ErrorKind::Full && !made_room => {
                    drop(locks);
                    self.make_room(&allowance)?;
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
        allowance: &Allowance,
    ) -> Result<()> {
        let shards = self.storage.all_shards();
        let wanted = Wanted { space, prefix: prefix.as_bytes(), values: false, shards };
        let present = self.storage.scan(&wanted, allowance)?;
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
        storage.memory.store(live::GONE, 1, Release);
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
