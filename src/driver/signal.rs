//! What wakes who polls for descriptors, and threads that nobody notices: as far as the platform has them.

use std::{io, thread::JoinHandle};

use crate::error::{Error, Result};

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod imp {
    use std::{
        io,
        os::fd::{AsFd, OwnedFd},
        thread::JoinHandle,
    };

    use crate::sys::{
        clock,
        event_fd::EventFd,
        thread::{USUAL_STACK, spawn_quiet},
    };

    /// Can be polled for by descriptor: readable while raised.
    pub(crate) struct Signal(EventFd);

    impl Signal {
        pub(super) fn make() -> io::Result<Self> {
            EventFd::new().map(Self)
        }

        pub(crate) fn raise(&self) {
            self.0.signal();
        }

        pub(crate) fn lower(&self) {
            self.0.lower();
        }

        pub(super) fn copy(&self) -> io::Result<OwnedFd> {
            self.0.as_fd().try_clone_to_owned()
        }
    }

    pub(super) fn spawn<F: FnOnce() + Send + 'static>(name: &str, f: F) -> io::Result<JoinHandle<()>> {
        spawn_quiet(name, USUAL_STACK, f)
    }

    /// Milliseconds since 1970, some of them coarse.
    pub(crate) fn wall_ms() -> u64 {
        clock::realtime_coarse_ns() / 1_000_000
    }

    /// Nanoseconds of a clock that goes on while the machine is suspended.
    pub(crate) fn uptime_ns() -> u64 {
        clock::boottime_ns()
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable))))]
mod imp {
    use std::{
        io,
        sync::LazyLock,
        thread::{Builder, JoinHandle},
        time::Instant,
    };

    pub(crate) struct Signal(());

    impl Signal {
        pub(super) fn make() -> io::Result<Self> {
            Err(io::Error::new(io::ErrorKind::Unsupported, "this platform has no eventfd"))
        }

        pub(crate) fn raise(&self) {}

        pub(crate) fn lower(&self) {}

        #[cfg(unix)]
        pub(super) fn copy(&self) -> io::Result<std::os::fd::OwnedFd> {
            Self::make().map(|_| unreachable!("there is none"))
        }
    }

    pub(super) fn spawn<F: FnOnce() + Send + 'static>(name: &str, f: F) -> io::Result<JoinHandle<()>> {
        Builder::new().name(name.to_owned()).spawn(f)
    }

    pub(crate) fn wall_ms() -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64)
    }

    pub(crate) fn uptime_ns() -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_nanos() as u64
    }
}

pub(crate) use imp::{Signal, uptime_ns, wall_ms};

impl Signal {
    /// # Errors
    /// `Io` when no descriptor is left; `Unsupported` where there is nothing of the kind.
    pub(crate) fn new() -> Result<Self> {
        Self::make().map_err(|error| failed("make a descriptor to poll for", error))
    }

    /// A descriptor of its own for the same signal.
    #[cfg(unix)]
    pub(crate) fn descriptor(&self) -> Result<std::os::fd::OwnedFd> {
        self.copy().map_err(|error| failed("copy a descriptor to poll for", error))
    }
}

/// Starts a thread to which no signals are delivered.
pub(crate) fn spawn_aside<F: FnOnce() + Send + 'static>(name: &str, f: F) -> Result<JoinHandle<()>> {
    imp::spawn(name, f).map_err(|error| failed("start a thread", error))
}

fn failed(what: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::Unsupported {
        return Error::new(crate::ErrorKind::Unsupported, format!("cannot {what}: {error}"));
    }
    Error::io(format!("cannot {what}"), error)
}
