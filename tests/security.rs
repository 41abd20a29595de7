//! What strangers can prepare before a store is opened, and what its own file looks like to them.
#![cfg(target_os = "linux")]

mod common;

use std::{
    ffi::CString,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    time::{Duration, Instant},
};

use common::{Place, assert_kind, assert_sound, fork, is_root};
use shmsync::{ErrorKind, Lifetime, Options, Sync};

const NOBODY: u32 = 65_534;

fn options() -> Options {
    Sync::options().capacity(1 << 20).access_limit(Duration::from_millis(200))
}

/// A folder as `/tmp` is: everybody may create files, and only owners may remove them.
fn sticky_folder(place: &Place) -> std::path::PathBuf {
    let folder = place.file("sticky");
    fs::set_permissions(place.path().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
    folder
}

/// Runs `body` in a child that is somebody else. `false` when this process may not become that.
fn as_nobody(body: impl FnOnce()) -> bool {
    if !is_root() {
        println!("skipped: only root can become somebody else");
        return false;
    }
    fork(|| {
        // SAFETY: they change the user of this forked child only.
        let changed = unsafe { (libc::setgroups(0, std::ptr::null()), libc::setgid(NOBODY), libc::setuid(NOBODY)) };
        assert_eq!(changed, (0, 0, 0), "{}", std::io::Error::last_os_error());
        body();
    })
    .finish();
    true
}

/// Opening the path in any way is refused, and leaves the file as it is.
#[track_caller]
fn assert_refused(path: &Path, kind: ErrorKind) {
    let look = || fs::symlink_metadata(path).map(|meta| (meta.ino(), meta.size(), meta.mode(), meta.mtime_nsec())).ok();
    let before = look();
    for way in [options(), options().create(false), options().read_only(true)] {
        let start = Instant::now();
        assert_kind(way.open(path), kind, path.file_name().unwrap().to_str().unwrap());
        assert!(start.elapsed() < Duration::from_secs(2), "it blocks");
    }
    assert_eq!(look(), before, "it was changed");
}

/// Whatever somebody plants in a sticky folder before us is not used and not changed: an empty file, a store, a file with
/// all rights, a FIFO, a link to something of ours.
#[test]
fn what_a_stranger_planted_in_a_sticky_folder_is_refused() {
    let place = Place::new();
    let folder = sticky_folder(&place);
    let ours = place.file("ours");
    options().open(&ours).unwrap().set("kept", &1).unwrap();
    let planted = as_nobody(|| {
        fs::write(folder.join("empty"), "").unwrap();
        fs::set_permissions(folder.join("empty"), fs::Permissions::from_mode(0o666)).unwrap();
        drop(options().mode(0o666).open(folder.join("store")).unwrap());
        symlink(&ours, folder.join("link")).unwrap();
        symlink(folder.join("nowhere"), folder.join("dangling")).unwrap();
        let fifo = CString::new(folder.join("fifo").to_str().unwrap()).unwrap();
        // SAFETY: the string is alive and ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o666) }, 0);
    });
    if !planted {
        return;
    }
    assert_refused(&folder.join("empty"), ErrorKind::Permission);
    assert_refused(&folder.join("store"), ErrorKind::Permission);
    assert_refused(&folder.join("link"), ErrorKind::NotAStore);
    assert_refused(&folder.join("dangling"), ErrorKind::NotAStore);
    assert_refused(&folder.join("fifo"), ErrorKind::NotAStore);
    assert!(!folder.join("nowhere").exists(), "a dangling link was followed");
    assert_eq!(options().open(&ours).unwrap().get::<u32>("kept").unwrap(), Some(1));
}

/// A second name of a store is the same store: nobody gets a second world, and its rights are those of the file.
#[test]
fn a_hard_link_is_the_same_store() {
    let place = Place::new();
    let store = options().open(place.path()).unwrap();
    let other = place.file("other-name");
    fs::hard_link(place.path(), &other).unwrap();
    let same = options().open(&other).unwrap();
    same.integer("count").increment(1).unwrap();
    assert_eq!(store.integer("count").increment(1).unwrap(), 2);
    assert_eq!(store.participants().unwrap().len(), 1, "one process is one participant");
    drop(same);
    assert_sound(&store);
}

/// A stranger who may enter the folder, but has no right to the file, gets nowhere: 0600 unless asked otherwise.
#[test]
fn without_rights_a_store_cannot_even_be_read() {
    let place = Place::new();
    let folder = sticky_folder(&place);
    let path = folder.join("store");
    let store = options().open(&path).unwrap();
    store.set("secret", &1).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    as_nobody(|| {
        assert_kind(options().trust_owner(0).open(&path), ErrorKind::Permission, "store");
        assert_kind(options().trust_owner(0).read_only(true).open(&path), ErrorKind::Permission, "store");
        assert!(fs::remove_file(&path).is_err(), "in a sticky folder only the owner may remove it");
    });
    assert_eq!(store.get::<u32>("secret").unwrap(), Some(1));
}

/// Modes are exact, whatever the umask and whatever was there.
#[test]
fn a_mode_is_exact_whatever_the_umask() {
    let place = Place::new();
    for umask in [0, 0o077, 0o777] {
        for mode in [0o600, 0o640, 0o660, 0o666] {
            let path = place.file(&format!("{umask:o}-{mode:o}"));
            fork(|| {
                // SAFETY: it takes a number and concerns this forked child only.
                unsafe { libc::umask(umask) };
                let store = options().mode(mode).open(&path).unwrap();
                store.set("a", &1).unwrap();
                assert_eq!(store.stats().unwrap().mode, mode);
            })
            .finish();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode, "umask {umask:o}");
        }
    }
}

/// Labels are written by others: what controls a terminal does not come through.
#[test]
fn a_label_does_not_control_the_terminal_of_who_reads_it() {
    let place = Place::new();
    let store = options().label("\u{1b}]0;owned\u{7}\n\u{9b}31m").open(place.path()).unwrap();
    store.set_with("a", &1, Lifetime::Process).unwrap();
    for participant in store.participants().unwrap() {
        let text = format!("{}{}{}", participant.label, participant.command, participant.host);
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}
