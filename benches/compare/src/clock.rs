//! One clock for all processes of this machine.

use std::{hint::spin_loop, thread::sleep, time::Duration};

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started.
#[inline]
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Returns at that moment and not before: asleep until shortly before it, then awake.
pub(crate) fn wait_until(moment: u64) {
    const AWAKE: u64 = 200_000;
    let left = moment.saturating_sub(now());
    if left > AWAKE {
        sleep(Duration::from_nanos(left - AWAKE));
    }
    while now() < moment {
        spin_loop();
    }
}
