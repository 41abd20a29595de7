//! Ending somebody's wait from elsewhere.

use std::{fmt, sync::Arc};

use crate::driver::{AnyDriver, Driver, Stop};

/// Ends the waits of what it was taken from, from any thread. What is stopped stays so.
#[derive(Clone)]
pub struct StopHandle {
    driver: Arc<AnyDriver>,
    stop: Arc<Stop>,
}

impl StopHandle {
    pub(crate) fn new(driver: Arc<AnyDriver>, stop: Arc<Stop>) -> Self {
        Self { driver, stop }
    }

    /// Stops: whoever waits returns at once, and nobody waits again.
    #[doc(alias = "cancel")]
    #[doc(alias = "close")]
    pub fn stop(&self) {
        self.stop.stop();
        self.driver.interrupt(&self.stop);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopHandle").field("stopped", &self.is_stopped()).finish()
    }
}
