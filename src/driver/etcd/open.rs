//! A handle on a store that a cluster keeps.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp};

use super::{
    address::Address,
    enter::{Found, enter},
    keys::Keys,
    link::Link,
    participant,
    session::Session,
};
use crate::{
    driver::incarnation,
    error::{Error, ErrorKind, Result},
};

/// Nobody forks deeper without `exec`.
const GENERATIONS: usize = 16;

/// A handle on a store that a cluster keeps; as an owner it lives until it is dropped.
pub(crate) struct Etcd {
    pub(super) address: Address,
    pub(super) keys: Keys,
    label: String,
    /// When the store was made: another one of that name has another mark.
    pub(super) birth: i64,
    cluster_id: u64,
    /// One for each generation of forks. Set once each, so that no lock can be left behind by a thread of the parent.
    links: [OnceLock<Arc<Link>>; GENERATIONS],
}

/// The store was destroyed.
pub(super) fn gone(address: &Address) -> Error {
    let message =
        format!("{}: the store was destroyed while in use: open it again to create a new one", address.shown());
    Error::new(ErrorKind::Gone, message)
}

impl Etcd {
    /// Opens the store there, and creates it where it is missing and wanted.
    ///
    /// # Errors
    /// `Unreachable` when nobody answers within the connect limit; `Permission`; `NoStore`; `NotAStore`, `Version` for a
    /// prefix that others use.
    pub(crate) fn open(address: Address, create: bool, label: &str) -> Result<Self> {
        let keys = Keys::new(&address.prefix);
        let link = Arc::new(Link::new(&address)?);
        let Some(Found { birth, cluster_id }) = enter(&link, &keys, create)? else {
            let message = format!("there is no store at {}: open it with `create(true)`", address.shown());
            return Err(Error::new(ErrorKind::NoStore, message));
        };
        let links = [const { OnceLock::new() }; GENERATIONS];
        let _ = links[0].set(link);
        Ok(Self { address, keys, label: label.to_owned(), birth, cluster_id, links })
    }

    /// Removes the store there, whatever it holds.
    ///
    /// # Errors
    /// As [`Etcd::open`].
    pub(crate) fn remove(address: Address) -> Result<()> {
        Self::open(address, false, "")?.remove_all()
    }

    /// Tells this store from all others of the process.
    pub(crate) fn identity(&self) -> String {
        format!("etcd {:x} {} {}", self.cluster_id, self.address.prefix, self.birth)
    }

    /// The connection of this process.
    pub(super) fn link(&self) -> Result<&Link> {
        for slot in &self.links {
            if slot.get().is_none() {
                let _ = slot.set(Arc::new(Link::new(&self.address)?));
            }
            match slot.get() {
                Some(link) if link.incarnation == incarnation() => {
                    link.notice_loss();
                    return Ok(link);
                }
                _ => {}
            }
        }
        let message = format!(
            "{}: more than {GENERATIONS} processes were forked in a row: open the store anew",
            self.address.shown()
        );
        Err(Error::new(ErrorKind::Io, message))
    }

    /// A revision that was there before anything that is asked for from now on.
    pub(super) fn seen(&self, link: &Link) -> i64 {
        link.seen().max(self.birth)
    }

    /// True as long as this is the store that was opened.
    pub(super) fn is_same(&self) -> Compare {
        Compare::create_revision(self.keys.marker(), CompareOp::Equal, self.birth)
    }

    /// Whether an entry is the mark of this store.
    pub(super) fn is_mark(&self, entry: &KeyValue) -> bool {
        entry.create_revision() == self.birth
    }

    pub(super) fn gone(&self) -> Error {
        gone(&self.address)
    }

    /// Writes once more that this process is there; when that was.
    pub(super) fn sign_of_life(&self, link: &Link) -> Result<i64> {
        let lease = self.session()?.lease;
        let me = participant::encode(lease, &self.label);
        let put = TxnOp::put(self.keys.participant(lease), me, Some(PutOptions::new().with_lease(lease)));
        let written = link.transact(Txn::new().when([self.is_same()]).and_then([put]), true)?;
        let written = written.map_err(|trouble| self.explain(link, trouble))?;
        match written.header() {
            Some(header) if written.succeeded() => Ok(header.revision()),
            _ => Err(self.gone()),
        }
    }

    /// The session of this process, made at its first use.
    pub(super) fn session(&self) -> Result<Arc<Session>> {
        let key = |lease| self.keys.participant(lease);
        self.link()?.session(&self.is_same(), key, |lease| participant::encode(lease, &self.label))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for slot in &mut self.links {
            match slot.take() {
                Some(link) if link.incarnation == incarnation() => link.leave(),
                // Its thread is in another process: whatever waits for it would wait for ever.
                Some(link) => std::mem::forget(link),
                None => {}
            }
        }
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address.shown())
    }
}
