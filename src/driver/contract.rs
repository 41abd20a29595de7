//! The driver contract and the words it is written in.

use std::{
    fmt,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use super::Stop;
use crate::error::{Error, ErrorKind, Result};

/// The longest key, in bytes.
pub const MAX_KEY_LEN: usize = 65_536;
/// The largest value, in bytes of its encoded form.
pub const MAX_VALUE_LEN: usize = 1 << 30;
/// The most operations of one transaction.
pub const MAX_OPERATIONS: usize = 1_024;

/// When a value was written: growing for each key, also over removal and re-creation. No two commits share one; the keys
/// of one commit may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub NonZeroU64);

impl Revision {
    /// The revision of that number; zero is none.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number of this revision.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Two sets of keys that never meet: what users store, and what locks and their like keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Space {
    /// Values and integers of users.
    Values = 0,
    /// What nouns of coordination keep.
    Coordination = 1,
}

/// How long an entry stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// Until it is removed.
    #[default]
    Forever,
    /// Until that much time has passed. Suspended time counts; after a reboot it is gone.
    Ttl(Duration),
    /// Until the process that wrote it is dead or has dropped its last handle on the store.
    Process,
    /// As long as the entry it replaces would have stayed; `Forever` where there is none.
    Keep,
}

/// An attached process in the eyes of a driver; never used twice in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId(pub u64);

/// What is left of an entry's life, as read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remaining {
    /// It stays until removed.
    Forever,
    /// It ends at this moment of the monotonic clock (suspension brings it nearer).
    Until(Instant),
    /// It ends with this owner.
    Owner(OwnerId),
}

/// Whether an entry still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Live,
    /// Its time is up.
    Expired,
    /// Its owner is dead.
    OwnerDied,
}

/// An entry without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// When it was written.
    pub revision: Revision,
    /// How long it will stay.
    pub remaining: Remaining,
    /// Whether it still counts.
    pub state: State,
}

/// An entry with key and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its bytes; empty where only keys were asked for.
    pub value: Vec<u8>,
    /// Revision, lifetime and state.
    pub head: Head,
}

/// Which entries [`Driver::range`] returns, always in order of their keys.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// Where to look.
    pub space: Space,
    /// Only keys that begin so; they are returned whole.
    pub prefix: &'a str,
    /// Only keys after this one.
    pub after: Option<&'a str>,
    /// At most so many.
    pub limit: usize,
    /// Whether to fetch values too.
    pub values: bool,
    /// Whether to include what is expired or orphaned and not yet buried.
    pub dead: bool,
}

impl<'a> Range<'a> {
    /// Every live entry of a prefix, keys only.
    pub fn keys(space: Space, prefix: &'a str) -> Self {
        Self { space, prefix, after: None, limit: usize::MAX, values: false, dead: false }
    }
}

/// What must be true of a key for a commit to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The key is absent (expired and orphaned entries are).
    Absent,
    /// The key is present.
    Present,
    /// The key is present with this revision.
    At(Revision),
}

/// What a commit does to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Store these bytes.
    Put {
        /// The new value.
        value: &'a [u8],
        /// How long it stays.
        lifetime: Lifetime,
    },
    /// Remove it, if it is there.
    Delete,
}

/// Several changes that happen together or not at all. Each key occurs at most once in `ops`.
#[derive(Debug, Clone, Default)]
pub struct Commit<'a> {
    /// What must hold first.
    pub expect: Vec<(Space, &'a str, Expected)>,
    /// What then happens.
    pub ops: Vec<(Space, &'a str, Op<'a>)>,
}

/// The first expectation that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The key in question.
    pub key: String,
    /// What is there instead.
    pub current: Option<Revision>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.current {
            Some(revision) => write!(f, "key {:?} is at revision {revision}", self.key),
            None => write!(f, "key {:?} is absent", self.key),
        }
    }
}

/// One answer per operation: the new revision of what was put; of what was deleted the revision of the removal, or
/// none where nothing was there.
pub type Committed = std::result::Result<Vec<Option<Revision>>, Conflict>;

/// On whose behalf, and how patiently, a call goes through the gate of `exclusive`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access {
    /// How long to wait for a closed gate; `None` = as long as it takes.
    pub limit: Option<Duration>,
    /// The gate this caller has closed itself, if any.
    pub gate: Option<GateToken>,
}

/// Proof of having closed the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateToken(pub u64);

/// How long a blocking call may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    /// Give up then; `None` = never.
    pub deadline: Option<Instant>,
    /// Give up when this is stopped.
    pub stop: Option<&'a Stop>,
}

/// What a driver cannot do, or only does differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The driver's name.
    pub name: &'static str,
    /// Other processes see the same store.
    pub shared: bool,
    /// Dead owners' entries stay visible with the `dead` flag until they are buried.
    pub orphans: bool,
    /// The gate of `exclusive` exists.
    pub gate: bool,
    /// The largest value, in bytes of its encoded form: [`MAX_VALUE_LEN`], or less where something else sets limits.
    pub largest_value: usize,
    /// A participant may end while its process lives: who is not heard of counts as dead. [`Driver::owner`] is another
    /// one from then on.
    pub sessions_end: bool,
}

impl Capabilities {
    /// Those of a driver that has nothing but what every driver has.
    pub fn least(name: &'static str) -> Self {
        Self { name, shared: false, orphans: false, gate: false, largest_value: MAX_VALUE_LEN, sessions_end: false }
    }
}

/// Figures about a store; what a driver does not know is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The driver's name.
    pub driver: &'static str,
    /// Where the store is.
    pub path: String,
    /// The number of the format, 0 where there is none.
    pub format: u32,
    /// Live entries of users.
    pub entries: u64,
    /// The most bytes that the store may take.
    pub capacity_bytes: u64,
    /// Bytes that the store takes from the system now.
    pub allocated_bytes: u64,
    /// Bytes in use by records and indexes.
    pub used_bytes: u64,
    /// Shards.
    pub shards: u32,
    /// Attached processes.
    pub participants: u32,
    /// How often somebody's unfinished work was recovered since the store was created.
    pub recoveries: u64,
    /// Permission bits of the file.
    pub mode: u32,
}

/// What [`Driver::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Records looked at.
    pub records: u64,
    /// Bytes looked at.
    pub bytes: u64,
    /// One sentence for each thing that is wrong; empty = all is well.
    pub problems: Vec<String>,
}

/// An attached process, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its number in this store.
    pub id: OwnerId,
    /// Its process id, in its own PID namespace.
    pub pid: u32,
    /// When the process started, in clock ticks after boot.
    pub start_time: u64,
    /// Its PID namespace.
    pub pid_namespace: u64,
    /// Its host's name.
    pub host: String,
    /// Its label, as given in the options.
    pub label: String,
    /// Its command.
    pub command: String,
    /// Whether it is alive.
    pub alive: bool,
}

impl Participant {
    /// A participant of which nothing is known but its number.
    pub fn new(id: OwnerId) -> Self {
        Self {
            id,
            pid: 0,
            start_time: 0,
            pid_namespace: 0,
            host: String::new(),
            label: String::new(),
            command: String::new(),
            alive: true,
        }
    }
}

/// A change below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixEvent {
    /// The key has this value now.
    Set {
        /// The key.
        key: String,
        /// Its bytes.
        value: Vec<u8>,
        /// When it was written.
        revision: Revision,
    },
    /// The key is no longer there.
    Removed {
        /// The key.
        key: String,
        /// The last revision seen of it.
        revision: Revision,
        /// What ended it, as far as can be told: `Live` means that somebody removed it.
        reason: State,
    },
}

/// Follows what happens below a prefix. The first calls of `next` give the state at the beginning.
pub trait PrefixWatch: Send {
    /// The next change, coalesced per key; `None` when patience ran out.
    ///
    /// # Errors
    /// `Stopped`, `Gone`, and what reading can fail with.
    fn next(&mut self, patience: Patience<'_>) -> Result<Option<PrefixEvent>>;
}

/// A place that keeps the truth.
///
/// Keys arrive checked: UTF-8, 1 to [`MAX_KEY_LEN`] bytes. All calls may come from many threads at once.
/// Calls on [`Space::Values`] obey the gate as their [`Access`] says; calls on [`Space::Coordination`] do not.
pub trait Driver: Send + core::marker::Sync + 'static {
    /// What this driver can do.
    fn capabilities(&self) -> Capabilities;

    /// Copies the value of `key` into `into` (cleared first) and tells its revision; `None` when absent, expired or orphaned.
    fn get(&self, access: &Access, space: Space, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>>;

    /// Revision, lifetime and state of `key`, dead entries included until they are buried.
    fn head(&self, access: &Access, space: Space, key: &str) -> Result<Option<Head>>;

    /// Entries in order of their keys.
    fn range(&self, access: &Access, range: Range<'_>) -> Result<Vec<Entry>>;

    /// How many live entries begin with `prefix`.
    fn count(&self, access: &Access, space: Space, prefix: &str) -> Result<u64> {
        Ok(self.range(access, Range::keys(space, prefix))?.len() as u64)
    }

    /// All of it or nothing. More than [`MAX_OPERATIONS`] operations are `TooLarge`.
    fn commit(&self, access: &Access, commit: &Commit<'_>) -> Result<Committed>;

    /// Changes one key if it is as expected; else tells the revision that is there instead. A commit of one operation,
    /// for which a driver may have a shorter way.
    fn change(
        &self,
        access: &Access,
        space: Space,
        key: &str,
        expected: Expected,
        op: Op<'_>,
    ) -> Result<std::result::Result<Option<Revision>, Option<Revision>>> {
        let commit = Commit { expect: vec![(space, key, expected)], ops: vec![(space, key, op)] };
        Ok(match self.commit(access, &commit)? {
            Ok(revisions) => Ok(revisions.into_iter().next().flatten()),
            Err(conflict) => Err(conflict.current),
        })
    }

    /// Stores one value, whatever was there. The fast path of [`Driver::commit`].
    fn put(&self, access: &Access, space: Space, key: &str, value: &[u8], lifetime: Lifetime) -> Result<Revision> {
        let ops = vec![(space, key, Op::Put { value, lifetime })];
        match self.commit(access, &Commit { expect: vec![], ops })? {
            Ok(revisions) => Ok(revisions[0].expect("a put has a revision")),
            Err(conflict) => Err(Error::new(ErrorKind::Conflict, conflict.to_string())),
        }
    }

    /// Removes one key; tells whether it was there.
    fn delete(&self, access: &Access, space: Space, key: &str) -> Result<bool> {
        let ops = vec![(space, key, Op::Delete)];
        match self.commit(access, &Commit { expect: vec![], ops })? {
            Ok(revisions) => Ok(revisions[0].is_some()),
            Err(conflict) => Err(Error::new(ErrorKind::Conflict, conflict.to_string())),
        }
    }

    /// Adds to a MessagePack integer, 0 where absent; keeps its lifetime. Every caller gets its own distinct result.
    ///
    /// # Errors
    /// `Overflow` and `TypeMismatch`, with nothing changed.
    fn add(&self, access: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)>;

    /// Every live entry below `prefix`, as of one moment, in order of keys, values included.
    fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>>;

    /// Replaces everything below `prefix` by `entries` (whole keys) at once, however many: `TooLarge` only where
    /// what lies beneath has a limit.
    fn replace(
        &self,
        access: &Access,
        space: Space,
        prefix: &str,
        entries: &[(String, Vec<u8>, Lifetime)],
    ) -> Result<()>;

    /// Waits until one of the keys is no longer as it was seen: another revision, or gone where it was there.
    /// Expiry and death of an owner end the wait too. `false` when patience ran out. At once if it is so already.
    fn wait(&self, keys: &[(Space, &str, Option<Revision>)], patience: Patience<'_>) -> Result<bool>;

    /// A number that grows with every change anywhere; what [`Driver::wait_version`] compares.
    fn version(&self) -> Result<u64>;

    /// Waits until [`Driver::version`] is no longer `seen`; `false` when patience ran out. May return early with `true`.
    /// As given here, it looks every few milliseconds.
    fn wait_version(&self, seen: u64, patience: Patience<'_>) -> Result<bool> {
        while self.version()? == seen {
            let Some(time) = patience.sleep(Duration::from_millis(10))? else { return Ok(false) };
            std::thread::sleep(time);
        }
        Ok(true)
    }

    /// Follows a prefix in this driver's own way; `None` = look at the whole range again after every change of
    /// [`Driver::version`].
    fn watch_prefix(&self, access: &Access, space: Space, prefix: &str) -> Result<Option<Box<dyn PrefixWatch>>> {
        let _ = (access, space, prefix);
        Ok(None)
    }

    /// Wakes whoever waits with this stop, after it was stopped. Spurious wake-ups of others are fine.
    /// As given here, it trusts that whoever waits looks at its stop often enough.
    fn interrupt(&self, stop: &Stop) {
        let _ = stop;
    }

    /// Closes the gate: from then on other callers' calls on values wait. `None` when patience ran out.
    ///
    /// # Errors
    /// `Deadlock` when this thread has closed it already. `Unsupported` where there is no gate.
    fn close_gate(&self, patience: Patience<'_>) -> Result<Option<GateToken>> {
        let _ = patience;
        let message = format!("driver {:?} has no gate, so no exclusive access", self.capabilities().name);
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Opens the gate again; `false` when it was no longer this caller's.
    fn open_gate(&self, token: GateToken) -> Result<bool> {
        let _ = token;
        Ok(false)
    }

    /// Opens the gate whoever closed it; `false` when it was open.
    fn force_gate(&self) -> Result<bool> {
        Ok(false)
    }

    /// Who has closed the gate, as far as this driver knows.
    fn gate_holder(&self) -> Result<Option<OwnerId>> {
        Ok(None)
    }

    /// Who I am in this store.
    fn owner(&self) -> Result<OwnerId>;

    /// A descriptor for children: while one of them has it open, entries of this owner stay, also when it is killed.
    /// They end all the same when it leaves.
    ///
    /// # Errors
    /// `Unsupported` where nothing can be inherited.
    #[cfg(unix)]
    fn carry(&self) -> Result<std::os::fd::OwnedFd> {
        let message = format!("driver {:?} has nothing that a child could carry on", self.capabilities().name);
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Whether that owner is alive. As given here: nobody but this process was ever attached.
    fn is_alive(&self, owner: OwnerId) -> Result<bool> {
        Ok(owner == self.owner()?)
    }

    /// Who is attached.
    fn participants(&self) -> Result<Vec<Participant>> {
        Ok(vec![Participant::new(self.owner()?)])
    }

    /// Figures.
    fn stats(&self) -> Result<Stats> {
        let entries = self.count(&Access::default(), Space::Values, "")?;
        Ok(Stats { driver: self.capabilities().name, entries, ..Stats::default() })
    }

    /// Looks at every byte. As given here, there is nothing that could be damaged.
    fn verify(&self) -> Result<Verification> {
        let spaces = [Space::Values, Space::Coordination];
        let counts = spaces.map(|space| self.count(&Access::default(), space, ""));
        let records = counts.into_iter().sum::<Result<u64>>()?;
        Ok(Verification { records, ..Verification::default() })
    }

    /// Writes everything to where it survives a power loss, where there is such a place.
    fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Removes the store; whoever still uses it gets `Gone`.
    fn destroy(&self) -> Result<()>;
}
