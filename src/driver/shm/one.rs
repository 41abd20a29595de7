//! Changing one key through an attachment: the short way first, and the long way where that does not lead on.

use std::time::Instant;

use super::{attachment::Attachment, owner_id, revision};
use crate::{
    driver::{Access, Expected, Lifetime, Op, Revision, Space, State, check_value, number},
    error::{Error, ErrorKind, Result},
    primitive::allowance::Allowance,
    storage::{Key, LARGE, Life, Locked, Seized, Shape},
};

impl Attachment {
    /// Does something under the lock of a key's shard, once the gate lets it; a second time when room had to be made.
    /// The lock may be held already.
    fn change<T>(
        &self,
        mut held: Option<Seized<'_>>,
        access: &Access,
        key: &Key<'_>,
        mut change: impl FnMut(&Locked<'_>) -> Result<T>,
    ) -> Result<T> {
        // Whoever holds the lock was asked for its name before: this cannot fail with the lock held.
        let me = self.name()?;
        let (mut made_room, mut waiting, allowance) = (None, None, Allowance::full());
        loop {
            let locked = match held.take() {
                Some(seized) => seized.into_locked(me, &allowance)?,
                None => self.storage.shard(key.shard).lock(me, &allowance)?,
            };
            if !self.may_write(access, key.space)? {
                drop(locked);
                self.wait_at_gate(access, &mut waiting)?;
                continue;
            }
            match change(&locked) {
                Err(error) => {
                    drop(locked);
                    made_room = Some(self.make_room_for(*key, error, made_room, &allowance)?);
                }
                answer => return answer,
            }
        }
    }

    /// Makes room if that is what was missing, and only once; since when.
    #[cold]
    fn make_room_for(
        &self,
        key: Key<'_>,
        error: Error,
        made_room: Option<Instant>,
        allowance: &Allowance,
    ) -> Result<Instant> {
        if error.kind() != ErrorKind::Full {
            return Err(error);
        }
        if let Some(begun) = made_room {
            crate::trace::full(&self.storage.path, key.bytes, begun.elapsed());
            return Err(error);
        }
        let begun = Instant::now();
        self.make_room(allowance)?;
        Ok(begun)
    }

    #[inline(always)]
    pub(super) fn put(
        &self,
        access: &Access,
        space: Space,
        name: &str,
        value: &[u8],
        lifetime: Lifetime,
    ) -> Result<Revision> {
        if value.len() >= LARGE {
            return self.put_long(access, space, name, value, lifetime);
        }
        let me = self.ready()?.name;
        let key = self.storage.key(space, name.as_bytes());
        let Some(seized) = self.storage.seize(me, &key) else {
            return self.put_thoroughly(None, access, key, value, lifetime);
        };
        // What is overwritten lasts for ever, too.
        if matches!(lifetime, Lifetime::Forever | Lifetime::Keep)
            && self.may_write_at_once(access, space, seized)
            && seized.is_sound()
            && let Some(found) = seized.find(&key)
            && let Some(number) = seized.overwrite(found, &key, value)
        {
            seized.release();
            return Ok(revision(number));
        }
        self.put_thoroughly(Some(seized), access, key, value, lifetime)
    }

    /// Any other put. The key is handed over as a whole, so that nobody has to keep one in memory for it.
    #[inline(never)]
    fn put_thoroughly(
        &self,
        held: Option<Seized<'_>>,
        access: &Access,
        key: Key<'_>,
        value: &[u8],
        lifetime: Lifetime,
    ) -> Result<Revision> {
        self.change(held, access, &key, |locked| {
            let life = self.life(locked, &key, lifetime)?;
            locked.put(&key, value, life).map(revision)
        })
    }

    #[cold]
    fn put_long(
        &self,
        access: &Access,
        space: Space,
        name: &str,
        value: &[u8],
        lifetime: Lifetime,
    ) -> Result<Revision> {
        check_value(name, value)?;
        self.ready()?;
        let key = self.storage.key(space, name.as_bytes());
        if let Some(revision) = self.put_large(access, &key, value, lifetime)? {
            return Ok(revision);
        }
        self.put_thoroughly(None, access, key, value, lifetime)
    }

    /// Changes one key if it is as expected, without the lists that a commit of many needs.
    #[inline(always)]
    pub(super) fn change_one(
        &self,
        access: &Access,
        space: Space,
        name: &str,
        expected: Expected,
        op: Op<'_>,
    ) -> Result<std::result::Result<Option<Revision>, Option<Revision>>> {
        let me = self.ready()?.name;
        let key = self.storage.key(space, name.as_bytes());
        let Some(seized) = self.storage.seize(me, &key) else {
            return self.change_one_thoroughly(None, access, key, expected, op);
        };
        if self.may_write_at_once(access, space, seized)
            && seized.is_sound()
            && let Some(answer) = change_at_once(seized, &key, expected, op)
        {
            seized.release();
            return Ok(answer);
        }
        self.change_one_thoroughly(Some(seized), access, key, expected, op)
    }

    #[inline(never)]
    fn change_one_thoroughly(
        &self,
        held: Option<Seized<'_>>,
        access: &Access,
        key: Key<'_>,
        expected: Expected,
        op: Op<'_>,
    ) -> Result<std::result::Result<Option<Revision>, Option<Revision>>> {
        self.change(held, access, &key, |locked| {
            locked.bury()?;
            let (found, current) = locked.look_up(&key)?;
            let current = current.map(revision);
            if !expected.holds(current) {
                return Ok(Err(current));
            }
            Ok(Ok(match op {
                Op::Put { value, lifetime } => {
                    let life = self.life(locked, &key, lifetime)?;
                    Some(revision(locked.put_over(found, &key, value, life)?))
                }
                Op::Delete => {
                    let deleted = locked.delete_found(found, &key)?;
                    deleted.and_then(|(state, number)| (state == State::Live).then(|| revision(number)))
                }
            }))
        })
    }

    /// Fills a large value outside the lock; `None` when that cannot be had now.
    fn put_large(&self, access: &Access, key: &Key<'_>, value: &[u8], lifetime: Lifetime) -> Result<Option<Revision>> {
        let me = self.me()?;
        let owner = owner_id(me.number, me.name.slot).0;
        let reserved = self.change(None, access, key, |locked| {
            let life = self.life(locked, key, lifetime)?;
            let shape = Shape::new(key.space, key.bytes.len(), value.len(), life);
            Ok((locked.reserve_block(owner, shape)?, life))
        })?;
        let (Some(reservation), life) = reserved else { return Ok(None) };
        let checksum = self.storage.fill_reserved(&reservation, key, value, life);
        let put = self.change(None, access, key, |locked| {
            let Some(checksum) = checksum else { return Err(locked.corrupt("a block lies outside the store")) };
            // A lifetime to be kept may have become another: then the record's form is another too.
            if lifetime == Lifetime::Keep && self.life(locked, key, lifetime)? != life {
                locked.cancel(&reservation)?;
                return Ok(None);
            }
            locked.put_reserved(key, &reservation, checksum, life)
        });
        if put.is_err()
            && let Ok(locked) = self.storage.shard(key.shard).lock(me.name, &Allowance::full())
        {
            // Should this fail too, the block comes back when this process ends.
            let _ = locked.cancel(&reservation);
        }
        Ok(put?.map(revision))
    }

    pub(super) fn delete(&self, access: &Access, space: Space, key: &str) -> Result<bool> {
        self.ready()?;
        let key = self.storage.key(space, key.as_bytes());
        self.change(None, access, &key, |locked| Ok(matches!(locked.delete(&key)?, Some((State::Live, _)))))
    }

    #[inline(always)]
    pub(super) fn add(&self, access: &Access, space: Space, name: &str, delta: i64) -> Result<(i64, Revision)> {
        let me = self.ready()?.name;
        let key = self.storage.key(space, name.as_bytes());
        let Some(seized) = self.storage.seize(me, &key) else {
            return self.add_thoroughly(None, access, key, name, delta);
        };
        if self.may_write_at_once(access, space, seized)
            && seized.is_sound()
            && let Some(found) = seized.find(&key)
            && let Some(sum) = sum(found.short_value(), delta)
            && let Some(number) = seized.overwrite(found, &key, number::encode(sum, &mut [0; number::MAX_LEN]))
        {
            seized.release();
            return Ok((sum, revision(number)));
        }
        self.add_thoroughly(Some(seized), access, key, name, delta)
    }

    #[inline(never)]
    fn add_thoroughly(
        &self,
        held: Option<Seized<'_>>,
        access: &Access,
        key: Key<'_>,
        name: &str,
        delta: i64,
    ) -> Result<(i64, Revision)> {
        self.change(held, access, &key, |locked| {
            locked.bury()?;
            let found = locked.find(&key)?;
            let (number, life) = match locked.live_at(found)? {
                Some(current) => {
                    let bytes = current.record.short_value(current.shape);
                    (number::decode_short(name, bytes, current.shape.value_len)?, current.life)
                }
                None => (0, Life::Forever),
            };
            let sum = number::add(name, number, delta)?;
            let mut buffer = [0; number::MAX_LEN];
            let number = locked.put_over(found, &key, number::encode(sum, &mut buffer), life)?;
            Ok((sum, revision(number)))
        })
    }
}

/// Changes one key of a sound shard, where that is simple: a value that was not expected to be there is put, or one is
/// removed that was.
#[inline(always)]
fn change_at_once(
    seized: Seized<'_>,
    key: &Key<'_>,
    expected: Expected,
    op: Op<'_>,
) -> Option<std::result::Result<Option<Revision>, Option<Revision>>> {
    let number = match (expected, op) {
        (Expected::Absent, Op::Put { value, lifetime: Lifetime::Forever | Lifetime::Keep }) => {
            seized.insert(key, value)?
        }
        (Expected::At(seen), Op::Delete) => {
            let found = seized.find(key).filter(|found| found.revision() == seen.get())?;
            seized.remove(found, key)?
        }
        _ => return None,
    };
    Some(Ok(Some(revision(number))))
}

/// The sum of an integer that is there and another one; `None` when something is wrong with either.
#[inline(always)]
fn sum((bytes, len): ([u8; 16], usize), delta: i64) -> Option<i64> {
    number::read(bytes, len).ok()?.checked_add(delta)
}
