//! What tests with several processes share: stores of their own, children with roles, a watchdog, dice.
//!
//! A child is this test binary again: it runs only the test `child`, which every such file defines with [`roles!`] and
//! which does nothing in the parent.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses a part of it")]

mod child;
mod dice;
mod dying;
mod forked;
pub mod region;
mod steps;
mod witness;

use std::{
    env,
    path::{Path, PathBuf},
    process,
    sync::Once,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub use child::{Child, hear, role, say};
pub use dice::Dice;
pub(crate) use dying::die_with_parent;
pub use forked::{Forked, fork};
use shmsync::{Error, ErrorKind, Options, Sync};
pub use steps::{assert_whole, work};
pub use witness::testify;

/// Whoever waits longer than this for something that should happen has failed.
pub const LONG: Duration = Duration::from_secs(120);

/// A place for one store of one test; removed with everything in it.
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A new place, in shared memory where there is some.
    pub fn new() -> Self {
        let shared = Path::new("/dev/shm");
        Self::below(if shared.is_dir() { shared } else { Path::new(env!("CARGO_TARGET_TMPDIR")) })
    }

    /// A new place on a disk.
    pub fn on_disk() -> Self {
        Self::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    fn below(base: &Path) -> Self {
        watchdog();
        Self { dir: tempfile::Builder::new().prefix("shmsync-test-").tempdir_in(base).expect("a temporary directory") }
    }

    /// The path of its store.
    pub fn path(&self) -> PathBuf {
        self.file("store")
    }

    /// The path of another file beside it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Opens its store.
    pub fn open(&self) -> Sync {
        open(&self.path())
    }
}

/// Options as most tests use them: room enough, but not so much that many stores at once hurt.
pub fn options() -> Options {
    Sync::options().capacity(256 << 20)
}

/// Opens the store at `path` with the usual options.
pub fn open(path: &Path) -> Sync {
    options().open(path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()))
}

/// Nothing is wrong in the store and nothing of it leaked.
#[track_caller]
pub fn assert_sound(store: &Sync) {
    let found = store.verify().expect("a store can be verified");
    assert!(found.problems.is_empty(), "verify finds {:#?}", found.problems);
}

/// The result is an error of this kind, and its text names that.
#[track_caller]
pub fn assert_kind<T>(result: Result<T, Error>, kind: ErrorKind, names: &str) -> Error {
    match result {
        Ok(_) => panic!("no error, where {kind:?} was expected about {names:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(error.to_string().contains(names), "the error does not name {names:?}: {error}");
            error
        }
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "it never comes to this: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends everything when a test takes many minutes: children die with this process.
fn watchdog() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let seconds = number("SHMSYNC_WATCHDOG_S", if is_long() { 36_000 } else { 900 });
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(seconds));
            eprintln!("watchdog: this test binary has run for {seconds} s, something hangs");
            process::abort();
        });
    });
}

/// A number from the environment.
pub fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Whether the long forms of tests were asked for.
pub fn is_long() -> bool {
    env::var_os("SHMSYNC_LONG").is_some_and(|value| value == "1")
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    // SAFETY: it reads a number of this process and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// An argument as a number.
pub fn parsed<T: std::str::FromStr>(arguments: &[String], index: usize) -> T {
    arguments[index].parse().unwrap_or_else(|_| panic!("argument {index} is {:?}", arguments[index]))
}

impl Dice {
    /// Seeded from `SHMSYNC_SEED` or the clock; the seed is printed.
    pub fn roll(test: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        let seed = number("SHMSYNC_SEED", now);
        println!("{test}: SHMSYNC_SEED={seed}");
        Self::new(seed)
    }
}
