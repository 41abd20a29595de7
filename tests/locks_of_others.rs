//! Locks that outlive or follow processes: carried on by a child, held for another process.
#![cfg(target_os = "linux")]

mod common;

use std::{path::Path, thread, time::Duration};

use common::{Child, LONG, Place, assert_kind, fork, hear, options, say, until};
use shmsync::{ErrorKind, LockState, Sync, Token};

roles!(wrap, idle);

fn is_held(store: &Sync) -> bool {
    matches!(store.lock("k").unwrap().state().unwrap(), LockState::Held(_))
}

/// How many wait for locks.
fn waiting(store: &Sync) -> usize {
    store.locks("").unwrap().iter().map(|lock| lock.waiters.len()).sum()
}

/// Attack 11: the wrapper is killed, its child carries on; when the child ends too, the next has it.
#[test]
fn a_child_carries_the_lock_of_a_killed_wrapper() {
    let place = Place::new();
    let store = place.open();
    let mut wrapper = Child::on(&place, "wrap", &[]);
    let pid: i32 = wrapper.answer().expect("a child").parse().unwrap();
    wrapper.kill();
    let lock = store.lock("k").unwrap();
    assert_kind(lock.acquire_timeout(Duration::from_millis(300)), ErrorKind::Timeout, "the wrapper");
    assert!(is_held(&store));
    // Whoever comes new must not get the wrapper's place.
    (0..3).for_each(|_| fork(|| assert!(store.lock("other").unwrap().acquire().unwrap().is_held().unwrap())).finish());
    assert!(is_held(&store));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.acquire_timeout(LONG).unwrap().previous_owner_died());
        until("somebody waits", || waiting(&store) == 1);
        // SAFETY: the process was started by our own child, and ends only by this.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
        assert!(waiter.join().unwrap());
    });
}

/// Takes the lock and starts a program that carries it on.
#[allow(clippy::zombie_processes, reason = "it is to outlive this process; the test ends it")]
fn wrap(arguments: &[String]) {
    let store = options().label("the wrapper").open(Path::new(&arguments[0])).expect("a store");
    let guard = store.lock("k").unwrap().acquire().unwrap();
    let carried = guard.inheritable().unwrap();
    let child = std::process::Command::new("sleep")
        .arg("300")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(carried);
    say(child.id());
    if hear() == "release" {
        assert!(guard.release().unwrap());
        say("released");
        hear();
    }
}

/// Decision 21: while the wrapper lives, it decides.
#[test]
fn a_wrapper_releases_though_a_daemon_keeps_the_descriptor() {
    let place = Place::new();
    let store = place.open();
    let mut wrapper = Child::on(&place, "wrap", &[]);
    let pid: i32 = wrapper.answer().expect("a child").parse().unwrap();
    wrapper.tell("release");
    wrapper.expect("released");
    drop(store.lock("k").unwrap().acquire_timeout(LONG).unwrap());
    wrapper.tell("end");
    wrapper.finish();
    assert!(store.participants().unwrap().iter().all(|who| !who.alive || who.pid == std::process::id()));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// Decision 23: the owner is another process; what it has left is orphaned, and stays until somebody frees it.
#[test]
fn a_lock_held_for_another_process_is_orphaned_by_its_end_but_stays() {
    let place = Place::new();
    let store = place.open();
    let shell = Child::spawn("idle", &[]);
    let owner = shmsync::OwnerProcess::of(shell.pid()).unwrap();
    let lock = store.lock("k").unwrap().forever().on_behalf_of(&owner);
    let token = fork_and_keep(&store, &owner);
    assert!(is_held(&store) && !owner.has_ended());
    assert!(!lock.release_owned(&[shmsync::OwnerProcess::current()]).unwrap());
    shell.kill();
    assert!(owner.has_ended());
    assert!(matches!(lock.state().unwrap(), LockState::Orphaned(who) if who.token == token));
    assert!(lock.try_acquire().unwrap().is_none(), "it stays");
    assert!(lock.release_owned(&[]).unwrap(), "anybody may free it");
    assert_eq!(lock.state().unwrap(), LockState::Free);
    // Where it was to die with its owner, it is free then, and who waits has it.
    let shell = Child::spawn("idle", &[]);
    let owner = shmsync::OwnerProcess::of(shell.pid()).unwrap();
    let token = lock.clone().on_behalf_of(&owner).die_with_owner().acquire().unwrap().keep();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| store.lock("k").unwrap().acquire_timeout(LONG).unwrap());
        until("somebody waits", || waiting(&store) == 1);
        shell.kill();
        let guard = waiter.join().unwrap();
        assert!(guard.previous_owner_died() && guard.token() > token);
    });
    assert_kind(shmsync::OwnerProcess::of(u32::MAX >> 1), ErrorKind::Absent, "no process");
}

fn idle(_: &[String]) {
    hear();
}

/// The lock is taken by a process that has ended when this returns.
fn fork_and_keep(store: &Sync, owner: &shmsync::OwnerProcess) -> Token {
    fork(|| {
        let token = store.lock("k").unwrap().forever().on_behalf_of(owner).acquire().unwrap().keep();
        store.set("token", &token.get()).unwrap();
    })
    .finish();
    Token::new(store.get("token").unwrap().unwrap()).unwrap()
}
