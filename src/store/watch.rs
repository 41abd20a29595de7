//! Being told of changes.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use super::{StopHandle, Sync, codec, following::next_item, keys_watch::KeysWatch, relay::Relay, scratch::Scratch};
use crate::{
    Value,
    driver::{Driver, Patience, PrefixEvent, PrefixWatch, Range, Rescan, Revision, Space, State, Stop},
    error::Result,
};

/// A change of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// When its value was written; of what was removed, the last revision seen.
    pub revision: Revision,
    /// What happened.
    pub kind: ChangeKind,
    /// Whether this was so when the watch began, and is no change since.
    pub initial: bool,
}

impl Change {
    /// The new value as a `T`; `None` when the key was removed, or is a null that `T` has no place for.
    ///
    /// # Errors
    /// `TypeMismatch` when the value is no `T`.
    pub fn value<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let ChangeKind::Set(value) = &self.kind else { return Ok(None) };
        let mut encoded = Scratch::<Vec<u8>>::take();
        codec::encode(&self.key, value, &mut encoded)?;
        codec::decode_or_null(&self.key, &encoded)
    }
}

/// What happened to a key.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeKind {
    /// It has this value now.
    Set(Value),
    /// It is no longer there.
    Removed(Removed),
}

/// Why a key is no longer there, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Somebody removed it.
    Deleted,
    /// Its time was up.
    Expired,
    /// The process it belonged to is dead or has left the store.
    OwnerDied,
}

impl Removed {
    fn by(state: State) -> Self {
        match state {
            State::Live => Self::Deleted,
            State::Expired => Self::Expired,
            State::OwnerDied => Self::OwnerDied,
        }
    }
}

/// Changes of keys, one after the other: first what is there, then each newer state, coalesced per key.
///
/// Made by [`Sync::watch`], [`Sync::watch_keys`] and [`Sync::watch_prefix`]; it ends when it is dropped or
/// [stopped](Watch::stop_handle). As an iterator it waits for the next change as long as it takes.
pub struct Watch {
    store: Sync,
    stop: Arc<Stop>,
    source: Source,
    /// The store is gone; that was told.
    ended: bool,
}

/// Where changes come from.
enum Source {
    Keys(KeysWatch),
    Prefix(Box<dyn PrefixWatch>, Initial),
    /// A thread aside follows it.
    Aside(Relay),
    /// Was given away.
    Nothing,
}

/// What was there when the watch began and was not told yet.
pub(super) type Initial = HashMap<String, Revision>;

impl Sync {
    /// Follows `key`: first its state now, if it is there, then each newer one.
    ///
    /// # Errors
    /// `Invalid` for a bad key; `Locked` where somebody has exclusive access for longer than this handle's limit;
    /// `Gone`.
    ///
    /// # Examples
    /// ```
    /// use shmsync::{ChangeKind, Removed};
    ///
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("state", "starting")?;
    /// let mut watch = store.watch("state")?;
    /// let first = watch.next().unwrap()?;
    /// assert!(first.initial);
    ///
    /// store.set("state", "running")?;
    /// assert_eq!(watch.next().unwrap()?.value::<String>()?.as_deref(), Some("running"));
    /// store.remove("state")?;
    /// assert_eq!(watch.next().unwrap()?.kind, ChangeKind::Removed(Removed::Deleted));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "subscribe")]
    #[doc(alias = "observe")]
    pub fn watch(&self, key: &str) -> Result<Watch> {
        self.watch_keys(&[key])
    }

    /// As [`Sync::watch`], for several keys.
    ///
    /// # Errors
    /// As [`Sync::watch`].
    pub fn watch_keys(&self, keys: &[&str]) -> Result<Watch> {
        Ok(self.watch_source(Source::Keys(KeysWatch::new(self, keys)?)))
    }

    /// As [`Sync::watch`], for all keys that begin with `prefix`. Expiry and death of owners are noticed within two
    /// seconds.
    ///
    /// # Errors
    /// As [`Sync::watch`].
    pub fn watch_prefix(&self, prefix: &str) -> Result<Watch> {
        let prefix = self.whole_prefix(prefix)?;
        let heads = self.driver.range(&self.access, Range::keys(Space::Values, &prefix))?;
        let initial = heads.into_iter().map(|entry| (entry.key, entry.head.revision)).collect();
        let watch = match self.driver.watch_prefix(&self.access, Space::Values, &prefix)? {
            Some(watch) => watch,
            None => Box::new(Rescan::new(self.driver.clone(), self.access, Space::Values, &prefix)),
        };
        Ok(self.watch_source(Source::Prefix(watch, initial)))
    }

    fn watch_source(&self, source: Source) -> Watch {
        Watch { store: self.clone(), stop: Arc::default(), source, ended: false }
    }
}

impl Watch {
    /// The next change, for at most that long; `None` when there was none. A timeout of zero looks once.
    ///
    /// # Errors
    /// `Stopped` through the stop handle; `Locked` where somebody has exclusive access for longer than this handle's
    /// limit; `Corrupt` for a value that is no MessagePack; `Gone`.
    #[doc(alias = "recv_timeout")]
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Change>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// The next change until that moment; `None` when there was none.
    ///
    /// # Errors
    /// As [`Watch::next_timeout`].
    #[doc(alias = "recv_deadline")]
    pub fn next_deadline(&mut self, deadline: Instant) -> Result<Option<Change>> {
        self.next_until(Some(deadline))
    }

    /// What ends this watch from elsewhere: the iterator ends, `next_timeout` fails with `Stopped`.
    #[doc(alias = "cancel")]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle::new(self.store.driver.clone(), self.stop.clone())
    }

    /// Goes on in the background from now on. The answer is an eventfd, readable when the next change is there (or the
    /// end of the watch), so that [`Watch::next_timeout`] would not block.
    ///
    /// # Errors
    /// `Unsupported` where there is no eventfd; `Io` when there is no descriptor or no thread left.
    #[cfg(unix)]
    #[doc(alias = "as_raw_fd")]
    pub fn notify_fd(&mut self) -> Result<std::os::fd::OwnedFd> {
        if let Source::Aside(relay) = &self.source {
            return relay.descriptor();
        }
        let (store, stop) = (self.store.clone(), self.stop.clone());
        let source = std::mem::replace(&mut self.source, Source::Nothing);
        let relay = Relay::begin(Self { store, stop, source, ended: self.ended })?;
        let descriptor = relay.descriptor();
        self.source = Source::Aside(relay);
        descriptor
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Result<Option<Change>> {
        let patience = Patience { deadline, stop: Some(&self.stop) };
        // Changes that never pause must not keep it from being stopped.
        patience.sleep(Duration::ZERO)?;
        let event = match &mut self.source {
            Source::Keys(keys) => keys.next(&self.store, patience)?,
            Source::Prefix(watch, _) => watch.next(patience)?,
            Source::Aside(relay) => return relay.next(patience),
            Source::Nothing => None,
        };
        event.map(|event| self.change(event)).transpose()
    }

    fn change(&mut self, event: PrefixEvent) -> Result<Change> {
        let initial = match &mut self.source {
            Source::Keys(keys) => &mut keys.initial,
            Source::Prefix(_, initial) => initial,
            Source::Aside(_) | Source::Nothing => &mut Initial::new(),
        };
        match event {
            PrefixEvent::Set { key, value, revision } => {
                let initial = initial.remove(&key) == Some(revision);
                let key = self.store.own_key(&key).to_owned();
                let value = codec::decode(&key, &value)?;
                Ok(Change { key, revision, kind: ChangeKind::Set(value), initial })
            }
            PrefixEvent::Removed { key, revision, reason } => {
                initial.remove(&key);
                let key = self.store.own_key(&key).to_owned();
                Ok(Change { key, revision, kind: ChangeKind::Removed(Removed::by(reason)), initial: false })
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if matches!(self.source, Source::Aside(_)) {
            // The thread aside must not wait for a change that nobody will ask for.
            self.stop_handle().stop();
        }
    }
}

impl Iterator for Watch {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        let mut ended = self.ended;
        let item = next_item(&mut ended, || self.next_until(None));
        self.ended = ended;
        item
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Watch");
        debug.field("store", &self.store);
        if let Source::Keys(keys) = &self.source {
            debug.field("keys", &keys.keys);
        }
        debug.finish()
    }
}
