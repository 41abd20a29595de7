//! This process as a participant of a region.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use super::open::{holder_of, init_lock};
use crate::{
    error::{Error, ErrorKind, Result},
    region::{
        layout::{EXTENT, live},
        participants::{self, Identity, LIVENESS, MAX_NUMBER, Name},
    },
    storage::Storage,
    sys::{
        allocate::{allocate, is_no_room},
        barrier, byte_lock, clock,
        event_fd::EventFd,
        fork::ParentFd,
        robust,
        thread::spawn_quiet,
        watch_file::{FileWatch, What},
        wipe_page::WipePage,
    },
};

/// How often the thread looks at the store's name where nobody tells it.
const LOOK: Duration = Duration::from_secs(1);

/// A slot, a number, a locked byte, and (unless switched off) a thread by whose death the kernel tells of ours.
pub(crate) struct Member {
    pub(crate) name: Name,
    pub(crate) number: u64,
    /// Holds the byte and does nothing else.
    holder: ParentFd,
    /// Tells this process from forked children, who are no participants.
    process: WipePage,
    thread: Option<Arc<Stop>>,
}

/// What ends the thread: the word that says so, and the flag that wakes it. A flag alone is not believed: its
/// descriptor may have been closed by a program that closes all it has.
struct Stop {
    flag: EventFd,
    stage: AtomicU32,
}

/// The thread has not come to the liveness word yet.
const STARTING: u32 = 0;
/// It is about to write there.
const REGISTERING: u32 = 1;
/// It has written, and will not again.
const REGISTERED: u32 = 2;
/// The participant leaves. From then on the word may be somebody else's, and the file cut short.
const LEAVING: u32 = 3;

impl Stop {
    /// Whether the thread may write the liveness word, which it then does at once.
    fn may_register(&self) -> bool {
        self.stage.compare_exchange(STARTING, REGISTERING, AcqRel, Acquire).is_ok()
    }

    fn has_registered(&self) {
        self.stage.store(REGISTERED, Release);
    }

    fn is_asked(&self) -> bool {
        self.stage.load(Acquire) == LEAVING
    }

    /// Ends the thread, and returns when it touches nothing of the region any more.
    fn ask(&self) {
        loop {
            match self.stage.load(Acquire) {
                REGISTERING => std::thread::yield_now(),
                stage if self.stage.compare_exchange(stage, LEAVING, AcqRel, Acquire).is_ok() => break,
                _ => {}
            }
        }
        self.flag.signal();
    }
}

/// What a participant brings along.
pub(crate) struct Joining<'a> {
    pub(crate) path: &'a Path,
    pub(crate) label: &'a str,
    pub(crate) with_thread: bool,
    /// Set when the store's name no longer leads to it.
    pub(crate) gone: &'a Arc<AtomicBool>,
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
        let thread = if joining.with_thread { watch_over(storage, name, joining) } else { None };
        Ok(Self { name, number, holder, process, thread })
    }

    /// A process of a model: it has its slot already, and no thread; its death is told by the model.
    #[cfg(all(loom, test))]
    pub(crate) fn modelled(name: Name) -> std::io::Result<Self> {
        let holder = ParentFd::open(|| Ok(std::fs::File::open("/dev/null")?.into()))?;
        Ok(Self { name, number: u64::from(name.slot) + 1, holder, process: WipePage::new()?, thread: None })
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
        let at = storage.geometry.participant(self.name.slot) + LIVENESS;
        let patience = std::time::Instant::now() + LOOK;
        while self.thread.is_some() && storage.memory.load32(at, Acquire) == 0 && std::time::Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.thread.is_none() || storage.memory.load32(at, Acquire) == 0 {
            let message = format!(
                "{}: only a process with the liveness thread can let a child carry on: open it with liveness_thread(true)",
                storage.path.display()
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        storage.participants().carry(self.name.slot);
        self.holder.inheritable().map_err(|error| storage.io("let a child inherit it", error))
    }

    /// Whether a thread looks after the store's name.
    #[inline]
    pub(crate) fn has_thread(&self) -> bool {
        self.thread.is_some()
    }

    /// Ends taking part: entries of this process are orphaned.
    pub(crate) fn leave(&self, storage: &Storage) {
        if !self.is_ours() {
            return;
        }
        if let Some(stop) = &self.thread {
            stop.ask();
        }
        storage.participants().release(self.name.slot);
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

/// Starts the thread whose death the kernel reports, and which watches the store's name.
///
/// It takes no locks and never ends before the last handle does. `None` when there can be no thread: the byte then
/// tells of our death, a little later.
fn watch_over(storage: &Arc<Storage>, name: Name, joining: &Joining<'_>) -> Option<Arc<Stop>> {
    let stop = Arc::new(Stop { flag: EventFd::new().ok()?, stage: AtomicU32::new(STARTING) });
    let theirs = Arc::clone(&stop);
    let (storage, gone) = (Arc::clone(storage), Arc::clone(joining.gone));
    spawn_quiet("shmsync", move || stay_alive(&storage, name, &gone, &theirs)).ok().map(|_| stop)
}

/// The thread's whole life.
#[allow(unsafe_code)]
fn stay_alive(storage: &Arc<Storage>, name: Name, gone: &AtomicBool, stop: &Stop) {
    register_barrier();
    let at = storage.geometry.participant(name.slot) + LIVENESS;
    let list = robust::RobustList::new().ok();
    if let (Some(list), Some(word)) = (&list, storage.memory.futex(at))
        && stop.may_register()
    {
        // SAFETY: the word is aligned and lies in the mapping, which `storage` keeps until after the list is dropped.
        unsafe { list.register(word.cast_mut()) };
        // Without WAITERS the kernel would mark the word, but wake nobody.
        let _ = storage.memory.exchange32(at, 0, robust::thread_id() | robust::WAITERS);
        stop.has_registered();
    }
    let watch = FileWatch::new(storage.memory.file());
    while !stop.is_asked() {
        let what = match &watch {
            Ok(watch) => watch.wait(&stop.flag, None),
            Err(_) => stop.flag.wait(LOOK).map(|stopped| if stopped { What::Stopped } else { What::TimedOut }),
        };
        if storage.was_replaced() {
            gone.store(true, Release);
        }
        if matches!(what, Ok(What::Stopped) | Err(_)) && !stop.is_asked() {
            std::thread::sleep(LOOK);
        }
    }
    if let Some(list) = &list {
        list.unregister();
    }
}

/// Once a process: on many threads it takes a grace period of the kernel, which is why it is done here.
fn register_barrier() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Relaxed) {
        barrier::register();
    }
}
