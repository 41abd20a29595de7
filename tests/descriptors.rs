//! Waiting by polling descriptors, as event loops do.
#![cfg(target_os = "linux")]

mod common;

use std::{path::Path, time::Duration};

use common::{Child, LONG, Place, hear, options, say, until};
use shmsync::{ErrorKind, LockState, Sync};

roles!(hold, list_descriptors);

/// Holds the lock `k` until told.
fn hold(arguments: &[String]) {
    let store = options().open(Path::new(&arguments[0])).expect("a store");
    let guard = store.lock("k").unwrap().acquire().unwrap();
    say("holding");
    hear();
    drop(guard);
}

fn is_held(store: &Sync) -> bool {
    matches!(store.lock("k").unwrap().state().unwrap(), LockState::Held(_))
}

/// How many wait for locks.
fn waiting(store: &Sync) -> usize {
    store.locks("").unwrap().iter().map(|lock| lock.waiters.len()).sum()
}

/// Readable, or not within the time.
fn is_readable(descriptor: &impl std::os::fd::AsFd, time: Duration) -> bool {
    let mut polled =
        libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(&descriptor.as_fd()), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor that outlives the call.
    unsafe { libc::poll(&mut polled, 1, time.as_millis() as i32) == 1 }
}

#[test]
fn a_descriptor_tells_when_the_lock_is_there() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "hold", &[]);
    child.expect("holding");
    let lock = store.lock("k").unwrap();
    let ready = lock.notify_fd().unwrap();
    until("it waits aside", || waiting(&store) == 1);
    assert!(!is_readable(&ready, Duration::from_millis(50)));
    assert!(lock.try_acquire().unwrap().is_none());
    child.tell("release");
    assert!(is_readable(&ready, LONG));
    let guard = lock.try_acquire().unwrap().expect("the lock");
    assert!(guard.is_held().unwrap() && !is_readable(&ready, Duration::ZERO));
    drop(guard);
    // What was granted and nobody took is given back with the handle.
    let ready = lock.notify_fd().unwrap();
    assert!(is_readable(&ready, LONG) && is_held(&store));
    drop(lock);
    drop(store.lock("k").unwrap().acquire_timeout(LONG).unwrap());
    // A handle that is dropped while it waits leaves the queue.
    let guard = store.lock("k").unwrap().acquire().unwrap();
    let lock = store.lock("k").unwrap();
    let ready = lock.notify_fd().unwrap();
    until("it waits aside", || waiting(&store) == 1);
    drop(lock);
    until("it leaves", || waiting(&store) == 0);
    assert!(!is_readable(&ready, Duration::ZERO));
    drop(guard);
    let group = store.leader("g").unwrap();
    assert!(is_readable(&group.notify_fd("me").unwrap(), LONG));
    assert_eq!(group.elect("me").unwrap().id(), "me");
    assert_eq!(store.locks("").unwrap(), []);
}

#[test]
fn a_descriptor_tells_of_changes() {
    let place = Place::new();
    let store = place.open();
    store.set("a", &1).unwrap();
    for is_prefix in [false, true] {
        let mut watch = if is_prefix { store.watch_prefix("") } else { store.watch("a") }.unwrap();
        let ready = watch.notify_fd().unwrap();
        assert!(is_readable(&ready, LONG));
        let first = watch.next_timeout(Duration::ZERO).unwrap().expect("the state");
        assert!(first.initial && !is_readable(&ready, Duration::from_millis(20)));
        assert_eq!(watch.next_timeout(Duration::from_millis(5)).unwrap(), None);
        for value in 2..50 {
            store.set("a", &value).unwrap();
        }
        // Coalesced: the last one comes, and most in between do not.
        let mut told = vec![];
        while told.last() != Some(&49) {
            assert!(is_readable(&ready, LONG), "after {told:?}");
            told.push(watch.next_timeout(Duration::ZERO).unwrap().expect("a change").value::<i64>().unwrap().unwrap());
        }
        assert!(told.is_sorted() && told.len() < 48, "{told:?}");
        watch.stop_handle().stop();
        assert!(is_readable(&ready, LONG));
        assert!(watch.next().is_none());
        store.set("a", &1).unwrap();
    }
    let watch_dropped = store.watch("a").unwrap().notify_fd().unwrap();
    drop(watch_dropped);
    let mut watch = store.watch("a").unwrap();
    let ready = watch.notify_fd().unwrap();
    store.destroy().unwrap();
    assert!(is_readable(&ready, LONG));
    let kinds: Vec<_> = watch.by_ref().map(|change| change.map(drop).map_err(|error| error.kind())).collect();
    assert_eq!(kinds.last(), Some(&Err(ErrorKind::Gone)), "{kinds:?}");
}

/// The descriptors that this process has, and what they are.
fn descriptors() -> std::collections::BTreeMap<String, std::path::PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("what the system knows of this process").flatten();
    let known = entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, std::fs::read_link(entry.path()).ok()?)));
    // Without the folder that is being listed.
    known.filter(|(_, what)| !what.starts_with("/proc")).collect()
}

/// Opens the store, and says which descriptors are new.
fn list_descriptors(arguments: &[String]) {
    let before = descriptors();
    let store = options().open(Path::new(&arguments[0])).expect("a store");
    store.set("k", &1).unwrap();
    let _held = store.lock("k").unwrap().acquire().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let new = descriptors().into_iter().filter(|descriptor| !before.contains_key(&descriptor.0));
    say(new.map(|(_, what)| what.display().to_string()).collect::<Vec<_>>().join(" "));
    hear();
}

/// Closing some kinds of descriptors (inotify) takes the kernel up to 25 ms, which every process would pay at its end.
#[test]
fn a_store_has_no_descriptors_but_of_its_file() {
    let place = Place::new();
    let mut child = Child::on(&place, "list_descriptors", &[]);
    let answer = child.answer().expect("an answer");
    let new: Vec<&str> = answer.split(' ').collect();
    let path = place.path().to_str().unwrap().to_owned();
    assert!(!new.is_empty() && new.iter().all(|what| *what == path), "{new:?}");
    child.tell("end");
}
