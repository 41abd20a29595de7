//! Proof of having held, and of when.

use std::{fmt, num::NonZeroU64, str::FromStr};

use crate::{
    driver::Revision,
    error::{Error, ErrorKind, Result},
};

/// The number of a holding: larger than that of every earlier holding of the same lock, also over removal and restart.
///
/// Give it to what the lock protects, and let that refuse smaller ones: then not even a holder that slept through the
/// loss of its lock can do harm. It needs more than 53 bits; write it as text where numbers are floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(NonZeroU64);

impl Token {
    /// The token of that number; zero is none.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl From<Revision> for Token {
    fn from(revision: Revision) -> Self {
        Self(revision.0)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Token {
    type Err = Error;

    /// # Errors
    /// `Invalid` for what is no number above zero.
    fn from_str(text: &str) -> Result<Self> {
        let message = || format!("{text:?} is no token: it is the number that taking the lock has told");
        text.parse().map(Self).map_err(|_| Error::new(ErrorKind::Invalid, message()))
    }
}
