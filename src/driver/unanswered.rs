//! Requests that nobody answered, of whoever makes up for them.

use std::time::Duration;

/// One may still be under way, and do its work after it was made up for; longer than these pauses together no cluster keeps
/// it. So it is made up for after each of them.
pub(crate) const PAUSES: [Duration; 5] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// Between two tries while nobody answers.
pub(crate) const AGAIN: Duration = Duration::from_millis(250);
