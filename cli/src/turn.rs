//! Waiting for one's turn, and saying in whose favour it was in vain.

use std::time::Duration;

use shmsync::{ErrorKind, Lock, LockGuard};

use crate::{context::Context, failure::Failure, output::complain};

/// Takes a lock within that time (zero = one try, `None` = as long as it takes). `None` = in vain; whoever really waited
/// has been told who holds it.
pub(crate) fn take(context: &Context, lock: &Lock, limit: Option<Duration>) -> Result<Option<LockGuard>, Failure> {
    let Some(limit) = limit else { return Ok(Some(lock.acquire()?)) };
    if limit.is_zero() {
        let guard = lock.try_acquire()?;
        if guard.is_none() {
            context.say(|| lock.state().map_or_else(|error| error.to_string(), |state| format!("the lock is {state}")));
        }
        return Ok(guard);
    }
    in_time(lock.acquire_timeout(limit))
}

/// Makes running out of time an answer, and says it.
pub(crate) fn in_time<T>(answer: shmsync::Result<T>) -> Result<Option<T>, Failure> {
    match answer {
        Err(error) if error.kind() == ErrorKind::Timeout => {
            complain(&error.to_string());
            Ok(None)
        }
        answer => Ok(Some(answer?)),
    }
}
