//! The handle.

use std::{ffi::OsStr, fmt, sync::Arc};

use super::{Options, name::Name, registry, scratch::Scratch};
use crate::{
    coord::SessionSlot,
    driver::{Access, AnyDriver, Driver, MAX_KEY_LEN, Participant, Stats, Verification, without_password},
    error::{Error, ErrorKind, Result},
};

/// A handle on a store: typed values under keys, shared with other processes.
///
/// It is cheap to clone and can be used from many threads at once. Its name hides the marker trait where it is
/// imported; both go together when one of them is written with its path:
///
/// ```
/// use shmsync::Sync;
///
/// fn shared_by_threads<T: Send + core::marker::Sync>(_: &T) {}
///
/// let store = Sync::open("memory:")?;
/// shared_by_threads(&store);
/// # Ok::<(), shmsync::Error>(())
/// ```
#[derive(Clone)]
pub struct Sync {
    pub(crate) driver: Arc<AnyDriver>,
    store: Arc<Store>,
    /// What stands in front of every key, with its `/`; empty outside of namespaces.
    prefix: Arc<str>,
    /// A namespace was given a name that cannot be; told by the first call that can fail.
    bad_prefix: bool,
    pub(crate) access: Access,
}

/// What does not change as long as a store is open.
struct Store {
    name: String,
    identity: String,
    read_only: bool,
    /// As whom this process holds locks, once it has asked for one.
    session: SessionSlot,
}

impl Sync {
    /// Opens the store of that name and creates it if it is missing.
    ///
    /// | name | where |
    /// |---|---|
    /// | `progress` | shared memory of this user: `/dev/shm/shmsync-UID/progress` |
    /// | `./file`, `/path` | a file, wherever a `/` occurs in the name |
    /// | `memory:NAME` | memory of this process, shared by all its handles of that name |
    /// | `memory:` | memory of this handle and its clones |
    /// | `etcd://host:2379,host/prefix` | an etcd cluster |
    ///
    /// # Errors
    /// `Invalid` for a bad name or capacity; `NoStore` where its folder is missing; `NotAStore`, `Version` or `Corrupt` for a
    /// file that is not (any more) a store of ours, which is left as it is; `Permission`; `Unsupported` where this platform,
    /// file system or build cannot do it; `Full`; `Locked` where somebody has been stopped while opening it, for 5 s;
    /// `Unreachable` by a cluster; `Io`.
    ///
    /// # Crash safety
    /// A process killed while creating a store leaves nothing that others could not open.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("greeting", "hello")?;
    /// assert_eq!(store.get::<String>("greeting")?.as_deref(), Some("hello"));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "attach")]
    #[doc(alias = "connect")]
    #[doc(alias = "create")]
    pub fn open(name: impl AsRef<OsStr>) -> Result<Self> {
        Self::options().open(name)
    }

    /// The options to open a store with.
    #[doc(alias = "builder")]
    pub fn options() -> Options {
        Options::default()
    }

    /// A store whose truth is kept by a driver of your own.
    pub fn with_driver(driver: impl Driver) -> Self {
        let name = driver.capabilities().name.to_owned();
        Self::new(name, AnyDriver::Custom(Box::new(driver)), &Options::default())
    }

    pub(super) fn open_with(name: &OsStr, options: &Options) -> Result<Self> {
        let driver = Name::parse(name)?.open(options)?;
        Ok(Self::new(without_password(&name.to_string_lossy()), driver, options))
    }

    fn new(name: String, driver: AnyDriver, options: &Options) -> Self {
        let identity = registry::identity(&driver);
        let access = Access { limit: options.get_access_limit(), gate: None };
        let store =
            Arc::new(Store { name, identity, read_only: options.is_read_only(), session: SessionSlot::default() });
        Self { driver: Arc::new(driver), store, prefix: "".into(), bad_prefix: false, access }
    }

    /// The part of this store whose keys begin with `prefix` and `/`; inside, they appear without it.
    ///
    /// It covers values, integers and everything that has a name. The outer handle sees the same entries under their
    /// longer keys.
    ///
    /// A bad name is told by the first call that can fail.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.namespace("jobs").set("last", &7)?;
    /// assert_eq!(store.get::<i64>("jobs/last")?, Some(7));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "prefix")]
    #[doc(alias = "sub_store")]
    pub fn namespace(&self, prefix: &str) -> Self {
        let bad_prefix = self.bad_prefix || prefix.is_empty();
        Self { prefix: format!("{}{prefix}/", self.prefix).into(), bad_prefix, ..self.clone() }
    }

    /// Writes everything to where it survives a power loss, where the store has such a place.
    ///
    /// # Errors
    /// `Io`, `Gone`.
    #[doc(alias = "sync")]
    #[doc(alias = "msync")]
    pub fn flush(&self) -> Result<()> {
        self.driver.flush()
    }

    /// Looks at every byte of the store and tells what is wrong.
    ///
    /// # Errors
    /// `Gone`, `Locked` where a part stays in use, `Permission` on a read-only handle. What is damaged is no error but a
    /// problem in the answer.
    #[doc(alias = "check")]
    #[doc(alias = "fsck")]
    pub fn verify(&self) -> Result<Verification> {
        self.driver.verify()
    }

    /// Figures about the store.
    ///
    /// # Errors
    /// `Gone`.
    #[doc(alias = "info")]
    pub fn stats(&self) -> Result<Stats> {
        self.driver.stats()
    }

    /// Who is attached to the store.
    ///
    /// # Errors
    /// `Gone`.
    pub fn participants(&self) -> Result<Vec<Participant>> {
        self.driver.participants()
    }

    /// Removes the store, whoever uses it, damaged or not; they get `Gone` from then on.
    ///
    /// # Errors
    /// `Gone` when it was removed or replaced before; `Permission`.
    ///
    /// # Crash safety
    /// Killed at any instruction, others either go on with the store or get `Gone`.
    #[doc(alias = "unlink")]
    #[doc(alias = "delete")]
    pub fn destroy(&self) -> Result<()> {
        self.writable()?;
        self.driver.destroy()
    }

    /// Gives the handle up. The process is detached from the store when the last clone has gone.
    ///
    /// # Errors
    /// None so far.
    pub fn close(self) -> Result<()> {
        drop(self);
        Ok(())
    }

    pub(crate) fn name(&self) -> &str {
        &self.store.name
    }

    pub(crate) fn session_slot(&self) -> &SessionSlot {
        &self.store.session
    }

    pub(super) fn identity(&self) -> &str {
        &self.store.identity
    }

    /// The same store for the closer of its gate.
    pub(super) fn with_access(&self, access: Access) -> Self {
        Self { access, ..self.clone() }
    }

    /// # Errors
    /// `Permission` for a handle that only reads.
    #[inline]
    pub(crate) fn writable(&self) -> Result<()> {
        if self.store.read_only {
            let message = format!("store {:?} was opened read-only: open it without `read_only`", self.name());
            return Err(Error::new(ErrorKind::Permission, message));
        }
        Ok(())
    }

    /// Whether a key is good, and as the driver knows it: what every other needs is left to [`Sync::with_key`].
    #[inline(always)]
    pub(super) fn is_whole(&self, key: &str) -> bool {
        // No namespace is without a slash, a bad one neither.
        self.prefix.is_empty() && check_len(key, key.len())
    }

    /// Calls `f` with the whole key as the driver knows it.
    #[inline]
    pub(super) fn with_key<R>(&self, key: &str, f: impl FnOnce(&str) -> Result<R>) -> Result<R> {
        if self.is_whole(key) { f(key) } else { f(&self.whole_key_kept(key)?) }
    }

    /// The whole key as the driver knows it.
    pub(super) fn whole_key(&self, key: &str) -> Result<String> {
        self.with_key(key, |whole| Ok(whole.to_owned()))
    }

    /// The same in a buffer of this thread's.
    pub(super) fn whole_key_kept(&self, key: &str) -> Result<Scratch<String>> {
        self.check_prefix()?;
        check_key(key, self.prefix.len() + key.len())?;
        let mut whole = Scratch::<String>::take();
        whole.push_str(&self.prefix);
        whole.push_str(key);
        Ok(whole)
    }

    /// So many bytes stand in front of the keys that the user of this handle knows.
    pub(super) fn prefix_len(&self) -> usize {
        self.prefix.len()
    }

    /// The prefix as the driver knows it; any is fine, also an empty one.
    pub(super) fn whole_prefix(&self, prefix: &str) -> Result<String> {
        self.check_prefix()?;
        Ok(format!("{}{prefix}", self.prefix))
    }

    /// The key as the user of this handle knows it.
    pub(super) fn own_key<'a>(&self, whole: &'a str) -> &'a str {
        whole.strip_prefix(&*self.prefix).unwrap_or(whole)
    }

    /// The key of something that coordination keeps about `name`: kinds never meet, namespaces neither.
    pub(crate) fn coordination_key(&self, kind: &str, name: &str) -> Result<String> {
        self.check_prefix()?;
        Ok(format!("{kind}/{}{name}", self.prefix))
    }

    /// The name by which coordination knows something, as the user of this handle knows it.
    pub(crate) fn own_name<'a>(&self, whole: &'a str) -> &'a str {
        self.own_key(whole)
    }

    fn check_prefix(&self) -> Result<()> {
        if self.bad_prefix {
            let message = format!("namespace {:?} has an empty part: give each namespace a name", self.prefix);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }
}

/// # Errors
/// `Invalid` for an empty key and for one that is too long.
#[inline]
fn check_key(key: &str, whole_len: usize) -> Result<()> {
    if check_len(key, whole_len) { Ok(()) } else { Err(bad_key(key, whole_len)) }
}

#[inline(always)]
fn check_len(key: &str, whole_len: usize) -> bool {
    !key.is_empty() && whole_len <= MAX_KEY_LEN
}

#[cold]
fn bad_key(key: &str, whole_len: usize) -> Error {
    if key.is_empty() {
        return Error::new(ErrorKind::Invalid, "a key is empty: it needs at least one byte");
    }
    let start: String = key.chars().take(40).collect();
    let message = format!("key {start:?}… has {whole_len} bytes: shorten it to {MAX_KEY_LEN}");
    Error::new(ErrorKind::Invalid, message)
}

impl fmt::Debug for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Sync");
        debug.field("store", &self.store.name).field("driver", &self.driver);
        if !self.prefix.is_empty() {
            debug.field("namespace", &self.prefix);
        }
        debug.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_can_be_used_after_a_caught_panic() {
        fn passes<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
        passes::<Sync>();
    }
}
