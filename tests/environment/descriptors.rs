//! Descriptors: none left, closed behind our back, leaked.

use std::{
    fs,
    io::Write,
    os::fd::{AsRawFd, IntoRawFd},
    path::Path,
    thread,
    time::Duration,
};

use shmsync::{ErrorKind, Lifetime, Sync};

use super::{
    common::{Child, Place, assert_sound, hear, number, open, say, until},
    limits::set_limit,
};

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Ten thousand opens and closes leave no descriptor, no thread, no mapping and no participant behind.
#[test]
fn ten_thousand_opens_and_closes_leak_nothing() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "open_and_close", &[]);
    child.expect("done");
    assert_eq!(store.participants().unwrap().iter().filter(|participant| participant.alive).count(), 1);
    child.finish();
    assert_sound(&store);
}

pub fn open_and_close(arguments: &[String]) {
    let path = Path::new(&arguments[0]);
    let maps = || fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let round = |number: u64| {
        let store = Sync::options().capacity(1 << 20).label("again").read_only(number % 10 == 9).open(path).unwrap();
        if number % 10 < 5 {
            store.set("last", &number).unwrap();
        }
    };
    (0..100).for_each(round);
    thread::sleep(Duration::from_millis(100));
    let before = (count("/proc/self/fd"), count("/proc/self/task"), maps());
    (0..number("SHMSYNC_OPENS", 10_000)).for_each(round);
    let mut after = before;
    // Threads end a moment after their handles. The allocator keeps a few hundred mappings, however many threads there were.
    for _ in 0..100 {
        after = (count("/proc/self/fd"), count("/proc/self/task"), maps());
        if after.0 <= before.0 && after.1 <= before.1 {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(after.0 <= before.0 && after.1 <= before.1 && after.2 <= before.2 + 1000, "{before:?} {after:?}");
    say("done");
}

/// Without a descriptor left, opening is an error, and what is open works on, also where it has to grow.
#[test]
fn without_descriptors_opening_fails_and_what_is_open_works() {
    let place = Place::new();
    let mut child = Child::on(&place, "few_descriptors", &[]);
    child.expect("done");
    child.finish();
    assert_sound(&place.open());
}

pub fn few_descriptors(arguments: &[String]) {
    let path = Path::new(&arguments[0]);
    let store = open(path);
    store.set("a", &1).unwrap();
    thread::sleep(Duration::from_millis(50));
    let used = fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
    let other = path.with_file_name("other");
    let mut opened = 0;
    // Each number of descriptors, so that each of those needed is once the one that is missing.
    for spare in 0..8 {
        set_limit(libc::RLIMIT_NOFILE, used + spare);
        match Sync::options().capacity(1 << 20).open(&other) {
            Ok(other) => {
                opened += 1;
                other.set("b", &spare).unwrap();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{spare}: {error:?}"),
        }
        store.set_bytes("large", &vec![1; 300_000 * (spare as usize + 1)]).unwrap();
        assert!(store.watch("a").unwrap().next_timeout(Duration::from_millis(5)).unwrap().is_some());
        let _ = fs::remove_file(&other);
    }
    assert!((1..8).contains(&opened), "{opened} of 8");
    set_limit(libc::RLIMIT_NOFILE, 1024);
    assert_eq!(open(path).get::<u64>("a").unwrap(), Some(1));
    say("done");
}

/// A program that closes descriptors it does not know: some or all of ours go, and their numbers are given to other
/// files. Calls may fail; but no other file is touched, nobody is declared dead who lives, and all comes back when it
/// has died.
#[test]
fn descriptors_closed_behind_our_back_harm_nobody_else() {
    for which in ["asker", "holder", "all"] {
        let place = Place::new();
        let store = place.open();
        store.set("kept", &1).unwrap();
        let mut child = Child::on(&place, "close_some_and_go_on", &[which]);
        child.expect("open");
        until("its entry is there", || store.get::<u64>("mine").unwrap() == Some(1));
        child.tell("close");
        child.expect("went on");
        for _ in 0..10 {
            assert_eq!(store.get::<u64>("mine").unwrap(), Some(1), "{which}: it lives");
            store.set("kept", &2).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        child.kill();
        until("its entry has gone", || store.get::<u64>("mine").unwrap().is_none());
        assert_sound(&store);
    }
}

pub fn close_some_and_go_on(arguments: &[String]) {
    let path = Path::new(&arguments[0]);
    let before: Vec<i32> = descriptors();
    let store = open(path);
    store.set_with("mine", &1, Lifetime::Process).unwrap();
    // The quiet thread has come to its place.
    thread::sleep(Duration::from_millis(100));
    say("open");
    hear();
    let ours: Vec<i32> = descriptors().into_iter().filter(|fd| !before.contains(fd)).collect();
    let leads_to_store = |fd: &i32| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|to| to == path);
    let on_store: Vec<i32> = ours.iter().copied().filter(leads_to_store).collect();
    let closed = match arguments[1].as_str() {
        "asker" => on_store[..1].to_vec(),
        "holder" => on_store[1..2].to_vec(),
        _ => ours,
    };
    // SAFETY: this is what the test is about; the handle is never dropped, so that nothing of it is closed twice.
    closed.iter().for_each(|fd| assert_eq!(unsafe { libc::close(*fd) }, 0));
    let strangers: Vec<_> = (0..closed.len()).map(|index| stranger(path, index)).collect();
    for number in 0..200_u64 {
        let _ = store.set_bytes(&format!("{number}"), &vec![2; number as usize * 500]);
        let _ = store.get::<u64>("kept");
        let _ = store.integer("count").increment(1);
        let _ = store.participants();
    }
    let _ = store.exclusive_timeout(Duration::from_millis(50));
    for stranger in &strangers {
        assert_eq!(fs::read(stranger).unwrap(), b"not ours", "another file was touched");
    }
    std::mem::forget(store);
    say("went on");
    hear();
}

fn descriptors() -> Vec<i32> {
    let names: Vec<_> = fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.file_name()).collect();
    // Not the one through which the folder was read.
    let open = |fd: &i32| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok();
    names.iter().filter_map(|name| name.to_str()?.parse().ok()).filter(open).collect()
}

/// Another file, which gets the number that has just become free.
fn stranger(path: &Path, index: usize) -> std::path::PathBuf {
    let path = path.with_file_name(format!("stranger-{index}"));
    let mut file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    file.write_all(b"not ours").unwrap();
    let _ = file.into_raw_fd();
    path
}
