//! Values under keys.

use serde::{Serialize, de::DeserializeOwned};

use super::{Sync, codec, scratch::Scratch};
use crate::{
    driver::{Commit, Conflict, Driver, Expected, Lifetime, Op, Revision, Space},
    error::{Error, ErrorKind, Result},
};

impl Sync {
    /// The value of `key`; `None` when it is absent. It never waits for a writer.
    ///
    /// A stored null is `None` too, unless `T` has a place for it: `get::<Option<U>>` gives `Some(None)`.
    /// Any value can be read as [`Value`](crate::Value).
    ///
    /// # Errors
    /// `TypeMismatch` when the value is no `T`, `Corrupt` when it is no MessagePack at all; `Invalid` for a bad key;
    /// `Locked` where somebody has exclusive access for longer than this handle's limit; `Gone`.
    ///
    /// # Crash safety
    /// What is returned was written completely, whoever was killed meanwhile.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("list", &[1, 2, 3])?;
    /// assert_eq!(store.get::<Vec<u8>>("list")?, Some(vec![1, 2, 3]));
    /// assert_eq!(store.get::<Vec<u8>>("other")?, None);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "read")]
    #[doc(alias = "fetch")]
    #[doc(alias = "load")]
    #[doc(alias = "__get")]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let mut value = Scratch::<Vec<u8>>::take();
        match self.read_encoded(key, &mut value)? {
            Some(_) => codec::decode_or_null(key, &value),
            None => Ok(None),
        }
    }

    /// The value of `key`, or `default` when it is absent or null.
    ///
    /// # Errors
    /// As [`Sync::get`].
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// assert_eq!(store.get_or("retries", 3)?, 3);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    pub fn get_or<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T> {
        let mut value = Scratch::<Vec<u8>>::take();
        match self.read_encoded(key, &mut value)? {
            Some(_) if **value != codec::NULL => codec::decode(key, &value),
            _ => Ok(default),
        }
    }

    /// The value of `key` and when it was written, for [`Sync::compare_and_set`].
    ///
    /// # Errors
    /// As [`Sync::get`].
    pub fn get_versioned<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(T, Revision)>> {
        let mut value = Scratch::<Vec<u8>>::take();
        match self.read_encoded(key, &mut value)? {
            Some(revision) => Ok(codec::decode_or_null(key, &value)?.map(|value| (value, revision))),
            None => Ok(None),
        }
    }

    /// The bytes stored by [`Sync::set_bytes`], or by anybody as MessagePack `bin`.
    ///
    /// # Errors
    /// As [`Sync::get`]; `TypeMismatch` for everything that is not `bin`.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set_bytes("image", &[0xff, 0xd8])?;
    /// assert_eq!(store.get_bytes("image")?, Some(vec![0xff, 0xd8]));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    pub fn get_bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut value = Scratch::<Vec<u8>>::take();
        match self.read_encoded(key, &mut value)? {
            Some(_) if **value == codec::NULL => Ok(None),
            Some(_) => codec::decode_bytes(key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Copies the raw MessagePack of `key` into a buffer of the caller's and tells its revision; `None` when absent.
    /// Nothing is allocated once the buffer is large enough.
    ///
    /// # Errors
    /// As [`Sync::get`], but nothing is decoded.
    pub fn read_encoded(&self, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        if self.is_whole(key) {
            return self.driver.get(&self.access, Space::Values, key, into);
        }
        self.read_encoded_within(key, into)
    }

    /// The same within a namespace, or of a bad key.
    #[inline(never)]
    fn read_encoded_within(&self, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        self.driver.get(&self.access, Space::Values, &self.whole_key_kept(key)?, into)
    }

    /// Stores `value`, whatever was there, until it is removed.
    ///
    /// # Errors
    /// `Invalid` for a bad key or a value that cannot be encoded, `TooLarge`, `Full`, each with nothing changed;
    /// `Permission` on a read-only handle; `Locked` and `Lost` around [exclusive](Sync::exclusive) access; `Gone`.
    ///
    /// # Crash safety
    /// Killed at any instruction, the old value is there or the new one, each complete.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// let first = store.set("name", "Ada")?;
    /// let second = store.set("name", "Grace")?;
    /// assert!(second > first);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "put")]
    #[doc(alias = "insert")]
    #[doc(alias = "write")]
    #[doc(alias = "store")]
    #[doc(alias = "__set")]
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<Revision> {
        self.set_with(key, value, Lifetime::Forever)
    }

    /// Stores `value` for that long.
    ///
    /// # Errors
    /// As [`Sync::set`]; `Invalid` for a TTL of zero.
    ///
    /// # Crash safety
    /// As [`Sync::set`].
    ///
    /// # Examples
    /// ```
    /// use std::{thread::sleep, time::Duration};
    /// use shmsync::Lifetime;
    ///
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set_with("session", "abc", Lifetime::Ttl(Duration::from_millis(20)))?;
    /// assert!(store.contains("session")?);
    /// sleep(Duration::from_millis(30));
    /// assert!(!store.contains("session")?);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "setex")]
    #[doc(alias = "lease")]
    #[doc(alias = "expire")]
    pub fn set_with<T: Serialize + ?Sized>(&self, key: &str, value: &T, lifetime: Lifetime) -> Result<Revision> {
        let mut encoded = Scratch::<Vec<u8>>::take();
        codec::encode(key, value, &mut encoded)?;
        self.put(key, &encoded, lifetime)
    }

    /// Stores bytes as MessagePack `bin`.
    ///
    /// # Errors
    /// As [`Sync::set`].
    ///
    /// # Crash safety
    /// As [`Sync::set`].
    pub fn set_bytes(&self, key: &str, bytes: &[u8]) -> Result<Revision> {
        codec::check_size(key, bytes.len())?;
        let mut encoded = Scratch::<Vec<u8>>::take();
        codec::encode_bytes(bytes, &mut encoded);
        self.put(key, &encoded, Lifetime::Forever)
    }

    /// Stores a value that is MessagePack already.
    ///
    /// # Errors
    /// As [`Sync::set`]; `Invalid` when the bytes are not exactly one value.
    ///
    /// # Crash safety
    /// As [`Sync::set`].
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set_encoded("five", &[0x05])?;
    /// assert_eq!(store.get::<i64>("five")?, Some(5));
    /// assert!(store.set_encoded("five", &[0x05, 0x06]).is_err());
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    pub fn set_encoded(&self, key: &str, msgpack: &[u8]) -> Result<Revision> {
        codec::check_size(key, msgpack.len())?;
        codec::check_encoded(key, msgpack)?;
        self.put(key, msgpack, Lifetime::Forever)
    }

    /// Stores `value` if `key` is still as it was: at that revision, or absent for `None`. Otherwise nothing is changed
    /// and the answer tells what is there. The entry keeps its lifetime.
    ///
    /// # Errors
    /// As [`Sync::set`]. That somebody was faster is no error but the inner `Err`.
    ///
    /// # Crash safety
    /// As [`Sync::set`].
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// let revision = store.compare_and_set("seat", None, "Ada")?.expect("it was free");
    /// assert!(store.compare_and_set("seat", None, "Grace")?.is_err());
    /// assert!(store.compare_and_set("seat", Some(revision), "Grace")?.is_ok());
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "cas")]
    #[doc(alias = "compare_and_swap")]
    #[doc(alias = "compare_exchange")]
    pub fn compare_and_set<T: Serialize + ?Sized>(
        &self,
        key: &str,
        expected: Option<Revision>,
        value: &T,
    ) -> Result<Result<Revision, Conflict>> {
        let mut encoded = Scratch::<Vec<u8>>::take();
        codec::encode(key, value, &mut encoded)?;
        let put = Op::Put { value: &encoded, lifetime: Lifetime::Keep };
        Ok(match self.commit_one(key, expected, put)? {
            Ok(revision) => Ok(revision.expect("a put has a revision")),
            Err(conflict) => Err(Conflict { key: key.to_owned(), ..conflict }),
        })
    }

    /// Whether `key` is there and not null.
    ///
    /// # Errors
    /// As [`Sync::read_encoded`].
    #[doc(alias = "has")]
    #[doc(alias = "exists")]
    #[doc(alias = "isset")]
    #[doc(alias = "contains_key")]
    pub fn contains(&self, key: &str) -> Result<bool> {
        let mut value = Scratch::<Vec<u8>>::take();
        Ok(self.read_encoded(key, &mut value)?.is_some() && **value != codec::NULL)
    }

    /// Removes `key`; tells whether it was there.
    ///
    /// # Errors
    /// As [`Sync::set`].
    ///
    /// # Crash safety
    /// Killed at any instruction, the key is there or it is not.
    #[doc(alias = "delete")]
    #[doc(alias = "del")]
    #[doc(alias = "unset")]
    pub fn remove(&self, key: &str) -> Result<bool> {
        self.writable()?;
        self.with_key(key, |key| self.driver.delete(&self.access, Space::Values, key))
    }

    fn put(&self, key: &str, encoded: &[u8], lifetime: Lifetime) -> Result<Revision> {
        self.writable()?;
        check_lifetime(key, lifetime)?;
        if self.is_whole(key) {
            return self.driver.put(&self.access, Space::Values, key, encoded, lifetime);
        }
        self.put_within(key, encoded, lifetime)
    }

    /// The same within a namespace, or with a bad key.
    #[inline(never)]
    fn put_within(&self, key: &str, encoded: &[u8], lifetime: Lifetime) -> Result<Revision> {
        self.driver.put(&self.access, Space::Values, &self.whole_key_kept(key)?, encoded, lifetime)
    }

    /// Changes one key if it still is as it was seen.
    pub(super) fn commit_one(
        &self,
        key: &str,
        seen: Option<Revision>,
        op: Op<'_>,
    ) -> Result<Result<Option<Revision>, Conflict>> {
        self.writable()?;
        self.with_key(key, |key| {
            let expect = vec![(Space::Values, key, expected(seen))];
            let commit = Commit { expect, ops: vec![(Space::Values, key, op)] };
            Ok(self.driver.commit(&self.access, &commit)?.map(|revisions| revisions[0]))
        })
    }
}

/// As it was seen.
pub(super) fn expected(seen: Option<Revision>) -> Expected {
    seen.map_or(Expected::Absent, Expected::At)
}

#[inline]
pub(super) fn check_lifetime(key: &str, lifetime: Lifetime) -> Result<()> {
    if matches!(lifetime, Lifetime::Ttl(ttl) if ttl.is_zero()) {
        let message = format!("key {key:?} was given a TTL of zero: give it a longer one, or remove it");
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(())
}
