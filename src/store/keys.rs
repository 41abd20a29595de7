//! Many values: listing, counting, reading and replacing them at once.

use std::{collections::BTreeMap, fmt, marker::PhantomData, vec};

use serde::{Serialize, de::DeserializeOwned};

use super::{Sync, codec, scratch::Scratch};
use crate::{
    driver::{Driver, Lifetime, Range, Space},
    error::{Error, ErrorKind, Result},
};

impl Sync {
    /// The keys that begin with `prefix`, in their order, as of one look at the store.
    ///
    /// # Errors
    /// `Locked` where somebody has exclusive access for longer than this handle's limit; `Gone`.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("b", &1)?;
    /// store.set("a", &2)?;
    /// assert_eq!(store.keys("")?.collect::<Vec<_>>(), ["a", "b"]);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "list")]
    #[doc(alias = "scan")]
    pub fn keys(&self, prefix: &str) -> Result<Keys> {
        let prefix = self.whole_prefix(prefix)?;
        let entries = self.driver.range(&self.access, Range::keys(Space::Values, &prefix))?;
        let keys: Vec<_> = entries.into_iter().map(|entry| self.own_key(&entry.key).to_owned()).collect();
        Ok(Keys(keys.into_iter()))
    }

    /// The entries whose keys begin with `prefix`, in order of their keys. Each value is read when it comes to it;
    /// what was removed by then is left out.
    ///
    /// # Errors
    /// As [`Sync::keys`]; each step as [`Sync::get`], and `TypeMismatch` for a null that `T` has no place for.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("age/ada", &36)?;
    /// store.set("age/grace", &85)?;
    /// let total = store.iter::<u32>("age/")?.map(|entry| Ok(entry?.1)).sum::<shmsync::Result<u32>>()?;
    /// assert_eq!(total, 121);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "range")]
    #[doc(alias = "entries")]
    pub fn iter<T: DeserializeOwned>(&self, prefix: &str) -> Result<Iter<T>> {
        Ok(Iter { store: self.clone(), keys: self.keys(prefix)?, value: PhantomData })
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// As [`Sync::keys`].
    #[doc(alias = "count")]
    #[doc(alias = "is_empty")]
    #[allow(clippy::len_without_is_empty, reason = "one call more for `len()? == 0` would say nothing new")]
    pub fn len(&self) -> Result<usize> {
        let prefix = self.whole_prefix("")?;
        Ok(self.driver.count(&self.access, Space::Values, &prefix)? as usize)
    }

    /// Removes all values and integers at once; locks and their like stay.
    ///
    /// # Errors
    /// As [`Sync::set`], with nothing changed.
    ///
    /// # Crash safety
    /// Killed at any instruction, all of it is there or nothing.
    #[doc(alias = "truncate")]
    #[doc(alias = "flush_all")]
    pub fn clear(&self) -> Result<()> {
        self.writable()?;
        let prefix = self.whole_prefix("")?;
        self.driver.replace(&self.access, Space::Values, &prefix, &[])
    }

    /// All entries whose keys begin with `prefix`, as of one consistent moment.
    ///
    /// # Errors
    /// As [`Sync::get`] for any of them, and `TypeMismatch` for a null that `T` has no place for. On a read-only handle
    /// `Locked` while writers never pause.
    ///
    /// # Examples
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// let store = shmsync::Sync::open("memory:")?;
    /// let prices = BTreeMap::from([("tea".to_owned(), 3), ("cake".to_owned(), 5)]);
    /// store.replace_all("price/", &prices.iter().map(|(k, v)| (format!("price/{k}"), *v)).collect())?;
    /// assert_eq!(store.read_all::<i32>("price/")?["price/tea"], 3);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "snapshot")]
    pub fn read_all<T: DeserializeOwned>(&self, prefix: &str) -> Result<BTreeMap<String, T>> {
        let prefix = self.whole_prefix(prefix)?;
        let entries = self.driver.snapshot(&self.access, Space::Values, &prefix)?;
        let decoded = entries.into_iter().map(|entry| {
            let key = self.own_key(&entry.key);
            Ok((key.to_owned(), codec::decode(key, &entry.value)?))
        });
        decoded.collect()
    }

    /// Replaces everything whose key begins with `prefix` by `map`, at once. The keys of `map` are whole keys, as
    /// [`Sync::read_all`] returns them.
    ///
    /// # Errors
    /// As [`Sync::set`] for any of them, with nothing changed; `Invalid` for a key that does not begin with `prefix`.
    ///
    /// # Crash safety
    /// Killed at any instruction, everything is as before, or everything is replaced.
    pub fn replace_all<T: Serialize>(&self, prefix: &str, map: &BTreeMap<String, T>) -> Result<()> {
        self.writable()?;
        let whole_prefix = self.whole_prefix(prefix)?;
        let encoded = map.iter().map(|(key, value)| {
            require_prefix(key, prefix)?;
            let mut bytes = Vec::new();
            codec::encode(key, value, &mut bytes)?;
            Ok((self.whole_key(key)?, bytes, Lifetime::Forever))
        });
        let entries = encoded.collect::<Result<Vec<_>>>()?;
        self.driver.replace(&self.access, Space::Values, &whole_prefix, &entries)
    }
}

pub(super) fn require_prefix(key: &str, prefix: &str) -> Result<()> {
    if key.starts_with(prefix) {
        return Ok(());
    }
    let message = format!("key {key:?} does not begin with {prefix:?}, the prefix to be replaced: give whole keys");
    Err(Error::new(ErrorKind::Invalid, message))
}

/// Keys in their order; made by [`Sync::keys`].
#[derive(Debug, Clone)]
pub struct Keys(vec::IntoIter<String>);

impl Iterator for Keys {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for Keys {
    fn next_back(&mut self) -> Option<String> {
        self.0.next_back()
    }
}

impl ExactSizeIterator for Keys {}

/// Entries in order of their keys; made by [`Sync::iter`].
pub struct Iter<T> {
    store: Sync,
    keys: Keys,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Iterator for Iter<T> {
    type Item = Result<(String, T)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut value = Scratch::<Vec<u8>>::take();
        loop {
            let key = self.keys.next()?;
            match self.store.read_encoded(&key, &mut value) {
                Ok(Some(_)) => return Some(codec::decode(&key, &value).map(|value| (key, value))),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.keys.size_hint().1)
    }
}

impl<T> fmt::Debug for Iter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("left", &self.keys.len()).finish()
    }
}
