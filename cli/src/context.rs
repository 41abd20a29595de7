//! What every verb works with: settings, the store, standard output.

use std::{
    ffi::{OsStr, OsString},
    time::Duration,
};

use shmsync::{ErrorKind, Options, Sync};

use crate::{
    args::Globals,
    config::Layer,
    failure::Failure,
    output::{Output, complain},
};

/// The store that is used when nobody names one.
const DEFAULT_STORE: &str = "default";

/// Settings after everything was put together, and where answers go.
pub(crate) struct Context {
    /// Flags that only the command line knows.
    pub(crate) globals: Globals,
    /// The store to use.
    pub(crate) store: OsString,
    /// Everything else.
    pub(crate) settings: Layer,
    /// Standard output.
    pub(crate) out: Output,
}

impl Context {
    /// Flags over what `below` them was configured.
    pub(crate) fn new(globals: Globals, below: Layer) -> Self {
        let flags = Layer {
            namespace: globals.namespace.clone(),
            timeout: globals.timeout,
            label: globals.label.clone(),
            verbose: globals.verbose.then_some(true),
            json: globals.json,
            ..Layer::default()
        };
        let settings = flags.over(below);
        let configured = settings.store.clone().map(OsString::from);
        let store = globals.store.clone().or(configured).unwrap_or_else(|| DEFAULT_STORE.into());
        Self { globals, store, settings, out: Output::stdout() }
    }

    /// Whether to answer in JSON.
    pub(crate) fn json(&self) -> bool {
        self.settings.json.unwrap_or(false)
    }

    /// The store's name for messages.
    pub(crate) fn store_name(&self) -> String {
        shmsync::driver::without_password(&self.store.to_string_lossy())
    }

    /// Says on standard error what is done, if asked to.
    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.settings.verbose.unwrap_or(false) {
            complain(&what());
        }
    }

    /// Options as the flags and settings say.
    pub(crate) fn options(&self) -> Options {
        let mut options = Sync::options();
        if let Some(mode) = self.globals.mode {
            options = options.mode(mode);
        }
        if let Some(capacity) = self.globals.capacity {
            options = options.capacity(capacity);
        }
        if let Some(uid) = self.globals.trust_owner {
            options = options.trust_owner(uid);
        }
        if let Some(label) = &self.settings.label {
            options = options.label(label);
        }
        if let Some(limit) = self.settings.timeout {
            options = options.access_limit(limit);
        }
        options.allow_network_fs(self.globals.allow_network_fs)
    }

    /// Within the namespace, if there is one.
    fn inside(&self, store: Sync) -> Sync {
        match self.settings.namespace.as_deref() {
            None | Some("") => store,
            Some(prefix) => store.namespace(prefix),
        }
    }

    /// Refuses keys that no store could hold, before one is created for them.
    pub(crate) fn check_keys<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
        let anywhere = self.inside(Sync::open("memory:")?);
        keys.into_iter().try_for_each(|key| Ok(anywhere.contains(key).map(|_| ())?))
    }

    /// Refuses what no store would take, before one is created for it.
    pub(crate) fn check<T, E: Into<Failure>>(
        &self,
        attempt: impl FnOnce(&Sync) -> Result<T, E>,
    ) -> Result<(), Failure> {
        attempt(&self.inside(Sync::open("memory:")?)).map(drop).map_err(E::into)
    }

    /// The store, created where there is none.
    pub(crate) fn open(&self) -> Result<Sync, Failure> {
        Ok(self.inside(self.options().open(&self.store)?))
    }

    /// The store for one change, created where there is none. Starting the thread that tells of this process's death would
    /// take longer than the change.
    pub(crate) fn open_briefly(&self) -> Result<Sync, Failure> {
        Ok(self.inside(self.options().liveness_thread(false).open(&self.store)?))
    }

    /// The store for changing what is there; `None` where there is none.
    pub(crate) fn open_existing(&self) -> Result<Option<Sync>, Failure> {
        match self.options().create(false).open(&self.store) {
            Err(error) if error.kind() == ErrorKind::NoStore => {
                self.say(|| error.to_string());
                Ok(None)
            }
            store => Ok(Some(self.inside(store?))),
        }
    }

    /// The store for reading; an empty one where there is none.
    pub(crate) fn open_to_read(&self) -> Result<Sync, Failure> {
        match self.options().read_only(true).open(&self.store) {
            Err(error) if error.kind() == ErrorKind::NoStore => {
                self.say(|| format!("{error}; acting as on an empty store"));
                Ok(self.inside(Sync::open("memory:")?))
            }
            store => Ok(self.inside(store?)),
        }
    }

    /// The store, for verbs that make no sense without one.
    pub(crate) fn open_present(&self, read_only: bool) -> Result<Sync, Failure> {
        let store = self.options().create(false).read_only(read_only).open(&self.store);
        Ok(self.inside(store.map_err(missing)?))
    }

    /// Another store than that of the flags, for verbs that make no sense without it; only to read.
    pub(crate) fn open_source(&self, name: &OsStr) -> Result<Sync, Failure> {
        Ok(self.inside(self.options().create(false).read_only(true).open(name).map_err(missing)?))
    }

    /// Another store than that of the flags, created where there is none.
    pub(crate) fn open_target(&self, name: &OsStr) -> Result<Sync, Failure> {
        Ok(self.inside(self.options().open(name)?))
    }

    /// Removes the store, even one that is too damaged to be opened.
    pub(crate) fn destroy(&self) -> Result<(), Failure> {
        self.options().destroy(&self.store).map_err(missing)
    }

    /// How long to wait where a verb waits; `None` = as long as it takes.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.settings.timeout
    }
}

/// That there is no store is an answer of its own.
fn missing(error: shmsync::Error) -> Failure {
    if error.kind() == ErrorKind::NoStore { Failure::NoStore(error) } else { error.into() }
}
