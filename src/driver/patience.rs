//! How blocking calls count their time.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{Access, Participant, Patience};
use crate::error::{Error, ErrorKind, Result};

impl<'a> Patience<'a> {
    /// Waits as long as it takes.
    pub const FOREVER: Patience<'static> = Patience { deadline: None, stop: None };

    /// One try, without waiting.
    pub fn none() -> Self {
        Self::until(Instant::now())
    }

    /// Waits until then.
    pub fn until(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), stop: None }
    }

    /// Waits that long; a duration beyond the clock's range is for ever.
    pub fn lasting(duration: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(duration), stop: None }
    }

    /// How long the next sleep may last, at most `bound`; `None` when time is up.
    ///
    /// # Errors
    /// `Stopped` when the wait was stopped.
    pub fn sleep(&self, bound: Duration) -> Result<Option<Duration>> {
        if self.stop.is_some_and(super::Stop::is_stopped) {
            return Err(Error::new(ErrorKind::Stopped, "the wait was stopped through its stop handle"));
        }
        let Some(deadline) = self.deadline else { return Ok(Some(bound)) };
        let left = deadline.saturating_duration_since(Instant::now());
        Ok((!left.is_zero()).then(|| left.min(bound)))
    }
}

/// How long one attempt waits at the gate of `exclusive` before it looks at its own patience again.
const GATE_STEP: Duration = Duration::from_millis(100);

/// Reads as a part of waiting for something: where the gate is closed, the wait can still end or be stopped.
/// `None` when patience ran out at the gate.
///
/// # Errors
/// `Locked` when the gate stays closed beyond the limit of `access`, and what `read` fails with.
pub(crate) fn through_gate<R>(
    access: Access,
    patience: Patience<'_>,
    mut read: impl FnMut(&Access) -> Result<R>,
) -> Result<Option<R>> {
    let limit = access.limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let ends = [patience.deadline, limit].into_iter().flatten().min();
        let left = ends.map_or(GATE_STEP, |end| end.saturating_duration_since(Instant::now()));
        match read(&Access { limit: Some(left.min(GATE_STEP)), ..access }) {
            Err(error) if error.kind() == ErrorKind::Locked => {
                if limit.is_some_and(|limit| limit <= Instant::now()) {
                    return Err(error);
                }
                if patience.sleep(GATE_STEP)?.is_none() {
                    return Ok(None);
                }
            }
            answer => return answer.map(Some),
        }
    }
}

impl fmt::Display for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label.as_str() {
            "" => write!(f, "pid {}", self.pid),
            label => write!(f, "pid {} ({label})", self.pid),
        }
    }
}
