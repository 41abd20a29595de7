use std::{sync::atomic::Ordering::SeqCst, time::Instant};

use super::*;
use crate::sys::testing::{Child, SharedWords};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

/// Sleeps on words 0 and 1 in the way given, and is woken at word `index`.
fn woken_at(index: usize, sleep: impl Fn(&[Word]) -> Wake + core::marker::Sync) -> Wake {
    let words = SharedWords::new();
    let both = [0, 1].map(|index| (words.word(index).as_ptr() as usize, 0));
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| sleep(&both.map(|(word, expected)| Word::shared(word as *const u32, expected))));
        std::thread::sleep(SHORT);
        words.word(index).store(1, SeqCst);
        while wake(words.word(index).as_ptr(), 1) == 0 && !sleeper.is_finished() {
            std::thread::yield_now();
        }
        sleeper.join().unwrap()
    })
}

#[test]
fn a_sleeper_in_another_process_is_woken() {
    let words = SharedWords::new();
    let child = Child::fork(|| i32::from(wait(words.word(3).as_ptr(), 0, LONG) != Wake::Woken));
    crate::sys::testing::eventually(|| wake(words.word(3).as_ptr(), 1) == 1);
    child.succeeds();
}

#[test]
fn a_changed_word_is_not_slept_on_and_time_runs_out() {
    let words = SharedWords::new();
    let word = words.word(0).as_ptr();
    assert_eq!(wait(word, 1, LONG), Wake::Changed);
    assert_eq!(wait(word, 0, SHORT), Wake::TimedOut);
    let second = words.word(1).as_ptr();
    assert_eq!(wait_any(&[Word::shared(word, 0), Word::shared(second, 1)], LONG, LONG), Wake::Changed);
    assert_eq!(wait_any(&[Word::shared(word, 0), Word::shared(second, 0)], SHORT, SHORT), Wake::TimedOut);
}

#[test]
fn any_of_several_words_wakes() {
    if has_wait_any() {
        assert_eq!(woken_at(0, |words| wait_any(words, LONG, SHORT)), Wake::Woken);
        assert_eq!(woken_at(1, |words| wait_any(words, LONG, SHORT)), Wake::Woken);
    }
}

#[test]
fn a_private_word_is_woken_as_a_private_one() {
    let word = std::sync::atomic::AtomicU32::new(0);
    let address = word.as_ptr() as usize;
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(move || wait_any(&[Word::private(address as *const u32, 0)], LONG, LONG));
        std::thread::sleep(SHORT);
        assert_eq!(wake(word.as_ptr(), 1), 0);
        crate::sys::testing::eventually(|| wake_private(word.as_ptr(), 1) == 1);
        assert_eq!(sleeper.join().unwrap(), Wake::Woken);
    });
}

#[test]
fn without_the_call_the_first_word_wakes_and_the_others_are_found_changed() {
    let fallback = |words: &[Word]| wait_first_word(words, LONG);
    assert_eq!(woken_at(0, fallback), Wake::Woken);
    let words = SharedWords::new();
    let [first, second] = [words.word(0).as_ptr(), words.word(1).as_ptr()];
    assert_eq!(fallback(&[Word::shared(first, 0), Word::shared(second, 1)]), Wake::Changed);
    assert_eq!(wait_first_word(&[Word::shared(first, 0), Word::shared(second, 0)], SHORT), Wake::TimedOut);
    assert_eq!(wait_first_word(&[], SHORT), Wake::TimedOut);
}

#[test]
fn a_sandbox_that_forbids_the_call_only_makes_it_slower() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        for known in [UNKNOWN, PRESENT] {
            Child::fork(|| {
                WAIT_ANY.store(known, SeqCst);
                forbid_wait_any(errno);
                let words = SharedWords::new();
                let started = Instant::now();
                let both = [0, 1].map(|index| Word::shared(words.word(index).as_ptr(), 0));
                assert_eq!(wait_any(&both, LONG, SHORT), Wake::TimedOut);
                assert!(started.elapsed() >= SHORT && started.elapsed() < LONG / 2);
                i32::from(has_wait_any())
            })
            .succeeds();
        }
    }
}

#[test]
fn a_wrong_address_is_refused_and_does_not_spin() {
    let started = Instant::now();
    assert_eq!(wait(4096 as *const u32, 0, LONG), Wake::Interrupted);
    assert_eq!(wait(ptr::without_provenance(4097), 0, LONG), Wake::Interrupted);
    assert!(started.elapsed() >= Duration::from_millis(2));
    assert_eq!(wake(4096 as *const u32, 1), 0);
}

#[test]
fn a_read_only_mapping_can_be_waited_on() {
    let world = crate::sys::testing::World::new();
    world.file.set_len(4096).unwrap();
    let reader = crate::sys::mapping::Mapping::new(&world.file, 4096, true).unwrap();
    let writer = crate::sys::mapping::Mapping::new(&world.file, 4096, false).unwrap();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let word = [Word::shared(reader.base().cast(), 0)];
            (wait(reader.base().cast(), 0, LONG), wait_any(&word, LONG, LONG))
        });
        for _ in 0..2 {
            crate::sys::testing::eventually(|| wake(writer.base().cast(), 1) == 1);
        }
        assert_eq!(sleeper.join().unwrap(), (Wake::Woken, Wake::Woken));
    });
}

/// A seccomp filter that answers `futex_waitv` with an error.
fn forbid_wait_any(errno: i32) {
    let statement =
        |code: u32, jump_if_not: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: jump_if_not, k };
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_futex_waitv as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program lies on this stack, and the kernel copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
