//! Shared integers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use super::{Sync, registry, scratch::Scratch};
use crate::{
    driver::{Driver, Lifetime, Revision, Space, number},
    error::{Error, ErrorKind, Result},
};

/// An integer of the store, and what this process last knew of it; made by [`Sync::integer`].
#[derive(Clone)]
pub struct Integer {
    store: Sync,
    key: String,
    known: Arc<AtomicI64>,
}

impl Sync {
    /// The integer under `key`, whether it is there or not. It is a value like any other: [`Sync::get`] reads it too.
    ///
    /// All handles on the same integer in one process share what they [know](Integer::known) of it.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// let hits = store.integer("hits");
    /// assert_eq!(hits.increment(1)?, 1);
    /// assert_eq!(hits.increment(10)?, 11);
    /// assert_eq!(store.get::<i64>("hits")?, Some(11));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "counter")]
    #[doc(alias = "atomic")]
    pub fn integer(&self, key: &str) -> Integer {
        // A bad key is told by the first call that can fail; until then it only needs to be the same each time.
        let whole = self.whole_key(key).unwrap_or_default();
        let known = registry::known(self.identity(), &whole);
        Integer { store: self.clone(), key: key.to_owned(), known }
    }
}

impl Integer {
    /// Adds `by` and tells the sum. A missing integer counts as 0 and is created. Every caller gets its own result.
    ///
    /// # Errors
    /// `Overflow`, also where the value is larger than an `i64`, and `TypeMismatch`, each with nothing changed; else as
    /// [`Sync::set`].
    ///
    /// # Crash safety
    /// Killed at any instruction, all of `by` was added or nothing.
    #[doc(alias = "incr")]
    #[doc(alias = "add")]
    #[doc(alias = "fetch_add")]
    pub fn increment(&self, by: i64) -> Result<i64> {
        self.store.writable()?;
        let (sum, _) = if self.store.is_whole(&self.key) {
            self.store.driver.add(&self.store.access, Space::Values, &self.key, by)?
        } else {
            self.increment_within(by)?
        };
        Ok(self.learn(sum))
    }

    /// The same within a namespace, or with a bad key.
    #[inline(never)]
    fn increment_within(&self, by: i64) -> Result<(i64, Revision)> {
        let key = self.store.whole_key_kept(&self.key)?;
        self.store.driver.add(&self.store.access, Space::Values, &key, by)
    }

    /// Subtracts `by` and tells the difference.
    ///
    /// # Errors
    /// As [`Integer::increment`].
    ///
    /// # Crash safety
    /// As [`Integer::increment`].
    #[doc(alias = "decr")]
    #[doc(alias = "sub")]
    #[doc(alias = "fetch_sub")]
    pub fn decrement(&self, by: i64) -> Result<i64> {
        let negated = by.checked_neg().ok_or_else(|| {
            let message = format!("integer {:?} cannot be decremented by {by}: that has no negative", self.key);
            Error::new(ErrorKind::Overflow, message)
        })?;
        self.increment(negated)
    }

    /// Sets the integer, whatever value was there.
    ///
    /// # Errors
    /// As [`Sync::set`].
    ///
    /// # Crash safety
    /// As [`Sync::set`].
    pub fn set(&self, value: i64) -> Result<()> {
        self.store.writable()?;
        let mut buffer = [0; number::MAX_LEN];
        let encoded = number::encode(value, &mut buffer);
        let put = |key: &str| self.store.driver.put(&self.store.access, Space::Values, key, encoded, Lifetime::Forever);
        self.store.with_key(&self.key, put)?;
        self.learn(value);
        Ok(())
    }

    /// The actual value; `None` when it is missing.
    ///
    /// # Errors
    /// `TypeMismatch`, `Overflow` when it is larger than an `i64`; else as [`Sync::get`].
    #[doc(alias = "load")]
    #[doc(alias = "actual")]
    pub fn get(&self) -> Result<Option<i64>> {
        let mut value = Scratch::<Vec<u8>>::take();
        let actual = match self.store.read_encoded(&self.key, &mut value)? {
            Some(_) => Some(number::decode(&self.key, &value)?),
            None => None,
        };
        self.learn(actual.unwrap_or(0));
        Ok(actual)
    }

    /// What this process last knew of the integer, 0 where it knows nothing. Nothing shared is touched.
    pub fn known(&self) -> i64 {
        self.known.load(Ordering::Relaxed)
    }

    /// Makes the actual value known, and tells it.
    ///
    /// # Errors
    /// `Absent` when it is missing; else as [`Integer::get`].
    pub fn refresh(&self) -> Result<i64> {
        self.get()?.ok_or_else(|| {
            let message = format!("integer {:?} does not exist: increment or set it first", self.key);
            Error::new(ErrorKind::Absent, message)
        })
    }

    /// Removes the integer; tells whether it was there.
    ///
    /// # Errors
    /// As [`Sync::remove`].
    ///
    /// # Crash safety
    /// As [`Sync::remove`].
    #[doc(alias = "delete")]
    pub fn remove(&self) -> Result<bool> {
        let removed = self.store.remove(&self.key)?;
        self.learn(0);
        Ok(removed)
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// As [`Sync::contains`].
    pub fn exists(&self) -> Result<bool> {
        self.store.contains(&self.key)
    }

    /// The same integer with a known value of its own, beginning with what is known now.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { known: Arc::new(AtomicI64::new(self.known())), ..self.clone() }
    }

    fn learn(&self, value: i64) -> i64 {
        self.known.store(value, Ordering::Relaxed);
        value
    }
}

impl fmt::Debug for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integer").field("key", &self.key).field("known", &self.known()).finish()
    }
}
