//! Where regions are, and who else has one of that name.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Options;
use crate::{
    driver::{AnyDriver, Driver, Shm},
    error::{Error, ErrorKind, Result},
    sys::userdir,
};

/// Opens the store of that name in the folder of this user.
pub(super) fn open_bare(name: &str, options: &Options) -> Result<AnyDriver> {
    let folder = if options.creates() { userdir::ensure() } else { userdir::existing() };
    open_path(&within(folder, name)?, options).map_err(|error| explained(name, error))
}

/// Removes the store of that name from the folder of this user.
pub(super) fn destroy_bare(name: &str, options: &Options) -> Result<()> {
    destroy_path(&within(userdir::existing(), name)?, options).map_err(|error| explained(name, error))
}

fn within(folder: io::Result<PathBuf>, name: &str) -> Result<PathBuf> {
    let failed = |error| Error::io(format!("store {name:?} in {}", userdir::path().display()), error);
    Ok(folder.map_err(failed)?.join(name))
}

/// Opens the store at that path.
pub(super) fn open_path(path: &Path, options: &Options) -> Result<AnyDriver> {
    Shm::open(path, options).map(AnyDriver::Shm)
}

/// Removes the store at that path.
pub(super) fn destroy_path(path: &Path, options: &Options) -> Result<()> {
    match open_path(path, &options.clone().create(false)) {
        Ok(driver) => driver.destroy(),
        // Both are said only of files that bear our magic. Who has it open sees that its path is gone.
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version) => fs::remove_file(path)
            .map_err(|error| Error::io(format!("{}: cannot remove the store", path.display()), error)),
        Err(error) => Err(error),
    }
}

fn explained(name: &str, error: Error) -> Error {
    if error.kind() == ErrorKind::NoStore { no_store(name) } else { error }
}

/// The usual cause is that another user has it (a web server, root's cron): then that is what to tell.
fn no_store(name: &str) -> Error {
    let here = userdir::path();
    let mut message = format!("there is no store {name:?} in {}: create it with `shmsync init`", here.display());
    let folders = folders_beside(&here);
    let same_name: Vec<_> = folders.iter().map(|folder| folder.join(name)).filter(|path| path.exists()).collect();
    if !same_name.is_empty() {
        message += &format!(", or open by path what another user has: {}", listed(&same_name));
    } else if !folders.is_empty() {
        message += &format!(", or look at those of other users: {}", listed(&folders));
    }
    Error::new(ErrorKind::NoStore, message)
}

/// The folders of other users.
fn folders_beside(here: &Path) -> Vec<PathBuf> {
    let Some(base) = here.parent() else { return Vec::new() };
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_other = |path: &PathBuf| {
        path != here && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"shmsync-"))
    };
    let mut folders: Vec<_> = paths.filter(is_other).collect();
    folders.sort();
    folders
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
