//! The quiet thread of a participant: the kernel tells of our death when it ends. Also lets what is known of the
//! store's name grow old, so that calls need not read a clock.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    time::{Duration, Instant},
};

use crate::{
    region::participants::{LIVENESS, Name},
    storage::Storage,
    sys::{
        barrier,
        futex::{self, Wake, Word},
        robust,
        thread::{SMALL_STACK, is_the_only_one, spawn_quiet},
    },
};

/// How long it counts that somebody has looked at the store's name.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// Sleeps have a bound, also where there is nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

/// Whether the store's name is known to lead to it.
pub(crate) struct Whereabouts(AtomicU32);

/// Somebody has looked lately.
const FRESH: u32 = 0;
/// Whoever calls next looks.
const STALE: u32 = 1;
/// It leads elsewhere, or nowhere. That does not change again.
const LOST: u32 = 2;

impl Whereabouts {
    /// Somebody has just looked.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(FRESH))
    }

    #[inline(always)]
    pub(crate) fn are_fresh(&self) -> bool {
        self.0.load(Relaxed) == FRESH
    }

    pub(crate) fn are_gone(&self) -> bool {
        self.0.load(Relaxed) == LOST
    }

    pub(crate) fn lose(&self) {
        self.0.store(LOST, Release);
    }

    /// Somebody has looked; whether that was not known before.
    fn refresh(&self) -> bool {
        self.0.compare_exchange(STALE, FRESH, AcqRel, Relaxed).is_ok()
    }

    fn age(&self) {
        let _ = self.0.compare_exchange(FRESH, STALE, AcqRel, Relaxed);
    }
}

/// A running thread, and how it is spoken to. It has no descriptors: a program that closes all it has does not reach it,
/// and the end of the process waits for none.
pub(crate) struct Watchman {
    /// Another number whenever there is something new for the thread, which sleeps on it.
    bell: AtomicU32,
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
/// The thread has taken the word back.
const GONE: u32 = 4;
/// It was not waited for any longer: it ends the participant itself.
const ABANDONED: u32 = 5;

impl Watchman {
    /// Starts the thread. It takes no locks and never ends before the last handle does. `None` when there can be no
    /// thread: the byte then tells of our death, a little later.
    pub(crate) fn start(storage: &Arc<Storage>, name: Name, whereabouts: &Arc<Whereabouts>) -> Option<Arc<Self>> {
        let watchman = Arc::new(Self { bell: AtomicU32::new(0), stage: AtomicU32::new(STARTING) });
        let theirs = Arc::clone(&watchman);
        let (storage, whereabouts) = (Arc::clone(storage), Arc::clone(whereabouts));
        // It costs nothing now; beside another thread it takes a grace period of the kernel, in which our death would
        // only be found out by looking. Where there are others already, the thread does it.
        if is_the_only_one() {
            register_barrier();
        }
        spawn_quiet("shmsync", SMALL_STACK, move || theirs.stay_alive(&storage, name, &whereabouts))
            .ok()
            .map(|_| watchman)
    }

    /// Somebody has looked at the store's name.
    pub(crate) fn refresh(&self, whereabouts: &Whereabouts) {
        if whereabouts.refresh() {
            self.ring();
        }
    }

    /// Whether the kernel will tell of our death. A thread that was started a moment ago is waited for, no longer than that.
    pub(crate) fn has_registered(&self, limit: Duration) -> bool {
        self.stage_after(&[STARTING, REGISTERING], limit) == REGISTERED
    }

    /// The stage that follows these, or the one there is after so long.
    fn stage_after(&self, stages: &[u32], limit: Duration) -> u32 {
        let end = Instant::now() + limit;
        loop {
            let stage = self.stage.load(Acquire);
            let left = end.saturating_duration_since(Instant::now());
            if !stages.contains(&stage) || left.is_zero() {
                return stage;
            }
            futex::wait_any(&[Word::private(self.stage.as_ptr(), stage)], left, left);
        }
    }

    /// Ends the thread, and returns when neither it nor the kernel touches the region any more on its behalf; `false` where
    /// that takes too long.
    pub(crate) fn dismiss(&self) -> bool {
        let has_registered = loop {
            match self.stage.load(Acquire) {
                REGISTERING => std::thread::yield_now(),
                stage if self.stage.compare_exchange(stage, LEAVING, AcqRel, Acquire).is_ok() => {
                    break stage == REGISTERED;
                }
                _ => {}
            }
        };
        self.ring();
        // Until the kernel need not tell of our death any more: the word may soon be that of another participant, with the
        // same thread number in another PID namespace.
        !has_registered
            || self.stage_after(&[LEAVING], LOOK) == GONE
            || self.stage.compare_exchange(LEAVING, ABANDONED, AcqRel, Acquire).is_err()
    }

    fn ring(&self) {
        self.bell.fetch_add(1, AcqRel);
        futex::wake_private(self.bell.as_ptr(), 1);
    }

    /// The thread's whole life.
    #[allow(unsafe_code)]
    fn stay_alive(&self, storage: &Storage, name: Name, whereabouts: &Whereabouts) {
        register_barrier();
        let at = storage.geometry.participant(name.slot) + LIVENESS;
        let list = robust::RobustList::new().ok();
        if let (Some(list), Some(word)) = (&list, storage.memory.futex(at))
            && self.stage.compare_exchange(STARTING, REGISTERING, AcqRel, Acquire).is_ok()
        {
            // SAFETY: the word is aligned and lies in the mapping, which `storage` keeps until after the list is dropped.
            unsafe { list.register(word.cast_mut()) };
            // Without WAITERS the kernel would mark the word, but wake nobody.
            let _ = storage.memory.exchange32(at, 0, robust::thread_id() | robust::WAITERS);
            self.stage.store(REGISTERED, Release);
            futex::wake_private(self.stage.as_ptr(), u32::MAX >> 1);
        }
        self.keep_time(whereabouts);
        if let Some(list) = &list {
            list.unregister();
        }
        if self.stage.compare_exchange(LEAVING, GONE, AcqRel, Acquire).is_ok() {
            futex::wake_private(self.stage.as_ptr(), u32::MAX >> 1);
        } else if storage.memory.exchange32(at, robust::thread_id() | robust::WAITERS, robust::OWNER_DIED).is_ok() {
            // Nobody waits for that any more, and the slot is still ours: what the kernel would have said.
            storage.participants().pass_on_death(name.slot);
        }
    }

    /// Sleeps for good while nobody calls.
    fn keep_time(&self, whereabouts: &Whereabouts) {
        loop {
            let heard = self.bell.load(Acquire);
            if self.stage.load(Acquire) == LEAVING {
                return;
            }
            let time = if whereabouts.are_fresh() { LOOK } else { IDLE };
            if futex::wait_any(&[Word::private(self.bell.as_ptr(), heard)], time, time) == Wake::TimedOut {
                whereabouts.age();
            }
        }
    }
}

/// Once a process, or more often where several begin at the same time: nobody goes on before it is done.
fn register_barrier() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.load(Acquire) {
        barrier::register();
        DONE.store(true, Release);
    }
}
