//! From a path to a mapped region: looked at with suspicion first, made where nothing is.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, ErrorKind, Result},
    region::{
        header::{self, Found, Header},
        layout::{DEFAULT_CAPACITY, EXTENT, Geometry, MAX_CAPACITY, MIN_CAPACITY, live},
        memory::Memory,
        participants::{self, INIT_BYTE},
    },
    storage::Storage,
    store::Options,
    sys::{
        allocate::{allocate, is_no_room},
        byte_lock, clock,
        file::{self, Stat},
        file_system::{self, FileSystem},
        fork::ParentFd,
        identity, mapping,
    },
};

/// How long the init lock may be held by others.
const INIT_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait between two tries to take it, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);
/// Extents of a new region.
const FIRST_EXTENTS: u64 = 16;

/// The init lock, given back when dropped.
pub(crate) struct InitLock<'a>(pub(crate) &'a ParentFd);

impl Drop for InitLock<'_> {
    fn drop(&mut self) {
        if let Some(fd) = self.0.get() {
            let _ = byte_lock::unlock(fd, INIT_BYTE);
        }
    }
}

/// Takes the init lock, polling: it is held for microseconds. Where many wait, their polling must not keep those from
/// running who have it, and as long as others come in one after the other, nobody is stuck.
pub(crate) fn init_lock<'a>(holder: &'a ParentFd, path: &Path) -> Result<InitLock<'a>> {
    let (mut start, mut pause, mut seen) = (Instant::now(), SHORTEST_PAUSE, None);
    loop {
        let fd =
            holder.get().ok_or_else(|| Error::new(ErrorKind::NotOwner, "the store was being opened by the parent"))?;
        match byte_lock::try_lock(fd, INIT_BYTE) {
            Ok(true) => return Ok(InitLock(holder)),
            Ok(false) if start.elapsed() > INIT_LIMIT => {
                let joined = joined_so_far(path);
                if joined == seen {
                    return Err(init_locked(path));
                }
                (start, seen) = (Instant::now(), joined);
            }
            Ok(false) => {
                seen = seen.or_else(|| joined_so_far(path));
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(Error::io(format!("{}: cannot lock the store", path.display()), error)),
        }
    }
}

/// How many have ever joined the store at that path, as far as it says.
fn joined_so_far(path: &Path) -> Option<[u8; 8]> {
    let file = file::open_existing(path, true, false).ok()?;
    let mut number = [0; 8];
    file::pread_exact_at(&file, &mut number, live::NEXT_NUMBER).ok()?;
    Some(number)
}

fn init_locked(path: &Path) -> Error {
    Error::new(
        ErrorKind::Locked,
        format!(
            "{}: another process has been opening the store for 5 s and is alive (stopped?); continue or kill it (`fuser {0}` names it)",
            path.display()
        ),
    )
}

/// A descriptor of its own for locks.
pub(crate) fn holder_of(file: &File, path: &Path) -> Result<ParentFd> {
    ParentFd::open(|| file::reopen_at(path, file).map(OwnedFd::from))
        .map_err(|error| Error::io(format!("{}: cannot open it a second time for its locks", path.display()), error))
}

/// What opening comes to.
pub(crate) struct Opened {
    pub(crate) storage: Storage,
    pub(crate) stat: Stat,
    /// Where locks are taken; a read-only region has none.
    pub(crate) holder: Option<ParentFd>,
}

/// Opens the region at a path, or makes it. Ends holding no lock; whoever joins takes the init lock again.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened> {
    let start = Instant::now();
    loop {
        let (file, created) = open_file(path, options)?;
        check(&file, path, options)?;
        let opened =
            if options.is_read_only() { open_read_only(file, path) } else { open_writable(file, path, options) };
        match opened {
            Ok(Some(opened)) => return Ok(opened),
            // It was removed or replaced while we looked.
            Ok(None) if start.elapsed() < INIT_LIMIT => continue,
            Ok(None) => {
                return Err(Error::new(ErrorKind::Gone, format!("{}: it is replaced all the time", path.display())));
            }
            Err(error) => {
                if created && error.kind() != ErrorKind::Locked {
                    remove_unfinished(path);
                }
                return Err(error);
            }
        }
    }
}

/// Nothing is left behind by a creation that failed for want of room, say.
fn remove_unfinished(path: &Path) {
    let mut block = [0; header::LEN];
    let Ok(file) = file::open_existing(path, true, false) else { return };
    let size = file::stat(&file).map_or(1, |stat| stat.size);
    let read = file::pread_exact_at(&file, &mut block[..size.min(header::LEN as u64) as usize], 0).is_ok();
    if size == 0 || read && matches!(Header::parse(&block, path), Ok(Found::Unfinished)) {
        let _ = std::fs::remove_file(path);
    }
}

fn open_file(path: &Path, options: &Options) -> Result<(File, bool)> {
    loop {
        match file::open_existing(path, options.is_read_only(), false) {
            Ok(file) => return Ok((file, false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && options.creates() => {
                match file::create_new(path, options.get_mode().unwrap_or(0o600)) {
                    Ok(file) => return Ok((file, true)),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    Err(error) => return Err(create_error(path, error)),
                }
            }
            Err(error) => return Err(open_error(path, error)),
        }
    }
}

fn create_error(path: &Path, error: io::Error) -> Error {
    let folder = path.parent().unwrap_or(path).display();
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::NoStore,
            format!("{}: the directory {folder} does not exist; create it first", path.display()),
        ),
        io::ErrorKind::PermissionDenied => Error::new(
            ErrorKind::Permission,
            format!(
                "{}: no right to create files in {folder}; choose another path or change its rights",
                path.display()
            ),
        ),
        _ if error.raw_os_error() == Some(libc::EISDIR) => {
            let message =
                format!("{}: a store is a file, not a directory; remove the slash at the end", path.display());
            Error::new(ErrorKind::Invalid, message)
        }
        _ => Error::io(format!("{}: cannot create the store", path.display()), error),
    }
}

fn open_error(path: &Path, error: io::Error) -> Error {
    let shown = path.display();
    let not_ours = |what: &str| {
        Error::new(ErrorKind::NotAStore, format!("{shown}: it is {what}, not a shmsync store; choose another path"))
    };
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, _) => {
            Error::new(ErrorKind::NoStore, format!("{shown}: there is no store; create it with `shmsync init`"))
        }
        (io::ErrorKind::PermissionDenied, _) => Error::new(
            ErrorKind::Permission,
            format!("{shown}: no right to open the store; its owner can give it (`chmod g+rw {shown}`)"),
        ),
        (_, Some(libc::ELOOP)) => not_ours("a symbolic link"),
        (_, Some(libc::EISDIR)) => not_ours("a directory"),
        (io::ErrorKind::InvalidInput, None) => not_ours("no regular file"),
        _ => Error::io(format!("{shown}: cannot open the store"), error),
    }
}

/// Refuses what is not a file that only trusted users can change, on a file system that all processes see alike.
fn check(file: &File, path: &Path, options: &Options) -> Result<()> {
    let shown = path.display();
    let stat = file::stat(file).map_err(|error| Error::io(format!("{shown}: cannot look at it"), error))?;
    let trusted = stat.uid == identity::euid() || options.get_trusted_owners().contains(&stat.uid);
    if !trusted {
        return Err(Error::new(
            ErrorKind::Permission,
            format!(
                "{shown}: it belongs to user {}, who could tamper with it; trust that user (`--trust-owner {0}`) or use a store of your own",
                stat.uid
            ),
        ));
    }
    let system =
        file_system::of(file).map_err(|error| Error::io(format!("{shown}: cannot look at its file system"), error))?;
    refuse_network(system, path, options)
}

/// Other machines would not see what this one writes.
fn refuse_network(system: FileSystem, path: &Path, options: &Options) -> Result<()> {
    let shown = path.display();
    match system {
        FileSystem::Network(name) if !options.allows_network_fs() => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{shown}: it lies on {name}, where other machines would not see the same; use etcd for several machines, or allow it for one (`--allow-network-fs`)"
            ),
        )),
        _ => Ok(()),
    }
}

fn read_header(file: &File, path: &Path) -> Result<Option<Found>> {
    let io = |error| Error::io(format!("{}: cannot read the store", path.display()), error);
    let size = file::stat(file).map_err(io)?.size;
    if size == 0 {
        return Ok(None);
    }
    let mut block = vec![0; size.min(header::LEN as u64) as usize];
    file::pread_exact_at(file, &mut block, 0).map_err(io)?;
    Header::parse(&block, path).map(Some)
}

fn open_read_only(file: File, path: &Path) -> Result<Option<Opened>> {
    let Some(Found::Ready(header)) = read_header(&file, path)? else {
        return Err(Error::new(
            ErrorKind::NoStore,
            format!("{}: the store is not finished yet; try again", path.display()),
        ));
    };
    let opened = finish(file, path, &header, None)?;
    if let Some(opened) = &opened {
        refuse_holes(&opened.storage, path)?;
    }
    Ok(opened)
}

/// A load from a hole takes memory on tmpfs, and is a SIGBUS when there is none. Whoever opens for writing fills holes.
fn refuse_holes(storage: &Storage, path: &Path) -> Result<()> {
    let io = |error| Error::io(format!("{}: cannot look at it", path.display()), error);
    let system = file_system::of(storage.memory.file()).map_err(io)?;
    let occupied = storage.memory.stat().map_err(io)?.blocks * 512;
    if system == FileSystem::Tmpfs && storage.geometry.has_holes(storage.memory.size(), occupied) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{}: it is a sparse copy, which cannot be read safely; open it for writing once", path.display()),
        ));
    }
    Ok(())
}

fn open_writable(file: File, path: &Path, options: &Options) -> Result<Option<Opened>> {
    // Before any lock and any change: is it ours at all?
    let found = read_header(&file, path)?;
    let holder = holder_of(&file, path)?;
    let header = match found {
        // Written once, and for ever: there is nothing to be locked for.
        Some(Found::Ready(header)) if is_at(&file, path) => Some(header),
        Some(Found::Ready(_)) => None,
        _ => make(&file, path, &holder, options)?,
    };
    header.map_or(Ok(None), |header| finish(file, path, &header, Some(holder)))
}

/// Whether the path leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    file::stat_path(path).is_ok_and(|now| file::stat(file).is_ok_and(|ours| now.is_same_file(&ours)))
}

/// Makes the region, unless somebody else has made it meanwhile; `None` when the path leads elsewhere.
fn make(file: &File, path: &Path, holder: &ParentFd, options: &Options) -> Result<Option<Header>> {
    let _lock = init_lock(holder, path)?;
    if !is_at(file, path) {
        return Ok(None);
    }
    match read_header(file, path)? {
        Some(Found::Ready(header)) => return Ok(Some(header)),
        Some(Found::Unfinished) => refuse_used(file, path)?,
        None => {}
    }
    create(file, path, options).map(Some)
}

/// A region that looks unfinished, but is in use or has been, is damaged; it is not made anew under its users.
fn refuse_used(file: &File, path: &Path) -> Result<()> {
    let io = |error| Error::io(format!("{}: cannot look at it", path.display()), error);
    let attached = byte_lock::is_locked(file, participants::byte(0), 0).map_err(io)?;
    let mut boot = [0; 16];
    let known = file::pread_exact_at(file, &mut boot, live::BOOT_ID).is_ok();
    if attached || known && boot != [0; 16] {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: the store's header is damaged: it says unfinished, but the store was used; restore a dump, or `shmsync destroy` it",
                path.display()
            ),
        ));
    }
    Ok(())
}

fn finish(file: File, path: &Path, header: &Header, holder: Option<ParentFd>) -> Result<Option<Opened>> {
    let io = |error| Error::io(format!("{}: cannot look at it", path.display()), error);
    let stat = file::stat(&file).map_err(io)?;
    let geometry = header.geometry;
    let writable = holder.is_some();
    let memory = Memory::map(file, geometry.capacity, writable).map_err(|error| map_error(path, geometry, error))?;
    // Asked of what was mapped: from here on nobody looks at the size again before touching the fixed part.
    if memory.size() < geometry.first_extent() * EXTENT {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{}: the store was cut to {} bytes; restore a dump, or `shmsync destroy` it",
                path.display(),
                memory.size()
            ),
        ));
    }
    Ok(Some(Opened { storage: Storage::new(memory, header, path.to_path_buf()), stat, holder }))
}

fn map_error(path: &Path, geometry: Geometry, error: io::Error) -> Error {
    let limit = mapping::address_space_limit().map_or(String::new(), |limit| format!(" (RLIMIT_AS is {limit})"));
    match error.kind() {
        io::ErrorKind::OutOfMemory => Error::new(
            ErrorKind::Full,
            format!(
                "{}: the store needs {} bytes of addresses, more than this process may have{limit}; raise `ulimit -v`, or create it with a smaller capacity (`--capacity`)",
                path.display(),
                geometry.capacity
            ),
        ),
        _ if error.raw_os_error() == Some(libc::ENODEV) => Error::new(
            ErrorKind::Unsupported,
            format!("{}: its file system cannot map files; use tmpfs, ext4, xfs or the like", path.display()),
        )
        .with_source(error),
        _ => Error::io(format!("{}: cannot map the store", path.display()), error),
    }
}

/// Makes a region in an empty or unfinished file. The init lock is held.
fn create(file: &File, path: &Path, options: &Options) -> Result<Header> {
    let capacity = options.get_capacity().unwrap_or(DEFAULT_CAPACITY);
    let Some(geometry) = Geometry::new(capacity) else {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "{}: a capacity of {capacity} bytes is not between {MIN_CAPACITY} and {MAX_CAPACITY}; give one that is",
                path.display()
            ),
        ));
    };
    // Too few addresses are noticed before anything is written.
    mapping::Mapping::new(file, geometry.capacity as usize, true).map_err(|error| map_error(path, geometry, error))?;
    let created_ns = clock::realtime_ns();
    let header = Header { geometry, seed: random_seed(created_ns), created_ns };
    write_region(file, &header).map_err(|error| match error.kind() {
        _ if is_no_room(&error) => Error::new(
            ErrorKind::Full,
            format!("{}: no room on the file system for a new store; nothing was created", path.display()),
        )
        .with_source(error),
        io::ErrorKind::Unsupported => Error::new(
            ErrorKind::Unsupported,
            format!(
                "{}: its file system cannot reserve room (fallocate); use tmpfs, ext4, xfs or the like",
                path.display()
            ),
        )
        .with_source(error),
        _ => Error::io(format!("{}: cannot create the store", path.display()), error),
    })?;
    Ok(header)
}

fn write_region(file: &File, header: &Header) -> io::Result<()> {
    let geometry = &header.geometry;
    file.set_len(0)?;
    file::pwrite_all_at(file, &header.encode(), 0)?;
    let extents = (geometry.first_extent() + FIRST_EXTENTS).min(geometry.extents());
    allocate(file, 0, geometry.table_end(extents))?;
    let data = geometry.first_extent() * EXTENT;
    allocate(file, data, extents * EXTENT - data)?;
    let storage = Storage::new(Memory::map(file.try_clone()?, geometry.capacity, true)?, header, Default::default());
    storage.first_values();
    let (at, ready) = Header::ready();
    file::pwrite_all_at(file, &ready, at)
}

/// Different for each region; keys are not secret, so this need not be.
fn random_seed(now: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u64(now);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision 33, with the file system's name as `statfs` would tell it: none is at hand.
    #[test]
    fn a_network_file_system_is_refused_unless_allowed() {
        let (path, options) = (Path::new("/mnt/data.shm"), Options::default());
        let error = refuse_network(FileSystem::Network("NFS"), path, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        for word in ["/mnt/data.shm", "NFS", "etcd", "--allow-network-fs"] {
            assert!(error.to_string().contains(word), "{error} does not say {word}");
        }
        assert!(refuse_network(FileSystem::Network("NFS"), path, &options.allow_network_fs(true)).is_ok());
        assert!(refuse_network(FileSystem::Tmpfs, path, &Options::default()).is_ok());
        assert!(refuse_network(FileSystem::Local, path, &Options::default()).is_ok());
    }
}
