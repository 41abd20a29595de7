//! How a store is opened.

use std::{ffi::OsStr, time::Duration};

use super::{Sync, name::Name};
use crate::error::Result;

/// How to open a store: made by [`Sync::options`], ended by [`Options::open`].
///
/// Where a store exists already, its own capacity and mode stay; [`Sync::stats`] tells them.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let store = shmsync::Sync::options().access_limit(Duration::from_secs(1)).label("import").open("memory:")?;
/// store.set("answer", &42)?;
/// assert_eq!(store.get::<i64>("answer")?, Some(42));
/// # Ok::<(), shmsync::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "only options: call open()"]
pub struct Options {
    capacity: Option<u64>,
    mode: Option<u32>,
    label: String,
    create: bool,
    read_only: bool,
    access_limit: Option<Duration>,
    trusted_owners: Vec<u32>,
    allow_network_fs: bool,
    liveness_thread: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            capacity: None,
            mode: None,
            label: String::new(),
            create: true,
            read_only: false,
            access_limit: None,
            trusted_owners: Vec::new(),
            allow_network_fs: false,
            liveness_thread: true,
        }
    }
}

impl Options {
    /// The most bytes that a new store may take. It reserves as many addresses, not as much memory; default: 16 GiB.
    #[doc(alias = "size")]
    #[doc(alias = "map_size")]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// The permission bits of a new store's file; default: `0o600`, nobody but its owner.
    #[doc(alias = "permissions")]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// What others read about this process where it holds something; default: nothing.
    #[doc(alias = "name")]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Whether to create the store if it is missing; default: yes. Otherwise a missing store is `NoStore`.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether to read only; default: no. Such a handle creates nothing, and every change through it is `Permission`.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// How long a call waits while somebody else has [exclusive](Sync::exclusive) access, before it fails with
    /// `Locked`; default: as long as it takes.
    #[doc(alias = "timeout")]
    pub fn access_limit(mut self, limit: Duration) -> Self {
        self.access_limit = Some(limit);
        self
    }

    /// Opens stores of this user too, who could tamper with them; may be given several times.
    pub fn trust_owner(mut self, uid: u32) -> Self {
        self.trusted_owners.push(uid);
        self
    }

    /// Whether to accept a file on a network or FUSE file system, although other machines would not see the same
    /// store; default: no.
    pub fn allow_network_fs(mut self, allow: bool) -> Self {
        self.allow_network_fs = allow;
        self
    }

    /// Whether one quiet thread may make the kernel tell others at once when this process dies; default: yes. Without
    /// it they notice later.
    pub fn liveness_thread(mut self, start: bool) -> Self {
        self.liveness_thread = start;
        self
    }

    /// Opens the store of that name, see [`Sync::open`].
    ///
    /// # Errors
    /// As [`Sync::open`], and `NoStore` where it is missing and not to be created.
    pub fn open(&self, name: impl AsRef<OsStr>) -> Result<Sync> {
        Sync::open_with(name.as_ref(), self)
    }

    /// Removes the store of that name without using it, so that a damaged one can go too. Whoever uses it gets `Gone`
    /// from then on.
    ///
    /// # Errors
    /// `NoStore`; `NotAStore` for a file that was never one of ours, which stays; `Permission`; `Invalid` for a bad
    /// name.
    ///
    /// # Crash safety
    /// Killed at any instruction, others either go on with the store or get `Gone`.
    ///
    /// # Examples
    /// ```
    /// shmsync::Sync::open("memory:scratch")?.set("k", &1)?;
    /// shmsync::Sync::options().destroy("memory:scratch")?;
    /// assert_eq!(shmsync::Sync::open("memory:scratch")?.len()?, 0);
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "unlink")]
    pub fn destroy(&self, name: impl AsRef<OsStr>) -> Result<()> {
        Name::parse(name.as_ref())?.destroy(self)
    }
}

/// What drivers read.
#[allow(dead_code, reason = "some are read by drivers of some platforms only")]
impl Options {
    pub(crate) fn get_capacity(&self) -> Option<u64> {
        self.capacity
    }

    pub(crate) fn get_mode(&self) -> Option<u32> {
        self.mode
    }

    pub(crate) fn get_label(&self) -> &str {
        &self.label
    }

    /// Whether a missing store is to be created: never for those who only read.
    pub(crate) fn creates(&self) -> bool {
        self.create && !self.read_only
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn get_access_limit(&self) -> Option<Duration> {
        self.access_limit
    }

    pub(crate) fn get_trusted_owners(&self) -> &[u32] {
        &self.trusted_owners
    }

    pub(crate) fn allows_network_fs(&self) -> bool {
        self.allow_network_fs
    }

    pub(crate) fn starts_liveness_thread(&self) -> bool {
        self.liveness_thread
    }
}
