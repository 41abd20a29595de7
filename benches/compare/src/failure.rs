//! What can go wrong: any error, with words of ours in front where they help.

use std::error::Error;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// An error that is only a sentence.
pub(crate) fn fail<T>(message: impl Into<String>) -> Outcome<T> {
    Err(message.into().into())
}
