//! Rules of the contract that every driver would otherwise write again.

use std::time::Instant;

use super::{
    Commit, Conflict, Expected, Lifetime, MAX_OPERATIONS, MAX_VALUE_LEN, Op, OwnerId, Remaining, Revision, Space,
    number,
};
use crate::error::{Error, ErrorKind, Result};

impl Expected {
    /// Whether it holds for a key with this revision; `None` = absent.
    pub fn holds(self, current: Option<Revision>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Present => current.is_some(),
            Self::At(revision) => current == Some(revision),
        }
    }
}

impl Commit<'_> {
    /// Whether it keeps the limits that hold for all drivers.
    ///
    /// # Errors
    /// `TooLarge` for more than [`MAX_OPERATIONS`] operations and for a value beyond [`MAX_VALUE_LEN`].
    pub fn check(&self) -> Result<()> {
        if self.ops.len() > MAX_OPERATIONS {
            let message = format!("a transaction of {} operations: split it, {MAX_OPERATIONS} fit", self.ops.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.ops.iter().try_for_each(|(_, key, op)| match op {
            Op::Put { value, .. } => check_value(key, value),
            Op::Delete => Ok(()),
        })
    }

    /// The first expectation that does not hold, where `current` tells the revision of a key that is present.
    pub fn conflict(&self, current: impl Fn(Space, &str) -> Option<Revision>) -> Option<Conflict> {
        self.expect.iter().find_map(|(space, key, expected)| {
            let current = current(*space, key);
            (!expected.holds(current)).then(|| Conflict { key: (*key).to_owned(), current })
        })
    }
}

/// Whether a value is of a size that a store can take.
///
/// # Errors
/// `TooLarge` beyond [`MAX_VALUE_LEN`].
#[inline]
pub fn check_value(key: &str, value: &[u8]) -> Result<()> {
    if value.len() <= MAX_VALUE_LEN {
        return Ok(());
    }
    let message = format!("the value for {key:?} has {} bytes: split it, {MAX_VALUE_LEN} fit", value.len());
    Err(Error::new(ErrorKind::TooLarge, message))
}

impl Lifetime {
    /// What is left of an entry's life right after `me` has written it over an entry with `old`.
    pub fn begin(self, me: OwnerId, old: Option<Remaining>) -> Remaining {
        match self {
            Self::Forever => Remaining::Forever,
            Self::Ttl(time) => Instant::now().checked_add(time).map_or(Remaining::Forever, Remaining::Until),
            Self::Process => Remaining::Owner(me),
            Self::Keep => old.unwrap_or(Remaining::Forever),
        }
    }
}

impl Remaining {
    /// Whether a time limit has passed; owners are not asked.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Until(end) if end <= Instant::now())
    }
}

/// Adds to an integer as it is stored; `current` is the value of `key`, if it is there. Answers the sum and the bytes
/// to store.
///
/// # Errors
/// `Overflow` and `TypeMismatch`.
pub fn add_encoded(key: &str, current: Option<&[u8]>, delta: i64) -> Result<(i64, Vec<u8>)> {
    let old = current.map_or(Ok(0), |bytes| number::decode(key, bytes))?;
    let sum = number::add(key, old, delta)?;
    Ok((sum, number::encode(sum, &mut [0; number::MAX_LEN]).to_owned()))
}
