//! Owners of locks who are hard to tell from the dead, or from each other.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use shmsync::LockState;

use super::common::{Child, LONG, Place, assert_sound, fork, hear, is_root, open, say, until};

/// Attack 13: an owner that writes a core dump is paused, not dead: whoever took its lock meanwhile would change what is just being
/// dumped. It is dead when the dump is done.
#[test]
fn attack_13_an_owner_that_dumps_core_is_alive_until_that_is_done() {
    let place = Place::new();
    let store = place.open();
    let folder = place.path().with_file_name("cores");
    std::fs::create_dir(&folder).unwrap();
    let arguments = [place.path().to_str().unwrap().to_owned(), "k".to_owned()];
    let mut owner = Child::spawn_with("hold_and_abort", &arguments.each_ref().map(String::as_str), |command| {
        command.current_dir(&folder);
    });
    owner.expect("holds");
    let lock = store.lock("k").unwrap();
    owner.tell("abort");
    let (start, pid) = (Instant::now(), owner.pid());
    let (mut dumping, mut kept) = (0, 0);
    while Instant::now() < start + LONG {
        // Before and after: where it dumps all along, it must have held in between.
        let is_dumping = || dumps(pid);
        let before = is_dumping();
        let taken = lock.try_acquire().unwrap();
        if before && is_dumping() {
            dumping += 1;
            kept += usize::from(taken.is_none());
        }
        if let Some(guard) = taken {
            assert!(guard.previous_owner_died());
            break;
        }
    }
    println!("looked at {dumping} times while it dumped, after {:?} it was free", start.elapsed());
    assert_eq!(kept, dumping, "the lock was taken from an owner that still dumps");
    assert_eq!(lock.state().unwrap(), LockState::Free, "nobody got it within {LONG:?}");
    if dumping == 0 {
        println!("skipped: no core was dumped here, or too fast to be seen");
    }
    let status = owner.kill();
    assert!(!status.success());
    assert_sound(&store);
}

/// Whether the kernel says so.
fn dumps(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().eq(["CoreDumping:", "1"]))
}

/// Holds the lock, and aborts when told.
pub fn hold_and_abort(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure outlives the call, which may be refused: then the hard limit stays.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) };
    let ballast = std::hint::black_box(vec![1_u8; 200 << 20]);
    let guard = store.lock(&arguments[1]).unwrap().acquire().unwrap();
    say("holds");
    hear();
    // SAFETY: it takes a number, and ends this process.
    unsafe { libc::raise(libc::SIGABRT) };
    drop((guard, ballast));
}

/// Attack 3: the owner and whoever wants the lock are both process 1, each in a namespace of its own. Nobody is taken for
/// somebody else: neither the living one for dead, nor the dead one for alive.
#[test]
fn attack_3_owners_with_equal_ids_in_two_pid_namespaces_are_told_apart() {
    if !is_root() {
        println!("skipped: only root may make a PID namespace");
        return;
    }
    let place = Place::new();
    let store = place.open();
    for round in 0..10 {
        let mut stays = Child::on(&place, "hold_as_first_process", &["one"]);
        stays.expect("holds as 1");
        let mut goes = Child::on(&place, "hold_as_first_process", &["other"]);
        goes.expect("holds as 1");
        let wants = Child::on(&place, "hold_as_first_process", &["other"]);
        let waits = |name: &str| store.locks(name).unwrap().iter().map(|lock| lock.waiters.len()).sum::<usize>();
        until("the third one waits", || waits("other") == 1);
        let owner = |name: &str| match store.lock(name).unwrap().state().unwrap() {
            LockState::Held(owner) => (owner.pid, owner.token),
            state => panic!("round {round}: {name} is {state:?}"),
        };
        let (one, other) = (owner("one"), owner("other"));
        assert_eq!((one.0, other.0), (1, 1), "both are the first of their namespace");
        // The namespace dies with its first process, which dies with its parent.
        goes.kill();
        until("the third one has it", || owner_token(&store, "other").is_some_and(|token| token > other.1));
        assert_eq!(owner("one"), one, "round {round}: the living one is taken for the dead one");
        assert!(store.lock("one").unwrap().try_acquire().unwrap().is_none());
        drop(wants);
        drop(stays);
        until("both are dead", || ["one", "other"].iter().all(|name| is_free(&store, name)));
    }
    assert_sound(&store);
}

fn owner_token(store: &shmsync::Sync, name: &str) -> Option<shmsync::Token> {
    match store.lock(name).unwrap().state().unwrap() {
        LockState::Held(owner) => Some(owner.token),
        _ => None,
    }
}

fn is_free(store: &shmsync::Sync, name: &str) -> bool {
    store.lock(name).unwrap().try_acquire().unwrap().is_some()
}

/// Becomes the first process of a namespace of its own and holds a lock until it is killed.
pub fn hold_as_first_process(arguments: &[String]) {
    // SAFETY: it takes a number; children of this process are in a new namespace from then on.
    let made = unsafe { libc::unshare(libc::CLONE_NEWPID) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    let (path, name) = (Path::new(&arguments[0]), &arguments[1]);
    let mine = format!("held/{}", std::process::id());
    // Nothing of the store is used before: what is known of the namespace is found out inside.
    let child = fork(|| {
        // SAFETY: it takes numbers. The child dies with its parent.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let store = open(path);
        let guard = store.lock(name).unwrap().acquire().unwrap();
        assert_eq!(std::process::id(), 1);
        store.set(&mine, &guard.token().get()).unwrap();
        loop {
            thread::sleep(Duration::from_secs(60));
        }
    });
    let store = open(path);
    while !store.contains(&mine).unwrap() {
        thread::sleep(Duration::from_millis(1));
    }
    say("holds as 1");
    hear();
    child.kill();
}
