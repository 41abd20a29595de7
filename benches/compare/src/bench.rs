//! How much is measured, and where.

use std::{fs, path::PathBuf, rc::Rc, time::Duration};

use tempfile::TempDir;

use crate::{failure::Outcome, keys::Keys};

/// The order of keys; printed with the results.
pub(crate) const SEED: u64 = 0x5eed;

/// One invocation: its sizes, and a folder in RAM for everybody's files.
pub(crate) struct Bench {
    pub(crate) quick: bool,
    pub(crate) runs: usize,
    /// About how long one run of one side is.
    pub(crate) slice: Duration,
    /// What "1m" means.
    pub(crate) many: usize,
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new(quick: bool) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("shmsync-compare-").tempdir_in("/dev/shm")?;
        let (runs, slice, many) = if quick { (3, 20, 50_000) } else { (7, 300, 1_000_000) };
        Ok(Self { quick, runs, slice: Duration::from_millis(slice), many, folder })
    }

    pub(crate) fn slice_nanoseconds(&self) -> f64 {
        self.slice.as_nanos() as f64
    }

    pub(crate) fn keys(&self, count: usize) -> Rc<Keys> {
        Keys::shuffled(0..count as u32, SEED)
    }

    /// A new and empty folder, also where there was one of that name.
    pub(crate) fn fresh(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.folder.path().join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        Ok(path)
    }
}
