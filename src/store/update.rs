//! Read, compute, write back, and again if somebody else was faster.

use serde::{Serialize, de::DeserializeOwned};

use super::{Sync, claim::Races, codec, scratch::Scratch};
use crate::{
    driver::{Lifetime, Op},
    error::{Error, Result},
};

impl Sync {
    /// Replaces the value of `key` by what `f` makes of it, as if nobody else were there; tells the new value.
    ///
    /// `f` gets `None` where nothing is (or a null that `T` has no place for), and may run several times: it should
    /// only compute. When it returns `None`, the key is removed. The entry keeps its lifetime. Waiting is bounded by
    /// the others' progress: after 16 lost races callers take turns, also across processes.
    ///
    /// # Errors
    /// As [`Sync::get`] and [`Sync::set`]; `Conflict` when others were faster an absurd number of times. Nothing is
    /// changed then.
    ///
    /// # Crash safety
    /// Killed at any instruction, or panicking in `f`, the old value is there or the new one.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.update("visits", |visits: Option<u64>| Some(visits.unwrap_or(0) + 1))?;
    /// let visits = store.update("visits", |visits: Option<u64>| Some(visits.unwrap_or(0) + 1))?;
    /// assert_eq!(visits, Some(2));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "modify")]
    #[doc(alias = "fetch_update")]
    #[doc(alias = "compute")]
    pub fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>> {
        self.try_update(key, |old| Ok::<_, Error>(f(old)))
    }

    /// As [`Sync::update`], with a closure that can fail: its error changes nothing and is returned.
    ///
    /// # Errors
    /// Those of the closure and of [`Sync::update`].
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("stock", &0)?;
    /// let taken = store.try_update("stock", |stock: Option<u32>| match stock {
    ///     Some(0) | None => Err(shmsync::Error::new(shmsync::ErrorKind::Absent, "sold out")),
    ///     Some(n) => Ok(Some(n - 1)),
    /// });
    /// assert!(taken.is_err());
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    pub fn try_update<T: Serialize + DeserializeOwned, E: From<Error>>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<T>) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        self.writable()?;
        let mut races = Races::new(self);
        let mut encoded = Scratch::<Vec<u8>>::take();
        loop {
            let seen = self.read_encoded(key, &mut encoded)?;
            let old = if seen.is_some() { codec::decode_or_null(key, &encoded)? } else { None };
            let new = f(old)?;
            let op = match &new {
                None if seen.is_none() => return Ok(None),
                None => Op::Delete,
                Some(value) => {
                    encoded.clear();
                    codec::encode(key, value, &mut encoded)?;
                    Op::Put { value: &encoded, lifetime: Lifetime::Keep }
                }
            };
            match self.commit_one(key, seen, op)? {
                Ok(_) => return Ok(new),
                Err(_) => races.lost(key)?,
            }
        }
    }

    /// Calls [`Sync::update`] for every entry whose key begins with `prefix`, in order of the keys, each on its own;
    /// tells how many were changed or removed.
    ///
    /// A value that `f` returns unchanged is not written: it stays byte for byte, with its revision. `None` removes.
    /// Entries that come or go meanwhile may be seen or not.
    ///
    /// # Errors
    /// As [`Sync::update`] for any of them; what was changed before stays changed.
    ///
    /// # Crash safety
    /// Killed at any instruction, each key has its old or its new value; the first keys may be new and the last ones old.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("a", &1)?;
    /// store.set("b", &2)?;
    /// let changed = store.update_each("", |_, n: i64| Some(n.max(2)))?;
    /// assert_eq!(changed, 1);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "for_each")]
    pub fn update_each<T: Serialize + DeserializeOwned>(
        &self,
        prefix: &str,
        mut f: impl FnMut(&str, T) -> Option<T>,
    ) -> Result<usize> {
        self.writable()?;
        let mut changed = 0;
        for key in self.keys(prefix)? {
            changed += usize::from(self.update_unequal(&key, &mut f)?);
        }
        Ok(changed)
    }

    /// Tells whether something was changed.
    fn update_unequal<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        f: &mut impl FnMut(&str, T) -> Option<T>,
    ) -> Result<bool> {
        let mut races = Races::new(self);
        let (mut before, mut after) = (Scratch::<Vec<u8>>::take(), Scratch::<Vec<u8>>::take());
        loop {
            let Some(seen) = self.read_encoded(key, &mut before)? else { return Ok(false) };
            let old: T = codec::decode(key, &before)?;
            // Others may have written the same value in another way, so what counts is how we would write it.
            before.clear();
            codec::encode(key, &old, &mut before)?;
            let op = match f(key, old) {
                None => Op::Delete,
                Some(new) => {
                    after.clear();
                    codec::encode(key, &new, &mut after)?;
                    if *after == *before {
                        return Ok(false);
                    }
                    Op::Put { value: &after, lifetime: Lifetime::Keep }
                }
            };
            match self.commit_one(key, Some(seen), op)? {
                Ok(_) => return Ok(true),
                Err(_) => races.lost(key)?,
            }
        }
    }
}
