//! A session ends with its process, or when nobody hears of it: then what it held is lost, and everybody knows.

use std::time::{Duration, Instant};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use shmsync::{ChangeKind, ErrorKind, Lifetime, LockState, Removed, Revoked, Sync};

use crate::{
    common::{Child, LONG, fork, hear, say},
    server::Server,
};

/// Holds the lock and answers what it is asked about it.
pub(crate) fn holder(arguments: &[String]) {
    let store = Sync::open(&arguments[0]).unwrap();
    let lock = store.lock("k").unwrap();
    let guard = lock.acquire().unwrap();
    store.set_with("mine", &1, Lifetime::Process).unwrap();
    say(guard.token().to_string());
    assert_eq!(hear(), "held?");
    say(guard.is_held().unwrap().to_string());
    assert!(!guard.release().unwrap());
    let again = lock.acquire().unwrap();
    say(again.token().to_string());
    hear();
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.pid() as i32), signal).unwrap();
}

#[test]
fn a_lock_of_a_killed_process_is_had_by_the_next_who_is_told() {
    let Some(server) = Server::start() else { return };
    let name = server.name("x?session=2s");
    let store = Sync::open(&name).unwrap();
    let mut child = Child::spawn("holder", &[&name]);
    let token: u64 = child.answer().unwrap().parse().unwrap();
    assert!(matches!(store.lock("k").unwrap().state().unwrap(), LockState::Held(_)));
    assert_eq!(store.participants().unwrap().len(), 1);
    assert_eq!(store.get::<i32>("mine").unwrap(), Some(1));
    signal(&child, Signal::SIGKILL);
    let guard = store.lock("k").unwrap().acquire_timeout(LONG).unwrap();
    assert!(guard.previous_owner_died() && guard.token().get() > token);
    assert_eq!(store.get::<i32>("mine").unwrap(), None);
}

#[test]
fn a_process_that_stood_still_for_longer_than_its_session_holds_nothing() {
    let Some(server) = Server::start() else { return };
    let name = server.name("x?session=2s");
    let store = Sync::open(&name).unwrap();
    let mut child = Child::spawn("holder", &[&name]);
    let token: u64 = child.answer().unwrap().parse().unwrap();
    signal(&child, Signal::SIGSTOP);
    let guard = store.lock("k").unwrap().acquire_timeout(LONG).unwrap();
    assert!(guard.previous_owner_died());
    signal(&child, Signal::SIGCONT);
    child.tell("held?");
    assert_eq!(child.answer().as_deref(), Some("false"));
    assert!(guard.is_held().unwrap(), "who came back took it away");
    let mine = guard.token().get();
    assert!(guard.release().unwrap());
    let again: u64 = child.answer().unwrap().parse().unwrap();
    assert!(token < mine && mine < again);
}

#[test]
fn who_is_cut_off_for_longer_than_its_session_has_lost_all_it_held() {
    let Some(server) = Server::start() else { return };
    let store = Sync::open(server.name("x?session=2s&timeout=1s")).unwrap();
    let guard = store.lock("k").unwrap().acquire().unwrap();
    let leadership = store.leader("g").unwrap().elect("a").unwrap();
    let limited = store.leader("h").unwrap().ttl(Duration::from_secs(1)).elect("a").unwrap();
    let before = store.participants().unwrap();
    assert!(guard.is_held().unwrap() && !leadership.is_revoked() && !limited.is_revoked());
    server.pause();
    let begun = Instant::now();
    assert_eq!(limited.wait_revoked(Some(LONG)).unwrap(), Some(Revoked::Expired));
    assert_eq!(leadership.wait_revoked(Some(LONG)).unwrap(), Some(Revoked::Expired));
    assert!(begun.elapsed() < LONG / 4, "told after {:?}", begun.elapsed());
    assert!(leadership.is_revoked() && !guard.is_held().unwrap());
    assert_eq!(store.get::<i32>("k").unwrap_err().kind(), ErrorKind::Unreachable);
    server.resume();
    // Somebody else has it next; who lost it is another participant from now on.
    let other = Sync::open(server.name("x?session=2s")).unwrap();
    let next = other.lock("k").unwrap().acquire_timeout(LONG).unwrap();
    assert!(next.previous_owner_died() && next.token() > guard.token());
    assert!(!guard.release().unwrap() && next.is_held().unwrap());
    let again = store.lock("other").unwrap().acquire().unwrap();
    assert!(again.is_held().unwrap());
    let after = store.participants().unwrap();
    assert!(before.iter().all(|old| after.iter().all(|new| new.id != old.id)), "{before:?} {after:?}");
}

#[test]
fn a_forked_child_is_another_participant() {
    let Some(server) = Server::start() else { return };
    let store = Sync::open(server.name("x?session=2s")).unwrap();
    store.set("k", &1).unwrap();
    let guard = store.lock("k").unwrap().acquire().unwrap();
    let child = fork(|| {
        assert_eq!(store.get::<i32>("k").unwrap(), Some(1));
        assert_eq!(guard.is_held().unwrap_err().kind(), ErrorKind::NotOwner);
        assert!(store.lock("k").unwrap().try_acquire().unwrap().is_none());
        let mine = store.lock("mine").unwrap().acquire().unwrap();
        store.set("child", &mine.token().get()).unwrap();
        assert_eq!(store.participants().unwrap().len(), 2);
    });
    child.finish();
    assert!(store.get::<u64>("child").unwrap() > Some(0) && guard.is_held().unwrap());
    // It is killed with all it held.
    drop(store.lock("mine").unwrap().acquire_timeout(LONG).unwrap());
    assert!(guard.release().unwrap());
}

#[test]
fn a_handle_that_is_dropped_leaves_at_once() {
    let Some(server) = Server::start() else { return };
    let name = server.name("x?session=3600s");
    let (store, other) = (Sync::open(&name).unwrap(), Sync::open(&name).unwrap());
    store.set_with("mine", &1, Lifetime::Process).unwrap();
    let mut watch = other.watch("mine").unwrap();
    assert!(watch.next_timeout(LONG).unwrap().unwrap().initial);
    store.close().unwrap();
    let end = watch.next_timeout(LONG).unwrap().expect("an end");
    assert_eq!(end.kind, ChangeKind::Removed(Removed::OwnerDied));
}
