//! Threads that the program does not notice.

use std::{
    io,
    thread::{Builder, JoinHandle},
};

use super::signals::BlockedSignals;

/// Enough for what such threads do, also in a debug build. Untouched pages cost nothing.
const STACK_SIZE: usize = 256 * 1024;

/// Starts a thread to which no signal is delivered from its first instruction on, so that no handler of the program ever
/// runs on it. (Its own faults excepted.)
pub(crate) fn spawn_quiet<T, F>(name: &str, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // The new thread inherits the mask, and nobody gives it another.
    let _blocked = BlockedSignals::new()?;
    Builder::new().name(name.to_owned()).stack_size(STACK_SIZE).spawn(f)
}

#[cfg(test)]
mod tests {

    use nix::sys::signal::{SigSet, Signal};

    use super::*;

    #[test]
    fn a_quiet_thread_hears_nothing_but_its_own_faults() {
        let before = SigSet::thread_get_mask().unwrap();
        let (inside, name) = spawn_quiet("quiet", || {
            (SigSet::thread_get_mask().unwrap(), std::thread::current().name().map(str::to_owned))
        })
        .unwrap()
        .join()
        .unwrap();
        assert_eq!(name.as_deref(), Some("quiet"));
        for signal in [Signal::SIGTERM, Signal::SIGALRM, Signal::SIGPROF, Signal::SIGCHLD, Signal::SIGXFSZ] {
            assert!(inside.contains(signal));
        }
        assert!(!inside.contains(Signal::SIGSEGV) && !inside.contains(Signal::SIGBUS));
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
