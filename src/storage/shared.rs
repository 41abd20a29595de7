//! What all shards share: the mapped file, its layout, who asks.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst},
    time::Instant,
};

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::{Key, Locked, record::Life, shard::Shard, space::Space};
use crate::{
    driver,
    error::{Error, ErrorKind, Result},
    primitive::atomics::fence,
    primitive::{
        allowance::Allowance,
        shard_lock::{Held, Taken},
        wait_word::WaitWord,
    },
    region::{
        header::Header,
        layout::{Geometry, WAIT_WORD_COUNT, WAIT_WORDS, live, space},
        memory::Memory,
        participants::{Name, Participants},
        watches::Watches,
    },
    sys::{clock, file},
};

/// An open region as the storage layer sees it.
pub(crate) struct Storage {
    pub(crate) memory: Memory,
    pub(crate) geometry: Geometry,
    pub(crate) path: PathBuf,
    secrets: RapidSecrets,
    /// With the inode it tells this store from all others, also from a later one on the same inode.
    pub(crate) created_ns: u64,
    /// The boot id of this boot; none where it cannot be read.
    boot: Option<[u64; 2]>,
    /// Opened for reading only in a boot that nobody has entered for writing: pages may be of different moments, and
    /// nobody has looked at the records yet.
    pub(crate) in_doubt: bool,
    /// The root directory when the region was opened: device and inode.
    root: Option<(u64, u64)>,
}

/// Whose work is being finished, for whoever listens.
pub(crate) struct Recovery {
    pid: u32,
    begun: Instant,
}

impl Storage {
    pub(crate) fn new(memory: Memory, header: &Header, path: PathBuf) -> Self {
        let secrets = RapidSecrets::seed(header.seed);
        let boot = boot().ok();
        let kept = [live::BOOT_ID, live::BOOT_ID + 8].map(|at| memory.load(at, Acquire));
        let in_doubt = !memory.writable() && kept != [0, 0] && boot != Some(kept);
        let geometry = header.geometry;
        Self { memory, geometry, path, secrets, created_ns: header.created_ns, boot, in_doubt, root: root() }
    }

    /// Hashes a key.
    #[inline]
    pub(crate) fn key<'a>(&self, space: driver::Space, bytes: &'a [u8]) -> Key<'a> {
        Key::new(space, bytes, rapidhash_v3_seeded(bytes, &self.secrets), self.geometry.shards)
    }

    #[inline]
    pub(crate) fn shard(&self, index: u32) -> Shard<'_> {
        let base = self.geometry.shard(index);
        // Whoever opened the region has seen that the file is long enough for its fixed part.
        let page = self.memory.page(base).expect("a shard's header lies in the file");
        Shard { storage: self, index, base, page }
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard<'_>> {
        (0..self.geometry.shards).map(|index| self.shard(index))
    }

    #[inline]
    pub(crate) fn participants(&self) -> Participants<'_> {
        Participants { memory: &self.memory, geometry: &self.geometry }
    }

    #[inline]
    pub(crate) fn space(&self) -> Space<'_> {
        Space { storage: self }
    }

    /// Takes the locks of some shards (a bit each), lowest first, so that nobody waits in a circle.
    pub(crate) fn lock_shards<'a>(&'a self, me: Name, shards: u64, allowance: &'a Allowance) -> Result<Locks<'a>> {
        let mut locks = Locks(Vec::with_capacity(shards.count_ones() as usize));
        let mut left = shards & self.all_shards();
        while left != 0 {
            locks.0.push(self.shard(left.trailing_zeros()).lock(me, allowance)?);
            left &= left - 1;
        }
        Ok(locks)
    }

    /// All shards, a bit each.
    pub(crate) fn all_shards(&self) -> u64 {
        u64::MAX >> (64 - self.geometry.shards)
    }

    /// Whether a record with this lifetime still counts.
    #[inline]
    pub(crate) fn is_live(&self, life: Life) -> bool {
        self.state(life) == driver::State::Live
    }

    #[inline]
    pub(crate) fn state(&self, life: Life) -> driver::State {
        let over = |ended: bool| ended || self.is_of_another_boot();
        match life {
            Life::Until(deadline) if over(clock::boottime_ns() >= deadline) => driver::State::Expired,
            Life::Owner { number, slot } if over(self.participants().owner_is_dead(slot, number)) => {
                driver::State::OwnerDied
            }
            _ => driver::State::Live,
        }
    }

    /// Whether nobody has entered the store in this boot who may write: whoever only reads can meet it so. Deadlines
    /// and liveness words then mean nothing, and all lifetimes have ended.
    fn is_of_another_boot(&self) -> bool {
        let kept = [live::BOOT_ID, live::BOOT_ID + 8].map(|at| self.memory.load(at, Acquire));
        self.boot != Some(kept)
    }

    /// The id of this boot, as it was read when the region was opened.
    ///
    /// # Errors
    /// `Io` where the system does not tell it.
    pub(crate) fn boot(&self) -> Result<[u64; 2]> {
        self.boot.map_or_else(boot, Ok).map_err(|error| Error::io("cannot read the boot id", error))
    }

    /// The wait word of a key.
    #[inline]
    pub(crate) fn wait_word(&self, wait: u64) -> WaitWord<'_> {
        WaitWord { word: WAIT_WORDS + wait * 4, memory: &self.memory }
    }

    /// Who watches prefixes.
    #[inline]
    pub(crate) fn watches(&self) -> Watches<'_> {
        Watches(&self.memory)
    }

    /// The wait word for any change.
    #[inline]
    pub(crate) fn any_wait_word(&self) -> WaitWord<'_> {
        WaitWord { word: live::ANY_WAIT, memory: &self.memory }
    }

    /// A number that grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.shards().fold(0, |sum, shard| sum.wrapping_add(shard.load(super::shard::SEQUENCE)))
    }

    /// Whether a change is under way, or was when its process died.
    pub(crate) fn is_changing(&self) -> bool {
        self.shards().any(|shard| shard.load(super::shard::SEQUENCE) & 1 == 1)
    }

    /// Whether the store was destroyed.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        self.memory.load(live::GONE, Relaxed) != 0
    }

    /// Somebody's unfinished work is going to be finished: whose, and since when.
    #[cold]
    pub(crate) fn begin_recovery(&self, taken: Taken) -> Recovery {
        let count = self.memory.load(space::RECOVERIES, Relaxed);
        self.memory.store(space::RECOVERIES, count.wrapping_add(1), Release);
        let pid = match taken {
            Taken::Free => 0,
            Taken::FromDead(name) => self.participants().record(name.slot).map_or(0, |record| record.identity.pid),
        };
        Recovery { pid, begun: Instant::now() }
    }

    /// It is finished.
    #[cold]
    pub(crate) fn end_recovery(&self, part: u32, recovery: Recovery) {
        crate::trace::recover(&self.path, part, recovery.pid, recovery.begun.elapsed());
    }

    #[cold]
    pub(crate) fn full(&self) -> Error {
        Error::new(
            ErrorKind::Full,
            format!(
                "{}: no room is left ({} of at most {} bytes, or the file system is full); remove entries, or load a dump into a store of larger capacity",
                self.path.display(),
                self.memory.size(),
                self.geometry.capacity
            ),
        )
    }

    #[cold]
    pub(crate) fn held(&self, held: Held) -> Error {
        let who = match self.participants().record(held.by.slot) {
            Some(record) => format!("pid {} ({})", record.identity.pid, record.label_or_command()),
            None => "somebody".to_string(),
        };
        Error::new(
            ErrorKind::Locked,
            format!(
                "{}: {who} has been in the middle of a change for {:.1} s and is alive (stopped?); continue or kill it, nothing was changed",
                self.path.display(),
                held.for_so_long.as_secs_f64()
            ),
        )
    }

    #[cold]
    pub(crate) fn io(&self, what: &str, error: io::Error) -> Error {
        Error::io(format!("{}: cannot {what}", self.path.display()), error)
    }

    /// The clock of all shards goes on no earlier than real time, so that revisions grow over re-creation and reboot.
    pub(crate) fn raise_clocks(&self) {
        let now = clock::realtime_ns() / 16;
        for shard in self.shards() {
            if shard.load(super::shard::CLOCK) < now {
                shard.store(super::shard::CLOCK, now);
            }
        }
    }
}

/// The id of this boot as a region keeps it.
fn boot() -> io::Result<[u64; 2]> {
    let id = clock::boot_id()?;
    let (halves, _) = id.as_chunks::<8>();
    Ok([u64::from_ne_bytes(halves[0]), u64::from_ne_bytes(halves[1])])
}

fn root() -> Option<(u64, u64)> {
    file::stat_path(Path::new("/")).ok().map(|stat| (stat.dev, stat.ino))
}

/// Locks of some shards, lowest first. Given back highest first: what an error left unfinished is undone then, and the
/// home of a transaction, which is the lowest, looks after the others.
pub(crate) struct Locks<'a>(Vec<Locked<'a>>);

impl<'a> std::ops::Deref for Locks<'a> {
    type Target = [Locked<'a>];

    fn deref(&self) -> &[Locked<'a>] {
        &self.0
    }
}

impl Drop for Locks<'_> {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// What concerns the region as a whole.
impl Storage {
    /// What a new region begins with.
    pub(crate) fn first_values(&self) {
        self.memory.store(live::NEXT_NUMBER, 1, Release);
        self.raise_clocks();
    }

    /// Whether the path no longer leads to this file.
    pub(crate) fn was_replaced(&self) -> bool {
        let Ok(ours) = file::stat(self.memory.file()) else { return true };
        ours.nlink == 0
            || match file::stat_path(&self.path) {
                Ok(now) => !now.is_same_file(&ours),
                // Where this process has changed its root since, a path that leads nowhere proves nothing.
                Err(error) => error.kind() == io::ErrorKind::NotFound && self.root == root(),
            }
    }

    /// Everybody looks again: somebody has left, or the store is gone.
    pub(crate) fn wake_everybody(&self) {
        // What they are to see was not published by a full fence.
        fence(SeqCst);
        (0..WAIT_WORD_COUNT).for_each(|wait| self.wait_word(wait).notify());
        self.any_wait_word().notify();
        self.gate_wait_word().notify();
        self.watches().notify_all();
    }

    /// The wait word of the gate.
    pub(crate) fn gate_wait_word(&self) -> WaitWord<'_> {
        WaitWord { word: live::GATE_WAIT, memory: &self.memory }
    }

    /// Locks of another boot are nobody's. Only for whoever is alone.
    pub(crate) fn forget_locks(&self) {
        let gate = self.memory.load(live::GATE, Relaxed);
        self.memory.store(live::GATE, (gate >> 31).wrapping_add(1) << 31, Release);
        self.memory.store32(space::LOCK, 0, Release);
        self.memory.store(space::OP, 0, Release);
        self.memory.store(live::WATCHES, 0, Release);
        for shard in self.shards() {
            self.memory.store32(shard.base + super::shard::LOCK, 0, Release);
        }
    }
}
