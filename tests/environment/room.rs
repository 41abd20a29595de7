//! No room: real small file systems that are full at every point where a store could grow.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::Path,
};

use shmsync::{Error, ErrorKind, Lifetime, Sync};

use super::common::{Child, Dice, Place, assert_sound, is_long, is_root, parsed, say};

/// A tmpfs of so many bytes at that path, for this process and its children only. Unmounted when dropped.
pub struct SmallTmpfs(CString);

impl SmallTmpfs {
    pub fn mount(path: &Path, kib: u64) -> Self {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        let options = CString::new(format!("size={kib}k")).unwrap();
        let none = std::ptr::null();
        // SAFETY: all strings are alive and end with a zero.
        let mounted = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
                && libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, options.as_ptr().cast()) == 0
        };
        assert!(mounted, "{}", std::io::Error::last_os_error());
        Self(path)
    }
}

impl Drop for SmallTmpfs {
    fn drop(&mut self) {
        // SAFETY: the string is alive. What is still mapped keeps the file system alive, not its name.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Whether file systems can be mounted here; if not, says so.
fn may_mount() -> bool {
    if !is_root() {
        println!("skipped: only root may mount a small file system");
    }
    is_root()
}

/// Attack 38, promise 6: ENOSPC wherever the file grows, at its creation too, is `Full` and leaves everything as it was;
/// after removals everything works again.
#[test]
fn attack_38_a_full_file_system_is_full_and_changes_nothing() {
    if may_mount() {
        let place = Place::new();
        fs::create_dir(place.file("small")).unwrap();
        let step = if is_long() { "4" } else { "28" };
        let seed = Dice::roll("small file systems").below(u64::MAX).to_string();
        let mut child = Child::spawn("fill_small_file_systems", &[place.file("small").to_str().unwrap(), step, &seed]);
        child.expect("done");
        child.finish();
    }
}

pub fn fill_small_file_systems(arguments: &[String]) {
    let (folder, step): (&Path, usize) = (Path::new(&arguments[0]), parsed(arguments, 1));
    let mut dice = Dice::new(parsed(arguments, 2));
    let (mut created, mut refused) = (0, 0);
    for kib in (8_u64..1000).step_by(step) {
        let small = SmallTmpfs::mount(folder, kib);
        let path = folder.join("store");
        let capacity = if kib % 8 == 0 { 1 << 20 } else { 4 << 20 };
        match Sync::options().capacity(capacity).open(&path) {
            Ok(store) => {
                created += 1;
                fill_and_drain(&store, &mut dice);
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), ErrorKind::Full, "{kib} KiB: {error:?}");
                assert!(!path.exists(), "{kib} KiB: something is left behind");
            }
        }
        drop(small);
    }
    assert!(created > 10 && refused > 0, "{created} created, {refused} refused");
    say("done");
}

type All = BTreeMap<String, Vec<u8>>;

/// Does all kinds of changes until there is no room for any.
fn fill_and_drain(store: &Sync, dice: &mut Dice) {
    for _ in 0..2 {
        let mut before = store.read_all::<Vec<u8>>("").unwrap();
        let mut full = 0;
        while full < 12 {
            let number = dice.below(10_000);
            let value = vec![number as u8; [10, 300, 3000, 20_000, 90_000][dice.below(5) as usize]];
            match change(store, dice.below(6), number, &value, &mut before) {
                Ok(()) => assert_eq!(store.len().unwrap(), before.len()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
                    assert_eq!(store.read_all::<Vec<u8>>("").unwrap(), before, "no room, but a change");
                    full += 1;
                }
            }
        }
        assert_sound(store);
        for key in before.keys().step_by(2) {
            assert!(store.remove(key).unwrap(), "removing takes no room");
        }
        assert_sound(store);
    }
    // All at once takes a little room, if there is any at all; one by one takes none.
    if let Err(error) = store.clear() {
        assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
        store.keys("").unwrap().for_each(|key| assert!(store.remove(&key).unwrap()));
        store.clear().unwrap();
    }
    assert_sound(store);
    store.set_bytes("again", &[1; 5000]).unwrap();
}

fn change(store: &Sync, kind: u64, number: u64, value: &[u8], all: &mut All) -> Result<(), Error> {
    let key = format!("key/{number}");
    let bytes = value.to_vec();
    match kind {
        0 => store.transaction(|transaction| {
            (0..5).try_for_each(|step| transaction.set(&format!("key/{}", number + step), &bytes))
        })?,
        1 => store.set_with(&key, &bytes, Lifetime::Process).map(drop)?,
        2 => store.update(&key, |_: Option<Vec<u8>>| Some(bytes.clone())).map(drop)?,
        3 => {
            let some = BTreeMap::from([("a".to_owned(), bytes.clone()), ("b".to_owned(), bytes.clone())]);
            store.namespace("whole").replace_all("", &some)?;
            all.retain(|key, _| !key.starts_with("whole/"));
            all.insert("whole/a".into(), bytes.clone());
            all.insert("whole/b".into(), bytes);
            return Ok(());
        }
        _ => store.set(&key, &bytes).map(drop)?,
    }
    for step in 0..if kind == 0 { 5 } else { 1 } {
        all.insert(format!("key/{}", number + step), bytes.clone());
    }
    Ok(())
}

/// Attack 36: a sparse copy on a full file system is an error, or gets its blocks first; never a SIGBUS on a load.
#[test]
fn attack_36_a_sparse_copy_on_a_full_file_system_is_an_error() {
    if may_mount() {
        let place = Place::new();
        fs::create_dir(place.file("small")).unwrap();
        let mut child = Child::spawn("copy_sparsely", &[place.file("small").to_str().unwrap()]);
        child.expect("done");
        child.finish();
    }
}

pub fn copy_sparsely(arguments: &[String]) {
    let folder = Path::new(&arguments[0]);
    let _small = SmallTmpfs::mount(folder, 2048);
    let open = |name: &str, read_only| Sync::options().capacity(1 << 20).read_only(read_only).open(folder.join(name));
    let store = open("store", false).unwrap();
    for number in 0..20 {
        store.set_bytes(&format!("zeros/{number}"), &vec![0; 12_000]).unwrap();
    }
    drop(store);
    sparse_copy(&folder.join("store"), &folder.join("copy"));
    let stat = fs::metadata(folder.join("copy")).unwrap();
    assert!(stat.blocks() * 512 + 100_000 < stat.size(), "the copy has holes");
    // Whatever is left is taken by somebody else.
    let hog = fs::File::create(folder.join("hog")).unwrap();
    let mut size = 0;
    // SAFETY: it takes a descriptor that is open and two numbers.
    while unsafe { libc::fallocate(hog.as_raw_fd(), 0, size, 4096) } == 0 {
        size += 4096;
    }
    let error = open("copy", true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    let error = open("copy", false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
    drop(hog);
    fs::remove_file(folder.join("hog")).unwrap();
    let store = open("copy", false).unwrap();
    assert_eq!(store.len().unwrap(), 20);
    assert_sound(&store);
    assert_eq!(open("copy", true).unwrap().len().unwrap(), 20);
    say("done");
}

/// As `cp --sparse=always`: pages of zeros become holes.
fn sparse_copy(from: &Path, to: &Path) {
    use std::os::unix::fs::FileExt;
    let bytes = fs::read(from).unwrap();
    let file = fs::File::create(to).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (page, bytes) in bytes.chunks(4096).enumerate() {
        if bytes.iter().any(|byte| *byte != 0) {
            file.write_all_at(bytes, page as u64 * 4096).unwrap();
        }
    }
}
