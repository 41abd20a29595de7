use std::{
    collections::VecDeque,
    process::Command,
    sync::{Mutex, PoisonError},
};

use super::*;
use crate::sys::{
    byte_lock::{is_locked, try_lock},
    file::reopen,
    testing::{Child, SharedWords, World, eventually},
};

fn open(world: &World) -> ParentFd {
    ParentFd::open(|| Ok(reopen(&world.file, false)?.into())).unwrap()
}

/// Leaves others a moment in which the descriptor is open and not yet remembered.
fn open_slowly(world: &World) -> ParentFd {
    ParentFd::open(|| {
        let file = reopen(&world.file, false)?;
        std::thread::sleep(Duration::from_micros(300));
        Ok(file.into())
    })
    .unwrap()
}

#[test]
fn a_child_lets_its_parents_byte_go() {
    let world = World::new();
    let holder = open(&world);
    assert!(try_lock(holder.get().unwrap(), 4).unwrap());
    let _child = Child::fork_and_sleep(|| ());
    assert!(is_locked(&world.file, 4, 1).unwrap());
    drop(holder);
    // The parent may be faster than the child's handler.
    eventually(|| !is_locked(&world.file, 4, 1).unwrap());
}

#[test]
fn in_a_child_nothing_is_closed_twice() {
    let world = World::new();
    let holder = open(&world);
    Child::fork(|| {
        assert!(holder.get().is_none());
        // The same number is given to another, as soon as those below it are taken: tests beside this one had some too.
        let mut newcomers = vec![open(&world)];
        while newcomers.last().unwrap().fd != holder.fd {
            assert!(newcomers.len() < 100, "no newcomer gets the number");
            newcomers.push(open(&world));
        }
        drop(holder);
        i32::from(newcomers.last().unwrap().get().unwrap().try_clone_to_owned().is_err())
    })
    .succeeds();
}

#[test]
fn a_duplicate_is_inherited_with_its_locks_over_exec() {
    let world = World::new();
    let holder = open(&world);
    assert!(try_lock(holder.get().unwrap(), 4).unwrap());
    let carried = holder.inheritable().unwrap();
    let mut heir = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    drop((carried, holder));
    assert!(is_locked(&world.file, 4, 1).unwrap());
    heir.kill().unwrap();
    heir.wait().unwrap();
    eventually(|| !is_locked(&world.file, 4, 1).unwrap());
}

#[test]
fn a_full_table_only_means_that_children_keep_it() {
    let world = World::new();
    Child::fork(|| {
        let all: Vec<_> = (0..SLOTS).map(|_| open(&world)).collect();
        assert!(all.iter().all(ParentFd::is_remembered));
        let one_more = open(&world);
        assert!(!one_more.is_remembered() && one_more.get().is_some());
        drop(all);
        i32::from(!open(&world).is_remembered())
    })
    .succeeds();
}

#[test]
fn a_fork_while_a_descriptor_is_opened_does_not_carry_its_lock_away() {
    let world = World::new();
    // In a process of its own: only its forks count.
    Child::fork(|| {
        let no_fork = Mutex::new(());
        let carried = std::thread::scope(|scope| {
            let forker = scope.spawn(|| fork_often(&no_fork));
            let carried = (0..50).filter(|_| is_carried_away(&world, &no_fork)).count();
            assert!(!forker.is_finished());
            STOP.store(true, Relaxed);
            carried
        });
        carried as i32
    })
    .succeeds();
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Forks without regard to others, except to who holds the mutex, and keeps the latest children alive.
fn fork_often(no_fork: &Mutex<()>) {
    let (words, mut children) = (SharedWords::new(), VecDeque::new());
    while !STOP.load(Relaxed) {
        let guard = no_fork.lock().unwrap_or_else(PoisonError::into_inner);
        words.word(0).store(0, Relaxed);
        children.push_back(Child::fork_and_sleep(|| words.word(0).store(1, SeqCst)));
        words.until(0, 1);
        drop(guard);
        children.drain(..children.len().saturating_sub(20));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether any child still holds the byte after its holder is gone.
fn is_carried_away(world: &World, no_fork: &Mutex<()>) -> bool {
    let holder = open_slowly(world);
    let is_free = try_lock(holder.get().unwrap(), 4).unwrap();
    let _guard = no_fork.lock().unwrap_or_else(PoisonError::into_inner);
    drop(holder);
    !is_free || is_locked(&world.file, 4, 1).unwrap()
}
