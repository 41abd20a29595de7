//! What `shared_memory` with `raw_sync` does when a process dies or waits with a limit, and what shmsync does then.
//!
//! A peer is no foundation to build on, but something to be measured against. The figures in the README come from here:
//! `cargo run --release -p shmsync-compare --bin deaths`.

use std::{
    fs,
    process::exit,
    thread::sleep,
    time::{Duration, Instant},
};

use raw_sync::{
    Timeout,
    locks::{LockImpl, LockInit, Mutex},
};
use shared_memory::{Shmem, ShmemConf};
use shmsync::Sync;

const ROUNDS: usize = 20;

/// A child that does something and then stays until it is killed.
struct Child(i32);

fn fork(work: impl FnOnce()) -> Child {
    // SAFETY: this program has one thread whenever it forks with `raw_sync`; shmsync supports it anyway.
    match unsafe { libc::fork() } {
        0 => {
            work();
            sleep(Duration::from_secs(60));
            exit(0)
        }
        pid => Child(pid),
    }
}

impl Child {
    fn kill(self) {
        // SAFETY: numbers only; the child is ours and was not waited for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// A block of shared memory with a mutex in it.
fn mutex() -> (Shmem, Box<dyn LockImpl>) {
    let block = ShmemConf::new().size(4096).create().expect("a block");
    // SAFETY: the block is large enough, nobody else uses it yet, and it lives as long as the mutex.
    let (mutex, _) = unsafe { Mutex::new(block.as_ptr(), block.as_ptr().add(1024)) }.expect("a mutex");
    (block, mutex)
}

/// A child takes the mutex and is killed. Can anybody ever take it again?
fn raw_sync_after_a_death() -> usize {
    let is_lost = |_: &usize| {
        let (_block, mutex) = mutex();
        let child = fork(|| std::mem::forget(mutex.lock().expect("a free mutex")));
        sleep(Duration::from_millis(50));
        child.kill();
        // Several tries, because a try may fail for another reason, see below.
        (0..10).all(|_| mutex.try_lock(Timeout::Val(Duration::from_millis(20))).is_err())
    };
    (0..ROUNDS).filter(is_lost).count()
}

/// Somebody holds the mutex. How many tries with a limit give up long before it is over?
fn raw_sync_limits() -> (usize, usize) {
    let (_block, mutex) = mutex();
    let child = fork(|| std::mem::forget(mutex.lock().expect("a free mutex")));
    sleep(Duration::from_millis(50));
    let limit = Duration::from_millis(250);
    let gives_up = |_: &usize| {
        sleep(Duration::from_millis(37)); // so that tries begin anywhere within a second
        let start = Instant::now();
        assert!(mutex.try_lock(Timeout::Val(limit)).is_err());
        start.elapsed() < limit / 2
    };
    let tries = 4 * ROUNDS;
    let early = (0..tries).filter(gives_up).count();
    child.kill();
    (early, tries)
}

/// The creator is gone. Can its block still be opened?
fn shared_memory_without_its_creator() -> bool {
    let block = ShmemConf::new().size(4096).create().expect("a block");
    let name = block.get_os_id().to_owned();
    let other = ShmemConf::new().os_id(&name).open().expect("while the creator has it");
    drop(block);
    let opened = ShmemConf::new().os_id(&name).open().is_ok();
    drop(other);
    opened
}

/// A child counts without pause and is killed. How long does the next one wait, at most, and is the store sound?
fn shmsync_after_a_death(path: &str) -> (usize, Duration) {
    let (mut lost, mut longest) = (0, Duration::ZERO);
    for _ in 0..ROUNDS {
        let child = fork(|| {
            let store = Sync::open(path).expect("the store");
            let counter = store.integer("count");
            while counter.increment(1).is_ok() {}
        });
        sleep(Duration::from_millis(50));
        child.kill();
        let store = Sync::open(path).expect("the store");
        let start = Instant::now();
        let counted = store.integer("count").increment(1);
        longest = longest.max(start.elapsed());
        let sound = store.verify().is_ok_and(|found| found.problems.is_empty());
        lost += usize::from(counted.is_err() || !sound);
    }
    (lost, longest)
}

/// Nanoseconds for each of many calls, alone.
fn cost(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 1_000_000;
    (0..CALLS / 10).for_each(|_| call());
    let start = Instant::now();
    (0..CALLS).for_each(|_| call());
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn main() {
    let lost = raw_sync_after_a_death();
    println!("raw_sync: after its owner was killed the mutex was lost for ever in {lost} of {ROUNDS} rounds");
    let (early, tries) = raw_sync_limits();
    println!("raw_sync: {early} of {tries} tries with a limit of 250 ms failed in less than half of it");
    let opened = shared_memory_without_its_creator();
    println!(
        "shared_memory: after its creator dropped it the block could {}be opened",
        if opened { "" } else { "not " }
    );
    let path = format!("/dev/shm/shmsync-peers-{}", std::process::id());
    let (lost, longest) = shmsync_after_a_death(&path);
    println!(
        "shmsync: after a writer was killed the store was unusable or damaged in {lost} of {ROUNDS} rounds, \
         the next write took at most {longest:.1?}"
    );
    let (_block, mutex) = mutex();
    println!("raw_sync: lock and unlock, alone {:.0} ns", cost(|| drop(mutex.lock().expect("free"))));
    let store = Sync::open(&path).expect("the store");
    let (counter, mut value) = (store.integer("count"), Vec::new());
    println!("shmsync: increment, alone {:.0} ns", cost(|| drop(counter.increment(1))));
    println!("shmsync: read, alone {:.0} ns", cost(|| drop(store.read_encoded("count", &mut value))));
    let _ = fs::remove_file(path);
}
