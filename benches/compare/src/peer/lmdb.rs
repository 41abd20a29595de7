//! LMDB through heed: a transaction per operation, as separate calls of a program would be; memory-mapped writing and no
//! waiting for a disk, because all files here are in RAM.

use std::path::Path;

use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions,
    types::{Bytes, Str},
};

use super::Peer;
use crate::{failure::Outcome, keys::Key};

/// Addresses, not memory.
const MAP_SIZE: usize = 16 << 30;

pub(crate) struct Lmdb {
    env: Env,
    values: Database<'static, Str, Bytes>,
}

impl Lmdb {
    pub(crate) fn open(folder: &Path) -> Outcome<Self> {
        let env = environment(folder)?;
        let made = env.create_databases_and_commit(env.write_txn()?, |env, transaction| {
            env.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        });
        let values = made.map(CommitOrAbort::unwrap_commit)?;
        Ok(Self { env, values })
    }

    /// Opens what is there as a reader does, without waiting for a writer.
    pub(crate) fn open_existing(folder: &Path) -> Outcome<Self> {
        let env = environment(folder)?;
        let found = env.open_databases_and_commit(env.read_txn()?, |env, transaction| {
            env.open_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        });
        let values = found.map(CommitOrAbort::unwrap_commit)?.ok_or("there is no database")?;
        Ok(Self { env, values })
    }

    /// Goes through all keys in their order.
    pub(crate) fn scan(&self, mut each: impl FnMut(&str)) -> Outcome<()> {
        let transaction = self.env.read_txn()?;
        for entry in self.values.iter(&transaction)? {
            each(entry?.0);
        }
        Ok(())
    }

    /// Changes numbers in one transaction; tells the last one.
    #[inline]
    fn add_to(&self, changes: &[(&str, i64)]) -> Outcome<i64> {
        let mut transaction = self.env.write_txn()?;
        let mut sum = 0;
        for (key, by) in changes {
            sum = self.values.get(&transaction, key)?.map_or(Ok(0), number)? + by;
            self.values.put(&mut transaction, key, &sum.to_le_bytes())?;
        }
        transaction.commit()?;
        Ok(sum)
    }
}

fn environment(folder: &Path) -> Outcome<Env> {
    let flags = EnvFlags::NO_SYNC | EnvFlags::WRITE_MAP;
    // SAFETY: the folder is ours, nobody maps its files otherwise, and each process opens it once. What these flags risk
    // is a crash of the machine.
    Ok(unsafe { EnvOpenOptions::new().map_size(MAP_SIZE).flags(flags).open(folder)? })
}

fn number(bytes: &[u8]) -> Outcome<i64> {
    Ok(i64::from_le_bytes(bytes.try_into()?))
}

impl Peer for Lmdb {
    const NAME: &'static str = "lmdb";

    #[inline]
    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        let transaction = self.env.read_txn()?;
        let value = self.values.get(&transaction, key.text)?.ok_or("a key is missing")?;
        into.clear();
        into.extend_from_slice(value);
        Ok(())
    }

    #[inline]
    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        let mut transaction = self.env.write_txn()?;
        self.values.put(&mut transaction, key.text, value)?;
        Ok(transaction.commit()?)
    }

    #[inline]
    fn add(&mut self, by: i64) -> Outcome<i64> {
        self.add_to(&[("count", by)])
    }

    #[inline]
    fn shift(&mut self, from: Key<'_>, to: Key<'_>) -> Outcome<()> {
        self.add_to(&[(from.text, -1), (to.text, 1)])?;
        Ok(())
    }

    fn number(&mut self, key: Key<'_>) -> Outcome<i64> {
        let transaction = self.env.read_txn()?;
        self.values.get(&transaction, key.text)?.map_or(Ok(0), number)
    }
}
