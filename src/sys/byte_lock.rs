//! Locks on single bytes of a file that the kernel releases when the last descriptor of their holder is closed.
//!
//! They are open-file-description locks: they belong to what one `open` made, not to a process. Hence
//! - a forked child holds its parent's locks too, until it closes the descriptor;
//! - asking through the description that holds a lock always answers "free": **ask through another one**
//!   ([`super::file::reopen`]);
//! - the bytes need not exist in the file.

use std::{io, os::fd::AsFd};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};

/// Takes the byte for this open file description; false when another one holds it. Never waits.
///
/// The descriptor must be open for writing.
pub(crate) fn try_lock(fd: impl AsFd, offset: u64) -> io::Result<bool> {
    match fcntl(fd, FcntlArg::F_OFD_SETLK(&bytes(libc::F_WRLCK, offset, 1)?)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives the byte back. No error when it was not held.
pub(crate) fn unlock(fd: impl AsFd, offset: u64) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_OFD_SETLK(&bytes(libc::F_UNLCK, offset, 1)?))?;
    Ok(())
}

/// Whether another open file description holds any of these bytes; `len` 0 means all to the end of numbers.
pub(crate) fn is_locked(fd: impl AsFd, offset: u64, len: u64) -> io::Result<bool> {
    let mut question = bytes(libc::F_WRLCK, offset, len)?;
    fcntl(fd, FcntlArg::F_OFD_GETLK(&mut question))?;
    Ok(i32::from(question.l_type) != libc::F_UNLCK)
}

fn bytes(kind: i32, offset: u64, len: u64) -> io::Result<libc::flock> {
    let signed = |value: u64| i64::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    Ok(libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: signed(offset)?,
        l_len: signed(len)?,
        l_pid: 0,
    })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::sys::{
        file::reopen,
        testing::{Child, World, eventually},
    };

    #[test]
    fn a_byte_is_held_against_other_descriptions_and_given_back() {
        let world = World::new();
        let other = reopen(&world.file, false).unwrap();
        assert!(try_lock(&world.file, 1 << 60).unwrap());
        assert!(!try_lock(&other, 1 << 60).unwrap());
        assert!(is_locked(&other, 1 << 60, 1).unwrap());
        assert!(!is_locked(&other, (1 << 60) + 1, 1).unwrap());
        unlock(&world.file, 1 << 60).unwrap();
        assert!(!is_locked(&other, 1 << 60, 1).unwrap());
    }

    #[test]
    fn who_asks_through_the_holding_description_is_told_free() {
        let world = World::new();
        assert!(try_lock(&world.file, 5).unwrap());
        assert!(!is_locked(&world.file, 5, 1).unwrap());
        assert!(!is_locked(world.file.try_clone().unwrap(), 5, 1).unwrap());
        assert!(is_locked(reopen(&world.file, true).unwrap(), 5, 1).unwrap());
    }

    #[test]
    fn a_length_of_zero_asks_for_all_that_follow() {
        let world = World::new();
        let asker = reopen(&world.file, true).unwrap();
        let last = i64::MAX as u64;
        assert!(try_lock(&world.file, last).unwrap());
        assert!(is_locked(&asker, 0, 0).unwrap());
        assert!(!is_locked(&asker, 0, last).unwrap());
        assert_eq!(try_lock(&world.file, last + 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_killed_holder_lets_go() {
        let world = World::new();
        let mut child = Child::fork_and_sleep(|| {
            let holder = reopen(&world.file, false).unwrap();
            assert!(try_lock(&holder, 9).unwrap());
            std::mem::forget(holder);
        });
        eventually(|| is_locked(&world.file, 9, 1).unwrap());
        child.kill();
        assert!(!is_locked(&world.file, 9, 1).unwrap());
    }

    #[test]
    fn a_forked_child_holds_what_its_parent_held() {
        let world = World::new();
        let holder = reopen(&world.file, false).unwrap();
        assert!(try_lock(&holder, 9).unwrap());
        let mut child = Child::fork_and_sleep(|| ());
        drop(holder);
        assert!(is_locked(&world.file, 9, 1).unwrap());
        child.kill();
        // Children of other tests may have inherited it as well.
        eventually(|| !is_locked(&world.file, 9, 1).unwrap());
    }
}
