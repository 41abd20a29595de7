use std::{process::Command, sync::atomic::Ordering::SeqCst, time::Duration};

use super::*;
use crate::sys::{
    futex::{self, Wake},
    testing::{Child, SharedWords},
};

const WORD: usize = 7;
const READY: usize = 0;
const LONG: Duration = Duration::from_secs(60);

/// Registers the word on this thread and owns it, as a participant does.
fn own(words: &SharedWords) -> RobustList {
    let list = RobustList::new().unwrap();
    // SAFETY: the page of the words outlives this thread in every test here.
    unsafe { list.register(words.word(WORD).as_ptr()) };
    words.word(WORD).store(thread_id() | WAITERS, SeqCst);
    words.word(READY).store(1, SeqCst);
    list
}

/// Sleeps until the owner dies, while `end` is done to it, and says what is in the word then.
fn after(words: &SharedWords, end: impl FnOnce()) -> u32 {
    words.until(READY, 1);
    let owned = words.word(WORD).load(SeqCst);
    assert_ne!(owned & TID_MASK, 0);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| futex::wait(words.word(WORD).as_ptr(), owned, LONG));
        std::thread::sleep(Duration::from_millis(20));
        end();
        assert_eq!(sleeper.join().unwrap(), Wake::Woken);
    });
    words.word(WORD).load(SeqCst)
}

#[test]
fn a_killed_owner_is_marked_and_its_sleeper_woken() {
    let words = SharedWords::new();
    let mut child = Child::fork_and_sleep(|| std::mem::forget(own(&words)));
    assert_eq!(after(&words, || child.kill()), WAITERS | OWNER_DIED);
}

#[test]
fn the_death_of_a_process_ends_the_thread_that_stands_for_it() {
    let words = SharedWords::new();
    let mut child = Child::fork_and_sleep(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::mem::forget(own(&words));
                std::thread::sleep(LONG);
            });
        });
    });
    assert_eq!(after(&words, || child.kill()), WAITERS | OWNER_DIED);
}

#[test]
fn exec_is_a_death() {
    let words = SharedWords::new();
    let mut child = Child::fork(|| {
        std::mem::forget(own(&words));
        words.until(READY, 2);
        let error = std::os::unix::process::CommandExt::exec(Command::new("/bin/sleep").arg("60"));
        panic!("{error}");
    });
    assert_eq!(after(&words, || words.word(READY).store(2, SeqCst)), WAITERS | OWNER_DIED);
    child.kill();
}

#[test]
fn a_stopped_owner_is_not_marked() {
    let words = SharedWords::new();
    let child = Child::fork_and_sleep(|| std::mem::forget(own(&words)));
    words.until(READY, 1);
    let owned = words.word(WORD).load(SeqCst);
    child.signal(nix::sys::signal::Signal::SIGSTOP);
    assert_eq!(futex::wait(words.word(WORD).as_ptr(), owned, Duration::from_millis(50)), Wake::TimedOut);
    assert_eq!(words.word(WORD).load(SeqCst), owned);
}

#[test]
fn a_thread_that_ended_in_order_marks_nothing() {
    let words = SharedWords::new();
    std::thread::scope(|scope| scope.spawn(|| drop(own(&words))).join().unwrap());
    assert_eq!(words.word(WORD).load(SeqCst) & OWNER_DIED, 0);
    std::thread::scope(|scope| {
        let unregistered = scope.spawn(|| {
            let list = own(&words);
            list.unregister();
            std::mem::forget(list);
        });
        unregistered.join().unwrap();
    });
    assert_eq!(words.word(WORD).load(SeqCst) & OWNER_DIED, 0);
}

#[test]
fn a_word_that_names_another_thread_is_left_alone() {
    let words = SharedWords::new();
    let mut child = Child::fork_and_sleep(|| {
        std::mem::forget(own(&words));
        words.word(WORD).store((thread_id() + 1) | WAITERS, SeqCst);
        words.word(READY).store(2, SeqCst);
    });
    words.until(READY, 2);
    child.kill();
    assert_eq!(words.word(WORD).load(SeqCst) & OWNER_DIED, 0);
}

#[test]
fn the_list_of_the_c_library_is_in_force_again_afterwards() {
    let before = current().unwrap();
    let list = RobustList::new().unwrap();
    assert_ne!(current().unwrap(), before);
    drop(list);
    assert_eq!(current().unwrap(), before);
}

#[test]
fn attack_1_the_mark_comes_even_when_the_dying_memory_was_taken_first() {
    let words = SharedWords::new();
    // In a process of its own, because it ties itself to one processor.
    Child::fork(|| {
        stay_on_this_processor();
        let child = Child::fork_and_sleep(|| {
            run_only_when_nobody_else_does();
            std::mem::forget(own(&words));
        });
        words.until(READY, 1);
        // SAFETY: takes numbers; the child is alive.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.pid(), 0) };
        child.signal(nix::sys::signal::Signal::SIGKILL);
        // SAFETY: takes numbers. What it frees belongs to the dying child.
        unsafe { libc::syscall(libc::SYS_process_mrelease, pidfd, 0) };
        words.until(WORD, WAITERS | OWNER_DIED);
        0
    })
    .succeeds();
}

fn stay_on_this_processor() {
    // SAFETY: the kernel reads one set that is alive; thread 0 is the caller.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

fn run_only_when_nobody_else_does() {
    // SAFETY: zeroes are a parameter of no priority; the kernel reads it while it is alive. Thread 0 is the caller.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &std::mem::zeroed()) };
}
