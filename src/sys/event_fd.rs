//! A flag that a sleeping thread can poll for.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd as NixEventFd},
};

/// Everybody who polls for it sees it, for as long as it is raised.
pub(crate) struct EventFd(NixEventFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(NixEventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?))
    }

    /// Sleeps until the flag is raised (`true`) or the time runs out.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Raises the flag. A forked child raises its parent's: the two share it.
    pub(crate) fn signal(&self) {
        // Only a full counter is refused, and a full counter is raised.
        let _ = self.0.write(1);
    }

    /// Lowers the flag.
    pub(crate) fn lower(&self) {
        // Only what is not raised is refused.
        let _ = self.0.read();
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
