//! What an iterator over changes says of one look.

use crate::error::{ErrorKind, Result};

/// The next item. A stop ends the iterator; an error is told, and where the store is gone it is the last thing told.
pub(crate) fn next_item<T>(ended: &mut bool, look: impl FnOnce() -> Result<Option<T>>) -> Option<Result<T>> {
    if *ended {
        return None;
    }
    match look() {
        Err(error) if error.kind() == ErrorKind::Stopped => None,
        Err(error) => {
            *ended = error.kind() == ErrorKind::Gone;
            Some(Err(error))
        }
        item => item.transpose(),
    }
}
