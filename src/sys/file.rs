//! Opening, creating and looking at the file of a region.
#![cfg_attr(test, allow(unsafe_code))]

use std::{
    fs::{File, Metadata, OpenOptions, Permissions},
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::Path,
};

use super::signals::BlockedSignals;

/// The first bytes of a small file of `/proc`, by as few calls as can be: such files do not say how long they are, but give all
/// that there is room for at once.
pub(crate) fn read_start(path: impl AsRef<Path>, most: usize) -> io::Result<Vec<u8>> {
    let (mut file, mut bytes) = (File::open(path)?, vec![0; most]);
    let len = loop {
        match file.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            len => break len?,
        }
    };
    bytes.truncate(len);
    Ok(bytes)
}

/// What the system knows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    /// Blocks of 512 bytes that the file really occupies.
    pub(crate) blocks: u64,
    /// How many names the file has; 0 when it was removed.
    pub(crate) nlink: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Permission bits, without the type.
    pub(crate) mode: u32,
    pub(crate) is_regular: bool,
}

impl Stat {
    /// Whether both describe the same inode.
    pub(crate) fn is_same_file(&self, other: &Stat) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }
}

impl From<&Metadata> for Stat {
    fn from(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            blocks: meta.blocks(),
            nlink: meta.nlink(),
            uid: meta.uid(),
            gid: meta.gid(),
            mode: meta.mode() & 0o7777,
            is_regular: meta.is_file(),
        }
    }
}

/// Opens an existing regular file.
///
/// What is not regular is looked at before it is opened, because opening a device can do things, and again after, because
/// the name may have changed hands. Never hangs on a FIFO.
///
/// # Errors
/// `ELOOP` for a symbolic link (unless followed), `EISDIR` for a folder, `InvalidInput` for any other file that is not regular.
pub(crate) fn open_existing(path: &Path, read_only: bool, follow: bool) -> io::Result<File> {
    refuse_irregular(&metadata(path, follow)?)?;
    let no_follow = if follow { 0 } else { libc::O_NOFOLLOW };
    let file = OpenOptions::new()
        .read(true)
        .write(!read_only)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY | no_follow)
        .open(path)?;
    refuse_irregular(&file.metadata()?)?;
    Ok(file)
}

/// Creates a file that did not exist, open for reading and writing, with exactly these permission bits whatever the umask.
///
/// # Errors
/// `AlreadyExists` when there is anything of that name, also a dangling symbolic link.
///
/// # Crash safety
/// Killed in between, an empty file is left, with at most these permissions.
pub(crate) fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

/// Opens the same inode once more: a new open file description, with locks of its own. Works for a removed file too.
///
/// Goes through `/proc/thread-self`, because `/proc/self/fd` is empty once the main thread has ended.
///
/// # Errors
/// `PermissionDenied` when the file's mode no longer allows it; `Unsupported` without a mounted `/proc`.
pub(crate) fn reopen(fd: impl AsFd, read_only: bool) -> io::Result<File> {
    let path = proc_path(fd);
    OpenOptions::new().read(true).write(!read_only).custom_flags(libc::O_CLOEXEC).open(&path).map_err(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => {
                io::Error::new(io::ErrorKind::Unsupported, format!("{path} is missing: mount /proc"))
            }
            _ => error,
        }
    })
}

/// As [`reopen`], of a file that was just opened under that name. If it is there still, that takes a fraction of the time:
/// `/proc` makes its folders for each process that asks first.
pub(crate) fn reopen_at(path: &Path, file: &File) -> io::Result<File> {
    match open_existing(path, false, false) {
        Ok(again) if stat(&again)?.is_same_file(&stat(file)?) => Ok(again),
        _ => reopen(file, false),
    }
}

/// The name under which this thread finds its own descriptor. Valid as long as the descriptor is.
pub(crate) fn proc_path(fd: impl AsFd) -> String {
    format!("/proc/thread-self/fd/{}", fd.as_fd().as_raw_fd())
}

/// What the open file is like now.
pub(crate) fn stat(file: &File) -> io::Result<Stat> {
    Ok(Stat::from(&file.metadata()?))
}

/// What is under that name now; a symbolic link is not followed.
pub(crate) fn stat_path(path: &Path) -> io::Result<Stat> {
    Ok(Stat::from(&metadata(path, false)?))
}

/// Brings the file to its medium, with its size.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Fills the buffer from that place of the file, or fails with `UnexpectedEof`.
pub(crate) fn pread_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

/// Writes all of the bytes to that place of the file. A limit on file sizes gives `FileTooLarge`, not a signal.
pub(crate) fn pwrite_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let blocked = BlockedSignals::new()?;
    let result = write_all_at(file, bytes, offset);
    blocked.swallow_file_size_signal(&result);
    result
}

#[cfg(not(test))]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// As the system does it, or as a test wants it to fail.
#[cfg(test)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    match super::faults::next() {
        // An interrupted write is made again by the standard library.
        Some(fault) if fault.errno != nix::errno::Errno::EINTR => {
            // A word is written as a whole, wherever it ends up.
            if fault.half && bytes.len() > 8 {
                file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            }
            Err(fault.errno.into())
        }
        _ => file.write_all_at(bytes, offset),
    }
}

fn metadata(path: &Path, follow: bool) -> io::Result<Metadata> {
    if follow { path.metadata() } else { path.symlink_metadata() }
}

fn refuse_irregular(meta: &Metadata) -> io::Result<()> {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_symlink() => Err(io::Error::from_raw_os_error(libc::ELOOP)),
        () if kind.is_dir() => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        () if kind.is_fifo() => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a FIFO, not a regular file")),
        () if kind.is_socket() => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a socket, not a regular file"))
        }
        () => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device, not a regular file")),
    }
}

#[cfg(test)]
mod tests;
