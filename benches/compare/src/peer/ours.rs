//! shmsync, through its public handle.

use std::path::{Path, PathBuf};

use shmsync::{Integer, Sync};

use super::Peer;
use crate::{failure::Outcome, keys::Key};

pub(crate) struct Ours {
    pub(crate) store: Sync,
    counter: Integer,
}

impl Ours {
    /// Opens or makes the store in that folder.
    pub(crate) fn open(folder: &Path) -> Outcome<Self> {
        let store = Sync::open(Self::file(folder))?;
        Ok(Self { counter: store.integer("count"), store })
    }

    pub(crate) fn file(folder: &Path) -> PathBuf {
        folder.join("store")
    }
}

impl Peer for Ours {
    const NAME: &'static str = "shmsync";

    #[inline]
    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        self.store.read_encoded(key.text, into)?.ok_or("a key is missing")?;
        Ok(())
    }

    #[inline]
    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        self.store.set_encoded(key.text, value)?;
        Ok(())
    }

    #[inline]
    fn add(&mut self, by: i64) -> Outcome<i64> {
        Ok(self.counter.increment(by)?)
    }

    #[inline]
    fn shift(&mut self, from: Key<'_>, to: Key<'_>) -> Outcome<()> {
        self.store.transaction(|transaction| {
            transaction.increment(from.text, -1)?;
            transaction.increment(to.text, 1)
        })?;
        Ok(())
    }

    fn number(&mut self, key: Key<'_>) -> Outcome<i64> {
        Ok(self.store.get_or(key.text, 0)?)
    }
}
