//! What to do between two tries.

use std::time::Duration;

use super::atomics::{MODELLED, sleep, spin_loop, yield_now};

/// Spins shortly, then yields, then sleeps, each time a little longer up to a millisecond.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    step: u32,
}

impl Backoff {
    const SPINS: u32 = if MODELLED { 0 } else { 6 };
    const YIELDS: u32 = 10;

    /// Lets the others go on.
    pub(crate) fn snooze(&mut self) {
        if self.step < Self::SPINS {
            for _ in 0..1 << self.step {
                spin_loop();
            }
        } else if self.step < Self::YIELDS {
            yield_now();
        } else {
            let exponent = (self.step - Self::YIELDS).min(6);
            sleep(Duration::from_micros(16 << exponent));
        }
        self.step = self.step.saturating_add(1);
    }

    /// How many tries were lost.
    pub(crate) fn lost(&self) -> u32 {
        self.step
    }
}
