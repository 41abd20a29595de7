//! One region in one process: the mapping, and who this process is in it.
//!
//! All handles of a process on one region share an attachment. After a fork the child goes on reading through what it
//! inherited; its first write makes it a participant of its own.

use std::{
    path::Path,
    ptr,
    sync::{
        Arc, Mutex, PoisonError, TryLockError, Weak,
        atomic::{
            AtomicPtr, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::Duration,
};

use super::{
    member::{Joining, Member, gone},
    open::{self, Opened},
    watchman::{LOOK, Whereabouts},
};
use crate::{
    error::{Error, ErrorKind, Result},
    primitive::atomics::MODELLED,
    region::{glance::Glance, layout::live, participants::Name},
    storage::Storage,
    store::Options,
    sys::{clock, file::Stat, identity},
};

/// An attached region.
pub(crate) struct Attachment {
    pub(crate) storage: Arc<Storage>,
    /// Null where nothing may be written. Replaced in a forked child; the parent's is then left alone for ever.
    member: AtomicPtr<Member>,
    whereabouts: Arc<Whereabouts>,
    /// When the name was looked at last, in coarse nanoseconds, where no thread keeps the time.
    looked: AtomicU64,
    label: String,
    with_thread: bool,
    pub(super) mode: u32,
    /// The gate closed by a thread of this process, and which thread it was.
    pub(super) gate: AtomicU64,
    pub(super) gate_thread: AtomicU64,
    device: u64,
    inode: u64,
}

impl Attachment {
    /// Opens a region, or shares what this process has open already.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Arc<Self>> {
        let start = std::time::Instant::now();
        // The path is looked at again later, when the current directory may be another.
        let path = &std::path::absolute(path)
            .map_err(|error| Error::io(format!("{}: cannot make it absolute", path.display()), error))?;
        let opened = open::open(path, options)?;
        let attachment = if opened.holder.is_none() {
            Arc::new(Self::new(opened, options, ptr::null_mut()))
        } else {
            registered(opened.stat, || Self::join(opened, path, options))?
        };
        attachment.check()?;
        crate::trace::attach(path, identity::pid(), start.elapsed());
        Ok(attachment)
    }

    fn join(mut opened: Opened, path: &Path, options: &Options) -> Result<Arc<Self>> {
        let holder = opened.holder.take();
        let mut attachment = Self::new(opened, options, ptr::null_mut());
        let joining = Joining {
            path,
            label: options.get_label(),
            with_thread: options.starts_liveness_thread(),
            whereabouts: &attachment.whereabouts,
        };
        let member = Member::join(&attachment.storage, holder, &joining)?;
        attachment.member = AtomicPtr::new(Box::into_raw(Box::new(member)));
        Ok(Arc::new(attachment))
    }

    fn new(opened: Opened, options: &Options, member: *mut Member) -> Self {
        Self {
            storage: Arc::new(opened.storage),
            member: AtomicPtr::new(member),
            whereabouts: Arc::new(Whereabouts::new()),
            looked: AtomicU64::new(clock::monotonic_coarse_ns()),
            label: options.get_label().to_owned(),
            with_thread: options.starts_liveness_thread(),
            mode: opened.stat.mode & 0o7777,
            gate: AtomicU64::new(0),
            gate_thread: AtomicU64::new(0),
            device: opened.stat.dev,
            inode: opened.stat.ino,
        }
    }

    /// A process of a model.
    #[cfg(all(loom, test))]
    pub(super) fn modelled(storage: Arc<Storage>, member: Member) -> Self {
        Self {
            storage,
            member: AtomicPtr::new(Box::into_raw(Box::new(member))),
            whereabouts: Arc::new(Whereabouts::new()),
            looked: AtomicU64::new(clock::monotonic_coarse_ns()),
            label: String::new(),
            with_thread: false,
            mode: 0o600,
            gate: AtomicU64::new(0),
            gate_thread: AtomicU64::new(0),
            device: 0,
            inode: 0,
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)]
    fn member(&self) -> Option<&Member> {
        // SAFETY: the pointer is null or from `Box::into_raw`, and what it points to is freed only by our drop.
        unsafe { self.member.load(Acquire).as_ref() }
    }

    /// This process as a participant, if it is one already.
    pub(super) fn joined(&self) -> Option<&Member> {
        self.member().filter(|member| member.is_ours())
    }

    /// This process as a participant.
    #[inline(always)]
    pub(crate) fn me(&self) -> Result<&Member> {
        match self.member() {
            Some(member) if member.is_ours() => Ok(member),
            Some(_) => self.join_in_child(),
            None => Err(Error::new(
                ErrorKind::Permission,
                format!(
                    "{}: the store was opened read-only; open it without that to change it",
                    self.storage.path.display()
                ),
            )),
        }
    }

    /// The name by which lock words know this process.
    #[inline(always)]
    pub(crate) fn name(&self) -> Result<Name> {
        Ok(self.me()?.name)
    }

    #[cold]
    fn join_in_child(&self) -> Result<&Member> {
        let inherited = self.member.load(Acquire);
        let joining = Joining {
            path: &self.storage.path,
            label: &self.label,
            with_thread: self.with_thread,
            whereabouts: &self.whereabouts,
        };
        let member = Member::join(&self.storage, None, &joining)?;
        let joined = Box::into_raw(Box::new(member));
        if self.member.compare_exchange(inherited, joined, AcqRel, Acquire).is_err() {
            // Another thread of the child was first.
            free(joined, &self.storage);
        }
        self.me()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.member.load(Relaxed).is_null()
    }

    /// This process as a participant whose thread keeps the time, if the store was there lately.
    #[inline(always)]
    pub(super) fn is_watched(&self, glance: Glance<'_>) -> Option<&Member> {
        let is_there = glance.header().load(live::GONE, Relaxed) == 0 && self.whereabouts.are_fresh();
        self.member().filter(|member| is_there && member.watchman().is_some() && member.is_ours())
    }

    /// Whether the store is still the one of its name.
    pub(crate) fn check(&self) -> Result<()> {
        if self.whereabouts.are_fresh()
            && !self.storage.is_gone()
            && self.member().is_some_and(|member| member.watchman().is_some() && member.is_ours())
        {
            return Ok(());
        }
        self.check_name()
    }

    /// The same for who is going to write: this process as a participant.
    #[inline(always)]
    pub(crate) fn ready(&self) -> Result<&Member> {
        match self.storage.memory.glance().and_then(|glance| self.is_watched(glance)) {
            Some(member) => Ok(member),
            None => self.check_and_join(),
        }
    }

    #[cold]
    #[inline(never)]
    fn check_and_join(&self) -> Result<&Member> {
        self.check().and_then(|()| self.me())
    }

    /// Looks at the name where nobody did lately.
    #[inline(never)]
    fn check_name(&self) -> Result<()> {
        self.check_gone()?;
        if let Some(watchman) = self.joined().and_then(Member::watchman) {
            self.check_name_now()?;
            watchman.refresh(&self.whereabouts);
            return Ok(());
        }
        let now = clock::monotonic_coarse_ns();
        // Models do the same each time, however long they take.
        if now.wrapping_sub(self.looked.load(Relaxed)) < LOOK.as_nanos() as u64 || MODELLED {
            return Ok(());
        }
        self.looked.store(now, Relaxed);
        self.check_name_now()
    }

    /// For who sleeps, and looks at the name after each sleep: the thread that keeps the time need not run for that.
    pub(crate) fn check_gone(&self) -> Result<()> {
        if self.storage.is_gone() || self.whereabouts.are_gone() {
            return Err(gone(&self.storage.path));
        }
        Ok(())
    }

    /// Looks at the name at once: before a sleep, after one.
    pub(crate) fn check_name_now(&self) -> Result<()> {
        if self.storage.is_gone() || self.storage.was_replaced() {
            self.whereabouts.lose();
            return Err(gone(&self.storage.path));
        }
        Ok(())
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let member = *self.member.get_mut();
        if !member.is_null() {
            free(member, &self.storage);
        }
    }
}

#[allow(unsafe_code)]
fn free(member: *mut Member, storage: &Storage) {
    // SAFETY: it came from `Box::into_raw`, and the caller has the only pointer to it.
    let member = unsafe { Box::from_raw(member) };
    member.leave(storage);
}

/// What this process has open: one attachment per file.
type Register = Vec<Weak<Attachment>>;

/// A forked child may find a register locked by a thread that it does not have; it goes on with the next one then.
static REGISTERS: [Mutex<Register>; 4] = [const { Mutex::new(Vec::new()) }; 4];
static CURRENT: AtomicUsize = AtomicUsize::new(0);
/// Somebody may be joining for as long as the init lock takes.
const TRIES: u32 = 10_000;

fn registered(stat: Stat, join: impl FnOnce() -> Result<Arc<Attachment>>) -> Result<Arc<Attachment>> {
    loop {
        let current = CURRENT.load(Relaxed);
        let Some(register) = REGISTERS.get(current) else { return join() };
        for _ in 0..TRIES {
            let mut register = match register.try_lock() {
                Ok(register) => register,
                Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
            };
            register.retain(|attachment| attachment.strong_count() > 0);
            let same = |found: &Arc<Attachment>| {
                found.device == stat.dev && found.inode == stat.ino && found.check_name_now().is_ok()
            };
            if let Some(found) = register.iter().filter_map(Weak::upgrade).find(same) {
                return Ok(found);
            }
            let attachment = join()?;
            register.push(Arc::downgrade(&attachment));
            return Ok(attachment);
        }
        let _ = CURRENT.compare_exchange(current, current + 1, Relaxed, Relaxed);
    }
}
