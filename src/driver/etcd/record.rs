//! How an entry lies in the cluster: a few bytes that say how long it stays and who wrote it, then its value.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version: 1 |
//! | 1 | 0 = for ever, 1 = for a time, 2 = as long as a session |
//! | 8 | the mark of the write: no other write has it |
//! | 8, not for ever | nanoseconds, or the participant |
//! | all others | the value |
//!
//! Words are little-endian.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::driver::{OwnerId, incarnation};

/// The version of this form.
const VERSION: u8 = 1;

/// The most bytes in front of a value.
pub(super) const LONGEST_HEAD: usize = 18;

/// What tells a write from all others, so that one whose answer was lost can be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// How long an entry stays, as its writer meant it. The lease at its key makes it true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// Until it is removed; no lease.
    Forever,
    /// That long; the lease is longer, because the cluster counts whole seconds.
    Time(Duration),
    /// As long as the session of a participant.
    Owner(OwnerId),
}

impl Stay {
    /// An entry as it is stored.
    pub(super) fn encode(self, mark: Mark, value: &[u8]) -> Vec<u8> {
        let (kind, number) = match self {
            Self::Forever => (0, None),
            Self::Time(time) => (1, Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))),
            Self::Owner(owner) => (2, Some(owner.0)),
        };
        let mut bytes = Vec::with_capacity(LONGEST_HEAD + value.len());
        bytes.extend([VERSION, kind]);
        bytes.extend(mark.0.to_le_bytes());
        bytes.extend(number.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend_from_slice(value);
        bytes
    }

    /// What was stored, and the value; `None` for bytes that are nothing of the kind.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[version, kind], rest) = bytes.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<8>()?;
        if version != VERSION {
            return None;
        }
        if kind == 0 {
            return Some((Self::Forever, rest));
        }
        let (number, value) = rest.split_first_chunk()?;
        let number = u64::from_le_bytes(*number);
        match kind {
            1 => Some((Self::Time(Duration::from_nanos(number)), value)),
            2 => Some((Self::Owner(OwnerId(number)), value)),
            _ => None,
        }
    }
}

impl Mark {
    /// A new one.
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Counted from where this process alone counts.
        Self(incarnation().wrapping_add(COUNT.fetch_add(1, Relaxed)))
    }

    /// Whether an entry was written so.
    pub(super) fn is_of(self, bytes: &[u8]) -> bool {
        bytes.get(2..10) == Some(&self.0.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else() {
        for stay in [Stay::Forever, Stay::Time(Duration::from_millis(1_500)), Stay::Owner(OwnerId(7))] {
            for value in [&b""[..], b"\x01\x02", &[9; 300]] {
                let (mark, other) = (Mark::new(), Mark::new());
                let bytes = stay.encode(mark, value);
                assert_eq!(Stay::decode(&bytes), Some((stay, value)));
                assert!(mark.is_of(&bytes) && !other.is_of(&bytes));
            }
        }
        for foreign in [&b""[..], b"\x01", b"\x02\x00x", b"\x01\x03xxxxxxxxx", b"\x01\x01short", b"plain text"] {
            assert_eq!(Stay::decode(foreign), None);
        }
    }
}
