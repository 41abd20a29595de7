//! This process as a participant of a region.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release},
    },
};

use super::{
    open::{holder_of, init_lock},
    watchman::{LOOK, Watchman, Whereabouts},
};
use crate::{
    error::{Error, ErrorKind, Result},
    region::{
        layout::{EXTENT, live},
        participants::{self, Identity, MAX_NUMBER, Name},
    },
    storage::Storage,
    sys::{
        allocate::{allocate, is_no_room},
        byte_lock, clock,
        fork::ParentFd,
        wipe_page::WipePage,
    },
};

/// A slot, a number, a locked byte, and (unless switched off) a thread by whose death the kernel tells of ours.
pub(crate) struct Member {
    pub(crate) name: Name,
    pub(crate) number: u64,
    /// Holds the byte and does nothing else.
    holder: ParentFd,
    /// Tells this process from forked children, who are no participants.
    process: WipePage,
    watchman: Option<Arc<Watchman>>,
}

/// What a participant brings along.
pub(crate) struct Joining<'a> {
    pub(crate) path: &'a Path,
    pub(crate) label: &'a str,
    pub(crate) with_thread: bool,
    pub(crate) whereabouts: &'a Arc<Whereabouts>,
}

impl Member {
    /// Takes part. The holder is a descriptor of its own without any lock.
    pub(crate) fn join(storage: &Arc<Storage>, holder: Option<ParentFd>, joining: &Joining<'_>) -> Result<Self> {
        let path = joining.path;
        let io = |what: &str, error| Error::io(format!("{}: cannot {what}", path.display()), error);
        let process = WipePage::new().map_err(|error| io("tell forked children apart", error))?;
        let holder = match holder {
            Some(holder) => holder,
            None => holder_of(storage.memory.file(), path)?,
        };
        let lock = init_lock(&holder, path)?;
        if storage.is_gone() {
            return Err(gone(path));
        }
        let alone = storage.participants().nobody().map_err(|error| io("ask who else is there", error))?;
        let number = lock_byte(storage, &holder, path)?;
        if alone {
            reset_participants(storage);
        }
        let name = take_slot(storage, number, joining)?;
        enter_boot(storage, name, alone, path)?;
        drop(lock);
        let watchman = joining.with_thread.then(|| Watchman::start(storage, name, joining.whereabouts)).flatten();
        Ok(Self { name, number, holder, process, watchman })
    }

    /// A process of a model: it has its slot already, and no thread; its death is told by the model.
    #[cfg(all(loom, test))]
    pub(crate) fn modelled(name: Name) -> std::io::Result<Self> {
        let holder = ParentFd::open(|| Ok(std::fs::File::open("/dev/null")?.into()))?;
        Ok(Self { name, number: u64::from(name.slot) + 1, holder, process: WipePage::new()?, watchman: None })
    }

    /// Whether this process is the participant, not a forked child of it.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.process.is_parent()
    }

    /// Lets children hold this participant's byte too: a descriptor that they inherit.
    ///
    /// # Errors
    /// `Unsupported` without the thread: then the byte would decide about locks of shards too.
    pub(crate) fn carry(&self, storage: &Storage) -> Result<std::os::fd::OwnedFd> {
        if !self.watchman().is_some_and(|watchman| watchman.has_registered(LOOK)) {
            let message = format!(
                "{}: only a process with the liveness thread can let a child carry on: open it with liveness_thread(true)",
                storage.path.display()
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        storage.participants().carry(self.name.slot);
        self.holder.inheritable().map_err(|error| storage.io("let a child inherit it", error))
    }

    /// The thread that keeps the time since somebody looked at the store's name.
    #[inline]
    pub(crate) fn watchman(&self) -> Option<&Watchman> {
        self.watchman.as_deref()
    }

    /// Ends taking part: entries of this process are orphaned.
    pub(crate) fn leave(&self, storage: &Storage) {
        if !self.is_ours() {
            return;
        }
        // Else the thread says that nobody has the slot any more, as soon as it runs.
        if self.watchman.as_ref().is_none_or(|watchman| watchman.dismiss()) {
            storage.participants().release(self.name.slot);
        }
        if let Some(fd) = self.holder.get() {
            let _ = byte_lock::unlock(fd, participants::byte(self.number));
        }
        storage.wake_everybody();
    }
}

pub(crate) fn gone(path: &Path) -> Error {
    Error::new(
        ErrorKind::Gone,
        format!(
            "{}: the store was removed or replaced under this process (destroy, rm, a restored file, logind's RemoveIPC at logout); open it again",
            path.display()
        ),
    )
}

/// Locks a byte that was never anybody's.
fn lock_byte(storage: &Storage, holder: &ParentFd, path: &Path) -> Result<u64> {
    let failed = |error| Error::io(format!("{}: cannot lock a byte of the store", path.display()), error);
    let memory = &storage.memory;
    for _ in 0..10_000 {
        let next = memory.load(live::NEXT_NUMBER, Relaxed);
        // A counter of garbage: any number that nobody has will do.
        let number = if (1..MAX_NUMBER).contains(&next) { next } else { clock::realtime_ns() >> 16 };
        memory.store(live::NEXT_NUMBER, number + 1, Release);
        let fd = holder.get().ok_or_else(|| gone(path))?;
        if byte_lock::try_lock(fd, participants::byte(number)).map_err(failed)? {
            return Ok(number);
        }
    }
    Err(Error::new(ErrorKind::Corrupt, format!("{}: no number for a participant is free", path.display())))
}

/// Nobody else is attached: whatever the table says, all are dead, and so are those who closed the gate or watched.
fn reset_participants(storage: &Storage) {
    let high = storage.memory.load(live::HIGH_SLOT, Relaxed).min(u64::from(storage.geometry.participants));
    (0..high as u32).for_each(|slot| storage.participants().release(slot));
    storage.memory.store(live::HIGH_SLOT, 0, Release);
}

fn take_slot(storage: &Storage, number: u64, joining: &Joining<'_>) -> Result<Name> {
    let participants = storage.participants();
    let most = storage.geometry.participants;
    // Each slot is asked, also behind what is said to be the last one used: that may be garbage.
    let slot = (0..most).find(|slot| participants.is_vacant(*slot));
    let Some(slot) = slot else {
        return Err(Error::new(
            ErrorKind::Full,
            format!(
                "{}: {most} processes are attached, no more fit; a larger capacity has room for more",
                joining.path.display()
            ),
        ));
    };
    let high = storage.memory.load(live::HIGH_SLOT, Relaxed).min(u64::from(most));
    storage.memory.store(live::HIGH_SLOT, high.max(u64::from(slot) + 1), Release);
    Ok(participants.take(slot, number, &Identity::own(), joining.label))
}

/// Lock words and deadlines of another boot mean nothing; what a disk kept over it is looked at as a whole.
fn enter_boot(storage: &Storage, me: Name, alone: bool, path: &Path) -> Result<()> {
    let now = storage.boot()?;
    let kept = [live::BOOT_ID, live::BOOT_ID + 8].map(|at| storage.memory.load(at, Relaxed));
    if alone {
        fill_holes(storage, path)?;
    }
    if kept == now {
        return Ok(());
    }
    if !alone {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{}: the store is in use since another boot, so another machine must have it open", path.display()),
        ));
    }
    if kept != [0, 0] {
        storage.forget_locks();
        storage.rebuild(me)?;
        storage.raise_clocks();
    }
    storage.memory.store(live::BOOT_ID + 8, now[1], Release);
    storage.memory.store(live::BOOT_ID, now[0], Release);
    Ok(())
}

/// A sparse copy has holes where loads would fail on a full file system: they get their blocks before anybody loads.
fn fill_holes(storage: &Storage, path: &Path) -> Result<()> {
    let failed = |error| {
        let what = format!("{}: cannot give the store's holes their blocks", path.display());
        match is_no_room(&error) {
            true => {
                Error::new(ErrorKind::Full, format!("{what}: {error}; make room on its file system")).with_source(error)
            }
            false => Error::io(what, error),
        }
    };
    let geometry = &storage.geometry;
    let size = storage.memory.size();
    let data = geometry.first_extent() * EXTENT;
    let (table, rest) = (geometry.table_end(size / EXTENT), size - data);
    if !geometry.has_holes(size, storage.memory.stat().map_err(failed)?.blocks * 512) {
        return Ok(());
    }
    allocate(storage.memory.file(), 0, table).map_err(failed)?;
    allocate(storage.memory.file(), data, rest).map_err(failed)
}
