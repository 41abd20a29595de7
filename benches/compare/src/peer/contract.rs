//! What a peer can do.

use crate::{
    failure::{Outcome, fail},
    keys::{Key, Keys},
};

/// A store of bytes under keys, and of one counter. Another peer is one more of these, and a line in each work that it
/// takes part in; what it cannot do it leaves out.
pub(crate) trait Peer {
    /// Its name in the table.
    const NAME: &'static str;

    /// Copies a value into a buffer that is used again and again.
    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()>;

    /// Writes or overwrites a value.
    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()>;

    /// Adds to the one counter, which begins at 0, and tells the sum.
    fn add(&mut self, _by: i64) -> Outcome<i64> {
        fail(format!("{} counts nothing here", Self::NAME))
    }

    /// Takes 1 from a number and adds it to another one, at once for all who look. Missing numbers count as 0.
    fn shift(&mut self, _from: Key<'_>, _to: Key<'_>) -> Outcome<()> {
        fail(format!("{} has no transactions here", Self::NAME))
    }

    /// A number that `shift` changed.
    fn number(&mut self, _key: Key<'_>) -> Outcome<i64> {
        fail(format!("{} has no transactions here", Self::NAME))
    }
}

/// Gives every key a value.
pub(crate) fn fill<P: Peer>(peer: &mut P, keys: &Keys, value: &mut crate::value::Value) -> Outcome<()> {
    keys.iter().try_for_each(|key| peer.set(key, value.of(key.number as u64)))
}
