//! What a path can hold instead of a store, and what can happen to a store's file: each has an error of its own, and
//! what is not ours is never changed.
#![cfg(target_os = "linux")]

mod common;

use std::{
    ffi::CString,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, LONG, Place, assert_kind, assert_sound, fork, is_root, open, options, until};
use shmsync::{ErrorKind, Sync};

roles!(use_until_gone);

/// Everything about a file that opening must not change.
fn fingerprint(path: &Path) -> (Vec<u8>, u32, u32, u64, i64, i64) {
    let meta = fs::symlink_metadata(path).expect("a file");
    let content = if meta.is_file() { fs::read(path).expect("its bytes") } else { vec![] };
    (content, meta.mode(), meta.uid(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// Opening it in any way fails like this, and leaves it and its folder as they are.
#[track_caller]
fn assert_refused(path: &Path, kind: ErrorKind) {
    let before = fingerprint(path);
    let beside = listing(path);
    let ways = [options(), options().create(false), options().read_only(true), options().capacity(1 << 20)];
    for way in ways {
        let error = assert_kind(way.open(path), kind, path.to_str().unwrap());
        assert!(error.to_string().len() > path.to_str().unwrap().len() + 10, "{error} says too little");
    }
    assert!(fingerprint(path) == before, "{} was changed", path.display());
    assert_eq!(listing(path), beside);
}

fn listing(path: &Path) -> Vec<String> {
    let folder = path.parent().expect("a folder");
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The bytes of a store with something in it, which is closed.
fn image(place: &Place) -> Vec<u8> {
    let store = options().capacity(1 << 20).open(place.path()).unwrap();
    for number in 0..500 {
        store.set(&format!("key {number}"), &number).unwrap();
    }
    drop(store);
    fs::read(place.path()).unwrap()
}

/// Scenario 22, B11: a file of other bytes is no store.
#[test]
fn scenario_22_a_file_of_other_bytes_is_not_a_store_and_stays() {
    let place = Place::new();
    let others: [&[u8]; 6] =
        [b"x", b"hello, world\n", &[0; 100], &[0xFF; 5_000], &[0; 2 << 20], b"SHMSYNC\r\nno magic"];
    for bytes in others {
        let path = place.file("other");
        fs::write(&path, bytes).unwrap();
        assert_refused(&path, ErrorKind::NotAStore);
    }
}

/// Scenario 22, attack 32: a region that ends too early is damaged, not foreign and not fresh.
#[test]
fn scenario_22_a_truncated_region_is_corrupt_and_stays() {
    let place = Place::new();
    let whole = image(&place);
    for length in [12, 100, 255, 256, 300, 4_096, 5_000, 65_536] {
        let path = place.file("truncated");
        fs::write(&path, &whole[..length]).unwrap();
        assert_refused(&path, ErrorKind::Corrupt);
    }
}

/// Scenario 22: a region of another version names both versions.
#[test]
fn scenario_22_a_region_of_another_version_is_told_apart_and_stays() {
    let place = Place::new();
    let mut bytes = image(&place);
    bytes[12] ^= 0x40;
    let path = place.file("newer");
    fs::write(&path, &bytes).unwrap();
    assert_refused(&path, ErrorKind::Version);
    let text = Sync::open(&path).unwrap_err().to_string();
    let ours = u32::from(bytes[12] ^ 0x40);
    assert!(text.contains(&format!("format {ours}")) && text.contains(&format!("format {}", bytes[12])), "{text}");
}

/// Attack 19, promise 5: a damaged header is an error, whatever bit it is.
#[test]
fn a_header_with_any_flipped_bit_is_refused_or_harmless() {
    let place = Place::new();
    let whole = image(&place);
    let path = place.file("flipped");
    for at in (0..256).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut bytes = whole.clone();
        bytes[at.0] ^= 1 << at.1;
        fs::write(&path, &bytes).unwrap();
        if let Err(error) = options().read_only(true).open(&path) {
            let kinds = [ErrorKind::NotAStore, ErrorKind::Version, ErrorKind::Corrupt, ErrorKind::NoStore];
            assert!(kinds.contains(&error.kind()), "byte {} bit {}: {error:?}", at.0, at.1);
        }
    }
}

/// Bad input: folders, pipes, devices and links are no stores, and nothing hangs.
#[test]
fn what_is_no_regular_file_is_not_a_store() {
    let place = Place::new();
    let folder = place.file("folder");
    fs::create_dir(&folder).unwrap();
    assert_refused(&folder, ErrorKind::NotAStore);
    let fifo = place.file("fifo");
    let name = CString::new(fifo.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a string that ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert_refused(&fifo, ErrorKind::NotAStore);
    let socket = place.file("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_refused(&socket, ErrorKind::NotAStore);
    for device in ["/dev/null", "/dev/zero"] {
        for way in [options(), options().read_only(true)] {
            assert_kind(way.open(device), ErrorKind::NotAStore, device);
        }
    }
}

/// Bad input: a symbolic link is not followed, wherever it leads.
#[test]
fn a_symbolic_link_is_not_followed() {
    let place = Place::new();
    let store = place.open();
    store.set("key", &1).unwrap();
    for (name, target) in
        [("to a store", place.path()), ("to nothing", place.file("nothing")), ("to itself", place.file("to itself"))]
    {
        let link = place.file(name);
        symlink(&target, &link).unwrap();
        for way in [options(), options().read_only(true)] {
            assert_kind(way.open(&link), ErrorKind::NotAStore, "link");
        }
    }
    assert!(!place.file("nothing").exists());
    assert_sound(&store);
}

/// Scenario 15, B2, B12: a missing store is only created where that was asked for.
#[test]
fn scenario_15_a_missing_store_is_no_store_and_no_file_appears() {
    let place = Place::new();
    for way in [options().create(false), options().read_only(true), options().read_only(true).create(true)] {
        assert_kind(way.open(place.path()), ErrorKind::NoStore, place.path().to_str().unwrap());
    }
    assert!(!place.path().exists());
    let nowhere = place.file("no/such/folder/store");
    for way in [options(), options().create(false)] {
        assert_kind(way.open(&nowhere), ErrorKind::NoStore, nowhere.to_str().unwrap());
    }
    assert!(!place.file("no").exists());
    assert_kind(Sync::options().create(false).open("shmsync-test-no-such-name"), ErrorKind::NoStore, "no-such-name");
}

/// B12: limits that make no sense are told before anything is created.
#[test]
fn b12_bad_options_are_invalid_and_create_nothing() {
    let place = Place::new();
    for capacity in [0, 1, 4_096, u64::MAX] {
        assert_kind(Sync::options().capacity(capacity).open(place.path()), ErrorKind::Invalid, &capacity.to_string());
        assert!(!place.path().exists(), "a capacity of {capacity} creates a file");
    }
    for name in ["", "a\0b", "x/\0", &"n".repeat(256), ".", "..", "new\nline", "http://host"] {
        let error = Sync::open(name).expect_err("a bad name");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}: {error:?}");
    }
}

/// An empty file is a fresh one: `mktemp` makes such.
#[test]
fn an_empty_file_becomes_a_store() {
    let place = Place::new();
    fs::write(place.path(), b"").unwrap();
    let store = place.open();
    store.set("key", &1).unwrap();
    assert_eq!(store.get::<i32>("key").unwrap(), Some(1));
    assert_sound(&store);
}

/// The mode asked for is the mode of the file, 0600 otherwise; an existing store's mode stays.
#[test]
fn a_store_has_the_mode_that_was_asked_for() {
    let place = Place::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    drop(place.open());
    assert_eq!(mode(&place.path()), 0o600);
    let shared = place.file("shared");
    let store = options().mode(0o664).open(&shared).unwrap();
    assert_eq!((mode(&shared), store.stats().unwrap().mode), (0o664, 0o664));
    let again = options().mode(0o600).open(&shared).unwrap();
    assert_eq!((mode(&shared), again.stats().unwrap().mode), (0o664, 0o664));
}

/// A handle that only reads works on a file that can only be read, and changes nothing of it.
#[test]
fn a_read_only_handle_reads_a_read_only_file() {
    let place = Place::new();
    image(&place);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o400)).unwrap();
    let before = fingerprint(&place.path());
    let store = options().read_only(true).open(place.path()).unwrap();
    assert_eq!(store.get::<i32>("key 499").unwrap(), Some(499));
    assert_eq!(store.len().unwrap(), 500);
    assert_eq!(store.read_all::<i32>("key 1").unwrap().len(), 111);
    assert_eq!(store.watch("key 7").unwrap().next_timeout(LONG).unwrap().unwrap().value::<i32>().unwrap(), Some(7));
    assert!(store.watch("nothing").unwrap().next_timeout(Duration::from_millis(50)).unwrap().is_none());
    store.stats().unwrap();
    let refused = [
        store.set("key", &1).map(drop),
        store.remove("key 1").map(drop),
        store.integer("key 1").increment(1).map(drop),
        store.update("key 1", |n: Option<i32>| n).map(drop),
        store.transaction(|tx| tx.set("key", &1)),
        store.clear(),
        store.get_or_insert_with("missing", || 1).map(drop),
        store.exclusive().map(drop),
        store.force_open().map(drop),
        store.destroy(),
    ];
    for (number, result) in refused.into_iter().enumerate() {
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Permission), "call {number}");
    }
    assert_eq!(store.get_or_insert_with("key 1", || 0).unwrap(), 1);
    assert_eq!(store.participants().unwrap().len(), 0);
    drop(store);
    assert!(fingerprint(&place.path()) == before, "reading has changed the file");
}

/// A read-only handle sees what others write, without being a participant.
#[test]
fn a_read_only_handle_follows_writers() {
    let place = Place::new();
    let writer = place.open();
    writer.set("n", &0).unwrap();
    let reader = options().read_only(true).open(place.path()).unwrap();
    let mut watch = reader.watch("n").unwrap();
    assert!(watch.next_timeout(LONG).unwrap().unwrap().initial);
    for number in 1..=20 {
        writer.set("n", &number).unwrap();
        assert_eq!(watch.next_timeout(LONG).unwrap().unwrap().value::<i32>().unwrap(), Some(number));
    }
    // Far beyond what was there when it was opened.
    for number in 0..3_000 {
        writer.set(&format!("grown/{number}"), &vec![number; 500]).unwrap();
    }
    assert_eq!(reader.read_all::<Vec<i32>>("grown/").unwrap().len(), 3_000);
    assert_eq!(writer.participants().unwrap().len(), 1);
}

/// Runs `body` in a child that is somebody else.
fn as_nobody(body: impl FnOnce()) {
    fork(|| {
        // SAFETY: they change the user of this forked child only.
        let changed = unsafe { (libc::setgroups(0, std::ptr::null()), libc::setgid(65_534), libc::setuid(65_534)) };
        assert_eq!(changed, (0, 0, 0), "{}", std::io::Error::last_os_error());
        body();
    })
    .finish();
}

/// Decision 26, B12: another user's store opens only with rights and with trust.
#[test]
fn a_foreign_owners_store_needs_rights_and_trust() {
    if !is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path().parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = options().mode(0o600).open(place.path()).unwrap();
    store.set("key", &1).unwrap();
    let path = place.path();
    as_nobody(|| drop(assert_kind(options().open(&path), ErrorKind::Permission, "store")));
    as_nobody(|| drop(assert_kind(options().open(path.with_file_name("new")), ErrorKind::Permission, "new")));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    as_nobody(|| {
        assert_kind(options().open(&path), ErrorKind::Permission, "user 0");
        let store = options().trust_owner(0).open(&path).expect("a trusted store");
        store.integer("key").increment(1).expect("an increment");
    });
    assert_eq!(store.get::<i32>("key").unwrap(), Some(2));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    as_nobody(|| {
        let reader = options().trust_owner(0).read_only(true).open(&path).expect("a readable store");
        assert_eq!(reader.get::<i32>("key").expect("a get"), Some(2));
        assert_kind(options().trust_owner(0).open(&path), ErrorKind::Permission, "store");
    });
    // Root is nobody special: a file that somebody else may change at any time is not trusted unasked.
    let foreign = place.file("foreign");
    drop(options().open(&foreign).unwrap());
    std::os::unix::fs::chown(&foreign, Some(12_345), None).unwrap();
    assert_refused(&foreign, ErrorKind::Permission);
    options().trust_owner(12_345).open(&foreign).unwrap().set("key", &1).unwrap();
    assert_sound(&store);
}

/// Uses the store until it is gone, and says how that was told.
fn use_until_gone(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    store.set("key", &0).expect("a set");
    let waiter = thread::spawn({
        let store = store.clone();
        move || store.watch("never").and_then(|mut watch| watch.next_timeout(LONG)).map(drop)
    });
    common::say("using");
    let end = Instant::now() + LONG;
    let mut kinds = vec![];
    while Instant::now() < end && kinds.len() < 3 {
        let result = match kinds.len() {
            0 => store.set("key", &1).map(drop),
            1 => store.get::<i32>("key").map(drop),
            _ => store.len().map(drop),
        };
        if let Err(error) = result {
            kinds.push(error.kind());
        }
    }
    kinds.extend(waiter.join().expect("a thread").map_err(|error| error.kind()).err());
    common::say(format!("{kinds:?}"));
}

/// Decision 34, attack 33, promise 8: whatever takes the store away, everybody who uses it is told within a second or
/// so, also those who wait, and nobody goes on in a second world.
#[test]
fn attack_33_a_store_taken_away_is_gone_for_all() {
    type TakeAway = fn(&Place, &Sync);
    let ways: [(&str, TakeAway); 4] = [
        ("unlinked", |place, _| fs::remove_file(place.path()).unwrap()),
        ("renamed", |place, _| fs::rename(place.path(), place.file("elsewhere")).unwrap()),
        ("replaced", |place, _| {
            drop(open(&place.file("new")));
            fs::rename(place.file("new"), place.path()).unwrap();
        }),
        ("destroyed", |_, store| store.destroy().unwrap()),
    ];
    for (name, take_away) in ways {
        let place = Place::new();
        let store = place.open();
        let mut child = Child::on(&place, "use_until_gone", &[]);
        child.expect("using");
        take_away(&place, &store);
        let begun = Instant::now();
        child.expect("[Gone, Gone, Gone, Gone]");
        until("this handle is told too", || store.get::<i32>("key").is_err());
        println!("{name}: told after {:?}", begun.elapsed());
        assert_kind(store.set("key", &1), ErrorKind::Gone, place.path().to_str().unwrap());
        child.finish();
        // Opened again, there is one truth: a new store, which the old handle does not see.
        let new = place.open();
        assert_eq!(new.get::<i32>("key").unwrap(), None);
        new.set("key", &2).unwrap();
        assert_kind(store.get::<i32>("key"), ErrorKind::Gone, "store");
        assert_sound(&new);
    }
}

/// B13, decision 15: destroying takes away what bears our magic, damaged or not, and nothing else.
#[test]
fn b13_destroying_twice_is_gone_and_another_store_is_untouched() {
    let place = Place::new();
    let (store, other) = (place.open(), open(&place.file("other")));
    other.set("key", &1).unwrap();
    let exclusive = store.exclusive().unwrap();
    exclusive.destroy().unwrap();
    assert!(!place.path().exists());
    assert_kind(store.destroy(), ErrorKind::Gone, "store");
    drop(exclusive);
    assert_eq!(other.get::<i32>("key").unwrap(), Some(1));
    // Lock state does not come along to the next store.
    let next = place.open();
    next.set("key", &2).unwrap();
    drop(next.try_exclusive().unwrap().unwrap());
    assert_sound(&next);
}
