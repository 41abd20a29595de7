//! Several keys at once.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Sync,
    claim::Races,
    codec,
    scratch::Scratch,
    touched::{Item, Read, Touched, Write},
    values::{check_lifetime, expected},
};
use crate::{
    driver::{Commit, Driver, Lifetime, MAX_OPERATIONS, Op, Space, State, number},
    error::{Error, ErrorKind, Result},
};

/// What a closure of [`Sync::transaction`] reads and writes through.
///
/// All it reads is consistent: an earlier value that was overtaken ends the attempt at the next read, and the closure
/// runs again.
#[derive(Debug)]
pub struct Transaction<'a> {
    store: &'a Sync,
    touched: Touched,
    /// The key that somebody else changed meanwhile.
    overtaken: Option<String>,
}

impl Sync {
    /// Runs `f` and then does all it wrote at once, if nothing it read was changed meanwhile; else runs it again.
    ///
    /// `f` may run several times: it should only compute. An error of it changes nothing and is returned. After 16 lost
    /// races callers take turns, also across processes.
    ///
    /// # Errors
    /// Those of `f`; as [`Sync::get`] and [`Sync::set`]; `TooLarge` for more than 1,024 reads or writes; `Conflict` when
    /// others were faster an absurd number of times. Nothing is changed then.
    ///
    /// # Crash safety
    /// Killed at any instruction, or panicking in `f`, all of it is done or nothing.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("ada", &100)?;
    /// store.transaction(|tx| {
    ///     tx.increment("ada", -30)?;
    ///     tx.increment("grace", 30)
    /// })?;
    /// assert_eq!(store.get("ada")?, Some(70));
    /// assert_eq!(store.get("grace")?, Some(30));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "begin")]
    #[doc(alias = "atomically")]
    #[doc(alias = "stm")]
    #[doc(alias = "multi")]
    #[doc(alias = "txn")]
    pub fn transaction<R>(&self, f: impl FnMut(&mut Transaction<'_>) -> Result<R>) -> Result<R> {
        self.try_transaction(f)
    }

    /// As [`Sync::transaction`], for closures with an error type of their own, which ends it with `?`.
    ///
    /// # Errors
    /// As [`Sync::transaction`].
    pub fn try_transaction<R, E: From<Error>>(
        &self,
        mut f: impl FnMut(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut races = Races::new(self);
        loop {
            let mut transaction = Transaction { store: self, touched: Touched::default(), overtaken: None };
            let answer = f(&mut transaction);
            // Whatever the closure made of it: what it saw was not one state of the store.
            if let Some(key) = transaction.overtaken.take() {
                races.lost(&key)?;
                continue;
            }
            let answer = answer?;
            match transaction.commit()? {
                None => return Ok(answer),
                Some(key) => races.lost(&key)?,
            }
        }
    }
}

impl Transaction<'_> {
    /// The value of `key` as this transaction sees it, its own writes included; else as [`Sync::get`].
    ///
    /// # Errors
    /// As [`Sync::get`]; `Conflict` when an earlier read was overtaken: hand it on, the closure runs again.
    pub fn get<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        match self.read(key)? {
            Some(value) => codec::decode_or_null(key, value),
            None => Ok(None),
        }
    }

    /// Whether `key` is there and not null.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    #[doc(alias = "has")]
    pub fn contains(&mut self, key: &str) -> Result<bool> {
        Ok(self.read(key)?.is_some_and(|value| value != codec::NULL))
    }

    /// Stores `value` when the transaction is done.
    ///
    /// # Errors
    /// `Invalid` for a bad key or a value that cannot be encoded, `TooLarge`, `Permission` on a read-only handle.
    #[doc(alias = "put")]
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<()> {
        self.set_with(key, value, Lifetime::Forever)
    }

    /// Stores `value` for that long when the transaction is done.
    ///
    /// # Errors
    /// As [`Transaction::set`]; `Invalid` for a TTL of zero.
    pub fn set_with<T: Serialize + ?Sized>(&mut self, key: &str, value: &T, lifetime: Lifetime) -> Result<()> {
        check_lifetime(key, lifetime)?;
        let mut encoded = Scratch::<Vec<u8>>::take();
        codec::encode(key, value, &mut encoded)?;
        self.write(key, Write::Put(encoded, lifetime))
    }

    /// Removes `key` when the transaction is done; tells whether it is there.
    ///
    /// # Errors
    /// As [`Transaction::get`] and [`Transaction::set`].
    #[doc(alias = "delete")]
    pub fn remove(&mut self, key: &str) -> Result<bool> {
        let was_there = self.read(key)?.is_some();
        self.write(key, Write::Delete)?;
        Ok(was_there)
    }

    /// Adds `by` to an integer, 0 where absent, and tells the sum. The entry keeps its lifetime.
    ///
    /// # Errors
    /// `Overflow`, `TypeMismatch`; else as [`Transaction::get`] and [`Transaction::set`].
    #[doc(alias = "add")]
    pub fn increment(&mut self, key: &str, by: i64) -> Result<i64> {
        let index = self.touch(key)?;
        let item = self.touched.item(index);
        let number = item.value().map_or(Ok(0), |value| number::decode(key, value))?;
        let sum = number::add(key, number, by)?;
        let mut encoded = Scratch::<Vec<u8>>::take();
        encoded.extend_from_slice(number::encode(sum, &mut [0; number::MAX_LEN]));
        let lifetime = match &item.write {
            Some(Write::Put(_, lifetime)) => *lifetime,
            // Removed by this transaction: what comes now is a new entry.
            Some(Write::Delete) => Lifetime::Forever,
            None => Lifetime::Keep,
        };
        self.write_at(index, Write::Put(encoded, lifetime))?;
        Ok(sum)
    }

    /// The bytes of `key` as this transaction sees them.
    fn read(&mut self, key: &str) -> Result<Option<&[u8]>> {
        let index = self.touch(key)?;
        Ok(self.touched.item(index).value())
    }

    /// Where a key is that has been read, or is to be written.
    fn touch(&mut self, key: &str) -> Result<usize> {
        match self.find(key) {
            Some(index) => Ok(index),
            None => self.read_first(key),
        }
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.touched.find(self.store.prefix_len(), key)
    }

    fn read_first(&mut self, key: &str) -> Result<usize> {
        self.refuse_overtaken()?;
        require_room("reads", self.touched.reads)?;
        let store = self.store;
        let (whole, mut value) = (store.whole_key_kept(key)?, Scratch::<Vec<u8>>::take());
        let revision = store.driver.get(&store.access, Space::Values, &whole, &mut value)?;
        // Earlier reads that still hold now held together with this one.
        for item in self.touched.iter() {
            if !self.holds(item)? {
                self.overtaken = Some(store.own_key(&item.key).to_owned());
                self.refuse_overtaken()?;
            }
        }
        Ok(self.touched.add(store.prefix_len(), whole, Some(Read { revision, value })))
    }

    /// Whether a key is still as it was read, if it was.
    fn holds(&self, item: &Item) -> Result<bool> {
        let Some(read) = &item.read else { return Ok(true) };
        let head = self.store.driver.head(&self.store.access, Space::Values, &item.key)?;
        Ok(head.filter(|head| head.state == State::Live).map(|head| head.revision) == read.revision)
    }

    fn refuse_overtaken(&self) -> Result<()> {
        match &self.overtaken {
            None => Ok(()),
            Some(key) => {
                let message = format!("{key:?} was changed meanwhile: return this error, the transaction runs again");
                Err(Error::new(ErrorKind::Conflict, message))
            }
        }
    }

    fn write(&mut self, key: &str, write: Write) -> Result<()> {
        if let Some(index) = self.find(key) {
            return self.write_at(index, write);
        }
        self.store.writable()?;
        require_room("writes", self.touched.writes)?;
        // A bad key is told here, where the caller knows it.
        let index = self.touched.add(self.store.prefix_len(), self.store.whole_key_kept(key)?, None);
        self.write_at(index, write)
    }

    fn write_at(&mut self, index: usize, write: Write) -> Result<()> {
        self.store.writable()?;
        if self.touched.item(index).write.is_none() {
            require_room("writes", self.touched.writes)?;
        }
        self.touched.write(index, write);
        Ok(())
    }

    /// Does what was written; tells the key that was changed by somebody else meanwhile, if any.
    fn commit(&self) -> Result<Option<String>> {
        if self.touched.writes == 0 {
            // What was read held together already when the last of it was read.
            return Ok(None);
        }
        let mut commit =
            Commit { expect: Vec::with_capacity(self.touched.reads), ops: Vec::with_capacity(self.touched.writes) };
        for item in self.touched.iter() {
            if let Some(read) = &item.read {
                commit.expect.push((Space::Values, &item.key, expected(read.revision)));
            }
            match &item.write {
                Some(Write::Put(value, lifetime)) => {
                    commit.ops.push((Space::Values, &item.key, Op::Put { value, lifetime: *lifetime }));
                }
                Some(Write::Delete) => commit.ops.push((Space::Values, &item.key, Op::Delete)),
                None => {}
            }
        }
        let committed = self.store.driver.commit(&self.store.access, &commit)?;
        Ok(committed.err().map(|conflict| self.store.own_key(&conflict.key).to_owned()))
    }
}

fn require_room(what: &str, taken: usize) -> Result<()> {
    if taken >= MAX_OPERATIONS {
        let message = format!("a transaction has at most {MAX_OPERATIONS} {what}: split it, nothing was changed");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}
