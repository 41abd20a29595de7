//! Being told that a file lost its name.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

use super::{event_fd::EventFd, file::proc_path};

/// A watch on one inode: it answers when the file was unlinked, renamed, renamed over, or had its attributes changed.
///
/// It does not see that a folder above was renamed, and it may answer for nothing (`chmod`): compare `stat` of the path and of
/// the file. Users have few of them (`fs.inotify.max_user_instances`, often 128): be prepared to do without.
/// A forked child shares it: what the child reads, the parent misses.
pub(crate) struct FileWatch(Inotify);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Something happened to the file's names or attributes.
    Changed,
    /// The flag is raised.
    Stopped,
    /// The time ran out.
    TimedOut,
}

impl FileWatch {
    /// # Errors
    /// `EMFILE` or `ENOSPC` when the user has no watches left.
    pub(crate) fn new(fd: impl AsFd) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let events = AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        inotify.add_watch(proc_path(fd).as_str(), events)?;
        Ok(Self(inotify))
    }

    /// Sleeps until something happens to the file, the flag is raised, or the time runs out. The flag comes first.
    pub(crate) fn wait(&self, stop: &EventFd, timeout: Option<Duration>) -> io::Result<What> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let mut fds =
                [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, remaining(deadline)) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) if fds[0].any() == Some(true) => return Ok(What::Stopped),
                Ok(_) if fds[1].any() == Some(true) => return self.drain(),
                Ok(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return Ok(What::TimedOut),
                Ok(_) => {}
            }
        }
    }

    /// What happened does not matter, only that something did.
    fn drain(&self) -> io::Result<What> {
        match self.0.read_events() {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(What::Changed),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for FileWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Rounded up, so that the last millisecond is slept and not spun.
fn remaining(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_nanos(999_999);
    PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {

    use std::fs;

    use super::*;
    use crate::sys::testing::World;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));
    const SHORT: Option<Duration> = Some(Duration::from_millis(30));

    /// What a watch says after something was done to its file.
    fn after(deed: impl FnOnce(&World)) -> What {
        let (world, stop) = (World::new(), EventFd::new().unwrap());
        let watch = FileWatch::new(&world.file).unwrap();
        assert_eq!(watch.wait(&stop, SHORT).unwrap(), What::TimedOut);
        deed(&world);
        let what = watch.wait(&stop, SHORT).unwrap();
        assert_eq!(watch.wait(&stop, SHORT).unwrap(), What::TimedOut);
        what
    }

    #[test]
    fn a_watch_notices_unlink() {
        assert_eq!(after(|world| fs::remove_file(&world.path).unwrap()), What::Changed);
    }

    #[test]
    fn a_watch_notices_that_another_file_took_the_name() {
        let replaced = after(|world| {
            let other = world.folder.path().join("other");
            fs::write(&other, "").unwrap();
            fs::rename(&other, &world.path).unwrap();
        });
        assert_eq!(replaced, What::Changed);
    }

    #[test]
    fn a_watch_notices_a_new_name() {
        assert_eq!(after(|world| fs::rename(&world.path, world.folder.path().join("new")).unwrap()), What::Changed);
    }

    #[test]
    fn writing_and_growing_are_no_news() {
        let quiet = after(|world| {
            crate::sys::file::pwrite_all_at(&world.file, b"abc", 10).unwrap();
            crate::sys::allocate::allocate(&world.file, 0, 1 << 16).unwrap();
        });
        assert_eq!(quiet, What::TimedOut);
    }

    #[test]
    fn a_watch_stops_when_told_and_stays_stopped() {
        let (world, stop) = (World::new(), EventFd::new().unwrap());
        let watch = FileWatch::new(&world.file).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| watch.wait(&stop, None).unwrap());
            std::thread::sleep(Duration::from_millis(10));
            stop.signal();
            assert_eq!(waiting.join().unwrap(), What::Stopped);
        });
        fs::remove_file(&world.path).unwrap();
        assert_eq!(watch.wait(&stop, LONG).unwrap(), What::Stopped);
    }
}
