//! Which process this is, and which of its threads, for the price of a load: a forked child is another one.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// Nobody forks deeper without `exec`; who does is told apart by its process id.
const GENERATIONS: usize = 16;

/// One for each generation of forks: what a child inherits is wiped, so it makes the next.
static MARKS: [OnceLock<(Witness, u64)>; GENERATIONS] = [const { OnceLock::new() }; GENERATIONS];

/// A number that this process has and no other: neither its parent nor a child made by fork.
#[inline]
pub(crate) fn incarnation() -> u64 {
    match MARKS[0].get() {
        Some((witness, number)) if witness.is_of_this_process() => *number,
        _ => incarnation_of_child(),
    }
}

/// The same in a forked child, and where nobody has asked before.
#[cold]
fn incarnation_of_child() -> u64 {
    for mark in &MARKS {
        if mark.get().is_none() {
            let _ = mark.set((Witness::new(), fresh()));
        }
        match mark.get() {
            Some((witness, number)) if witness.is_of_this_process() => return *number,
            _ => {}
        }
    }
    u64::from(std::process::id())
}

/// A number that the calling thread has and no other thread of any process; never zero.
#[inline]
pub(crate) fn thread_number() -> u64 {
    let current = incarnation();
    // A thread that ends may ask from a destructor: then it is nobody's again.
    let known = NUMBER.try_with(Cell::get).unwrap_or((0, 0));
    if known.0 == current && known.1 != 0 { known.1 } else { new_thread_number(current) }
}

thread_local!(static NUMBER: Cell<(u64, u64)> = const { Cell::new((0, 0)) });

#[cold]
fn new_thread_number(current: u64) -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let number = mixed(current ^ COUNT.fetch_add(1, Relaxed).rotate_left(40)).max(1);
    let _ = NUMBER.try_with(|cell| cell.set((current, number)));
    number
}

fn fresh() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    // A child inherits the seeds of its parent's hashers, but not its id, and not its time.
    hasher.write_u32(std::process::id());
    hasher.write_u128(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos()));
    hasher.finish().max(1)
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Tells the process that made it from its children.
enum Witness {
    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
    Page(crate::sys::wipe_page::WipePage),
    Id(u32),
}

impl Witness {
    fn new() -> Self {
        #[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
        if let Ok(page) = crate::sys::wipe_page::WipePage::new() {
            return Self::Page(page);
        }
        Self::Id(std::process::id())
    }

    #[inline]
    fn is_of_this_process(&self) -> bool {
        match self {
            #[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
            Self::Page(page) => page.is_parent(),
            Self::Id(id) => *id == std::process::id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_numbers_of_their_own_and_keep_them() {
        let (mine, again) = (thread_number(), thread_number());
        let other = std::thread::spawn(thread_number).join().unwrap();
        assert!(mine == again && mine != other && mine != 0 && other != 0);
        assert_eq!(incarnation(), std::thread::spawn(incarnation).join().unwrap());
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
    #[test]
    fn a_forked_child_is_another_process_with_another_thread() {
        use crate::sys::testing::Child;
        let mine = (incarnation(), thread_number());
        let differs = move || i32::from(incarnation() == mine.0 || thread_number() == mine.1);
        Child::fork(move || differs() + Child::fork(differs).exit_code().unwrap_or(1)).succeeds();
        assert_eq!((incarnation(), thread_number()), mine);
    }
}
