//! The folder of one user in shared memory.

use std::{
    fs::{self, DirBuilder, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::identity;

/// Where folders of users are made: memory, and everybody may.
const SHARED_MEMORY: &str = "/dev/shm";

/// The bits by which others could change what is in a folder.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// `/dev/shm/shmsync-UID`, made if need be.
///
/// # Errors
/// `PermissionDenied` when another could put files there; `NotFound` without `/dev/shm`.
pub(crate) fn ensure() -> io::Result<PathBuf> {
    ensure_below(Path::new(SHARED_MEMORY))
}

/// The same folder, for who only looks for what is there: it need not exist, and is not made.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn existing() -> io::Result<PathBuf> {
    existing_below(Path::new(SHARED_MEMORY))
}

/// Where the folder of this user is, whether it exists or not.
pub(crate) fn path() -> PathBuf {
    path_below(Path::new(SHARED_MEMORY))
}

/// Whether nobody but its owner and root can create, rename or remove what lies in this folder.
pub(crate) fn is_private(folder: &Metadata) -> bool {
    folder.mode() & WRITABLE_BY_OTHERS == 0
}

fn path_below(base: &Path) -> PathBuf {
    base.join(format!("shmsync-{}", identity::euid()))
}

fn existing_below(base: &Path) -> io::Result<PathBuf> {
    check_above(base)?;
    let path = path_below(base);
    match check(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}

fn check_above(base: &Path) -> io::Result<()> {
    let above = base.metadata()?;
    if !is_private(&above) && above.mode() & STICKY == 0 {
        return Err(denied(base, "others can replace what is in it, for want of the sticky bit"));
    }
    Ok(())
}

fn ensure_below(base: &Path) -> io::Result<PathBuf> {
    check_above(base)?;
    let path = path_below(base);
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => check(&path)?,
    }
    Ok(path)
}

/// Once it is ours below a sticky or private folder, nobody can put another in its place.
fn check(path: &Path) -> io::Result<()> {
    let folder = fs::symlink_metadata(path)?;
    match () {
        () if !folder.is_dir() => Err(denied(path, "it is not a folder")),
        () if folder.uid() != identity::euid() => Err(denied(path, "it belongs to another user")),
        () if !is_private(&folder) => Err(denied(path, "others can write to it; `chmod 700` it")),
        () => Ok(()),
    }
}

fn denied(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("{} is not safe: {why}", path.display()))
}

#[cfg(test)]
mod tests {

    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    fn base(mode: u32) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        fs::set_permissions(base.path(), Permissions::from_mode(mode)).unwrap();
        base
    }

    fn refused(base: &Path) {
        for answer in [ensure_below(base), existing_below(base)] {
            assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn the_folder_is_made_once_for_its_user_alone() {
        let base = base(0o1777);
        assert!(!existing_below(base.path()).unwrap().exists());
        let path = ensure_below(base.path()).unwrap();
        assert_eq!(path, path_below(base.path()));
        assert_eq!(path, existing_below(base.path()).unwrap());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(ensure_below(base.path()).unwrap(), path);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let base = base(0o1777);
        let path = ensure_below(base.path()).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o770)).unwrap();
        refused(base.path());
    }

    #[test]
    fn a_link_a_file_and_a_strangers_folder_are_refused() {
        let (base, elsewhere) = (base(0o1777), base(0o700));
        let path = path_below(base.path());
        std::os::unix::fs::symlink(elsewhere.path(), &path).unwrap();
        refused(base.path());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        refused(base.path());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
            refused(base.path());
        }
    }

    #[test]
    fn a_folder_above_that_anybody_may_change_is_refused() {
        refused(base(0o777).path());
    }
}
