//! Which files there are to read.

use std::{
    io,
    path::{Path, PathBuf},
};

use ignore::WalkBuilder;

/// A file found below the folder.
pub(super) struct Found {
    /// Its path, relative to the folder.
    pub(super) path: PathBuf,
    /// How large it was then.
    pub(super) size: u64,
}

/// Every file below a folder, sorted.
pub(super) struct Files {
    /// The files.
    pub(super) found: Vec<Found>,
    /// What could not be looked at.
    pub(super) unreadable: Vec<String>,
}

impl Files {
    /// Walks through `dir`: hidden files too, but not `.git`, nor what a `.gitignore` leaves out, nor `except`.
    pub(super) fn below(dir: &Path, except: &Path) -> Self {
        let mut walk = WalkBuilder::new(dir);
        walk.hidden(false).ignore(false).git_global(false).require_git(false);
        walk.filter_entry(|entry| entry.file_name() != ".git").sort_by_file_name(Ord::cmp);
        let mut files = Self { found: Vec::new(), unreadable: Vec::new() };
        for entry in walk.build() {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) && entry.path() != except => {
                    let path = entry.path().strip_prefix(dir).unwrap_or(entry.path()).to_owned();
                    // One that vanished meanwhile stays in the list: its worker will say so.
                    let size = entry.metadata().map_or(0, |metadata| metadata.len());
                    files.found.push(Found { path, size });
                }
                Ok(_) => {}
                Err(error) if vanished(&error) => {}
                Err(error) => files.unreadable.push(error.to_string()),
            }
        }
        files
    }

    /// The sizes of all.
    pub(super) fn bytes(&self) -> u64 {
        self.found.iter().map(|file| file.size).sum()
    }
}

fn vanished(error: &ignore::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_gitignore_names_is_left_out_and_hidden_files_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write(".gitignore", "*.log\n/out/\n");
        write("b.txt", "bb");
        write("a/.hidden", "h");
        write("a/x.log", "no");
        write("out/y", "no");
        write(".git/config", "no");
        write("store", "no");
        std::os::unix::fs::symlink("b.txt", folder.path().join("link")).expect("linked");
        let files = Files::below(folder.path(), &folder.path().join("store"));
        let names: Vec<_> = files.found.iter().map(|file| file.path.to_str().expect("UTF-8")).collect();
        assert_eq!(names, [".gitignore", "a/.hidden", "b.txt"]);
        assert_eq!(files.bytes(), 12 + 1 + 2);
    }
}
