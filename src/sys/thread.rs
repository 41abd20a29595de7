//! Threads that the program does not notice.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    thread::{Builder, JoinHandle},
};

use super::signals::BlockedSignals;

/// Bytes of a stack for who only sleeps and writes a word, also in a debug build.
pub(crate) const SMALL_STACK: usize = 256 * 1024;
/// For who does what a thread of the program might do: as much as that has (std's own default). Untouched pages cost nothing.
pub(crate) const USUAL_STACK: usize = 2 << 20;

/// Starts a thread to which no signal is delivered from its first instruction on, so that no handler of the program ever
/// runs on it. (Its own faults excepted.)
pub(crate) fn spawn_quiet<T, F>(name: &str, stack: usize, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // The new thread inherits the mask, and nobody gives it another.
    let _blocked = BlockedSignals::new()?;
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(f)
}

/// Whether this process has no other thread. Where nobody can tell, it has.
pub(crate) fn is_the_only_one() -> bool {
    // A folder for each thread, and two links of the folder itself.
    fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.nlink() == 3)
}

#[cfg(test)]
mod tests {

    use nix::sys::signal::{SigSet, Signal};

    use super::*;
    use crate::sys::testing::Child;

    #[test]
    fn a_thread_knows_whether_it_is_the_only_one() {
        // A forked child has no other threads, whatever this test runs beside.
        let child = Child::fork(|| {
            let is_first = is_the_only_one();
            let is_second = std::thread::spawn(is_the_only_one).join().unwrap();
            i32::from(!is_first || is_second)
        });
        child.succeeds();
    }

    #[test]
    fn a_quiet_thread_hears_nothing_but_its_own_faults() {
        let before = SigSet::thread_get_mask().unwrap();
        let (inside, name) = spawn_quiet("quiet", SMALL_STACK, || {
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
