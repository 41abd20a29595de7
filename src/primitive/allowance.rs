//! For how long one call may still wait for others.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use super::shard_lock::LIMIT;

/// What is left of the time that one call may spend on waiting for locks, and on races that it loses. It is one for all
/// of them, whether they follow each other or lie within each other: else whoever has taken one lock after 4 s, and then
/// needs another one, waits for 9 s.
#[derive(Debug)]
pub(crate) struct Allowance(Cell<Duration>);

impl Allowance {
    pub(crate) fn new(left: Duration) -> Self {
        Self(Cell::new(left))
    }

    /// As long as a live owner may hold a lock.
    pub(crate) fn full() -> Self {
        Self::new(LIMIT)
    }

    /// What is left of it, or that, whichever is more.
    pub(crate) fn or_at_least(&self, least: Duration) -> Self {
        Self::new(self.0.get().max(least))
    }

    /// From now on it is spent, until what is given is dropped.
    pub(crate) fn spend(&self) -> Spending<'_> {
        Spending { allowance: self, had: self.0.get(), begun: Instant::now() }
    }
}

/// Time that is being spent. What is spent within counts once.
#[derive(Debug)]
pub(crate) struct Spending<'a> {
    allowance: &'a Allowance,
    had: Duration,
    begun: Instant,
}

impl Spending<'_> {
    pub(crate) fn time(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether there was nothing to spend any more, from the beginning.
    pub(crate) fn had_nothing(&self) -> bool {
        self.had.is_zero()
    }

    pub(crate) fn has_spent_all(&self) -> bool {
        self.time() > self.had
    }
}

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        let left = self.had.saturating_sub(self.time());
        self.allowance.0.set(self.allowance.0.get().min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_spent_within_counts_once() {
        let allowance = Allowance::new(SECOND);
        let begun = Instant::now();
        let outer = allowance.spend();
        let inner = allowance.spend();
        std::thread::sleep(Duration::from_millis(20));
        drop(inner);
        assert!(allowance.0.get() <= SECOND - Duration::from_millis(20));
        drop(outer);
        assert!(allowance.0.get() >= SECOND - begun.elapsed());
    }

    #[test]
    fn at_least_so_much_is_left() {
        assert_eq!(Allowance::new(Duration::ZERO).or_at_least(SECOND).0.get(), SECOND);
        assert_eq!(Allowance::full().or_at_least(SECOND).0.get(), LIMIT);
    }

    #[test]
    fn what_is_spent_is_gone() {
        let allowance = Allowance::new(Duration::from_millis(1));
        assert!(!allowance.spend().had_nothing());
        let spending = allowance.spend();
        std::thread::sleep(Duration::from_millis(2));
        assert!(spending.has_spent_all());
        drop(spending);
        assert!(allowance.spend().had_nothing());
    }
}
