//! Many changes in as few transactions as the store takes.

use shmsync::{EncodedEntry, ErrorKind, Lifetime, Sync, Transaction, Value};

use crate::{archive, failure::Failure};

/// Changes of one transaction at most: others wait meanwhile.
const STEP: usize = 1_000;

/// A change of one key.
pub(crate) enum Change {
    Put(String, Value, Lifetime),
    Remove(String),
}

impl Change {
    /// Stores an entry as it is.
    pub(crate) fn put(entry: &EncodedEntry) -> Result<Self, Failure> {
        Ok(Self::Put(entry.key.clone(), archive::decode(&entry.key, &entry.value)?, entry.lifetime))
    }

    fn apply(&self, tx: &mut Transaction<'_>) -> shmsync::Result<()> {
        match self {
            Self::Put(key, value, lifetime) => tx.set_with(key, value, *lifetime),
            Self::Remove(key) => tx.remove(key).map(drop),
        }
    }
}

/// Makes changes in their order, each step at once. When one fails, those before it were made.
pub(crate) fn make(store: &Sync, changes: &[Change]) -> shmsync::Result<()> {
    changes.chunks(STEP).try_for_each(|step| make_or_halve(store, step))
}

/// How much fits into one transaction only the store knows; it tells before anything is changed.
fn make_or_halve(store: &Sync, changes: &[Change]) -> shmsync::Result<()> {
    match store.transaction(|tx| changes.iter().try_for_each(|change| change.apply(tx))) {
        Err(error) if error.kind() == ErrorKind::TooLarge && changes.len() > 1 => {
            let (first, rest) = changes.split_at(changes.len() / 2);
            make_or_halve(store, first)?;
            make_or_halve(store, rest)
        }
        result => result,
    }
}
