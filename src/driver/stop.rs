//! A switch that ends waiting.

use std::sync::atomic::{AtomicU32, Ordering};

/// Ends the waits it is given to. Once stopped, it stays so.
#[derive(Debug, Default)]
pub struct Stop {
    word: AtomicU32,
}

impl Stop {
    /// A switch that is not stopped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops. Drivers notice when [`super::Driver::interrupt`] follows.
    pub fn stop(&self) {
        self.word.store(1, Ordering::SeqCst);
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        self.word.load(Ordering::SeqCst) != 0
    }

    /// The word that turns from 0 to 1; a driver may sleep on it.
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }
}
