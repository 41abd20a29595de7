//! What the scenarios share: patience, threads that start together, and short forms of the driver's calls.

use std::{
    fmt,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use super::{Failure, Outcome};
use crate::{
    driver::{Access, Commit, Committed, Driver, Entry, Lifetime, Op, Patience, Range, Revision, Space},
    error::Result,
};

/// Values of users, where most scenarios play.
pub(super) const VALUES: Space = Space::Values;
/// No limit, no gate.
pub(super) const OPEN: Access = Access { limit: None, gate: None };
/// Far longer than anything that works takes; whoever reaches it has failed.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// Long enough to be seen, short enough to be waited for.
pub(super) const SHORT: Duration = Duration::from_millis(60);

/// Patience that ends after that time.
pub(super) fn patience(time: Duration) -> Patience<'static> {
    Patience { deadline: Some(Instant::now() + time), stop: None }
}

/// The value of a key and when it was written.
pub(super) fn read(driver: &dyn Driver, key: &str) -> Result<Option<(Vec<u8>, Revision)>> {
    read_in(driver, VALUES, key)
}

/// The value of a key of a space and when it was written.
pub(super) fn read_in(driver: &dyn Driver, space: Space, key: &str) -> Result<Option<(Vec<u8>, Revision)>> {
    let mut value = b"left over".to_vec();
    Ok(driver.get(&OPEN, space, key, &mut value)?.map(|revision| (value, revision)))
}

/// Only the value of a key.
pub(super) fn value(driver: &dyn Driver, key: &str) -> Result<Option<Vec<u8>>> {
    Ok(read(driver, key)?.map(|(value, _)| value))
}

/// Stores a value for ever.
pub(super) fn put(driver: &dyn Driver, key: &str, value: &[u8]) -> Result<Revision> {
    driver.put(&OPEN, VALUES, key, value, Lifetime::Forever)
}

/// Stores a value for a time.
pub(super) fn put_for(driver: &dyn Driver, key: &str, value: &[u8], time: Duration) -> Result<Revision> {
    driver.put(&OPEN, VALUES, key, value, Lifetime::Ttl(time))
}

/// Removes a key.
pub(super) fn delete(driver: &dyn Driver, key: &str) -> Result<bool> {
    driver.delete(&OPEN, VALUES, key)
}

/// A commit on behalf of nobody in particular.
pub(super) fn commit(driver: &dyn Driver, commit: Commit<'_>) -> Result<Committed> {
    driver.commit(&OPEN, &commit)
}

/// The operation that stores a value for ever.
pub(super) fn storing(value: &[u8]) -> Op<'_> {
    Op::Put { value, lifetime: Lifetime::Forever }
}

/// The live keys of a prefix.
pub(super) fn keys(driver: &dyn Driver, prefix: &str) -> Result<Vec<String>> {
    Ok(names(driver.range(&OPEN, Range::keys(VALUES, prefix))?))
}

/// The keys of entries, in their order.
pub(super) fn names(entries: Vec<Entry>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.key).collect()
}

/// Whether something becomes true within [`LONG`].
pub(super) fn becomes_true(mut what: impl FnMut() -> Outcome<bool>) -> Outcome<bool> {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        if what()? {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(false)
}

/// Runs `work` in so many threads that begin at the same moment; their answers, in the order of their numbers.
pub(super) fn together<T: Send>(threads: usize, work: impl Fn(usize) -> Outcome<T> + Sync) -> Outcome<Vec<T>> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let (work, barrier) = (&work, &barrier);
        let begin = |number| {
            scope.spawn(move || {
                barrier.wait();
                work(number)
            })
        };
        let handles: Vec<_> = (0..threads).map(begin).collect();
        handles.into_iter().map(joined).collect()
    })
}

/// Runs `second` in a thread of its own while `first` runs here.
pub(super) fn meanwhile<A, B: Send>(
    first: impl FnOnce() -> Outcome<A>,
    second: impl FnOnce() -> Outcome<B> + Send,
) -> Outcome<(A, B)> {
    thread::scope(|scope| {
        let other = scope.spawn(second);
        let mine = first();
        let theirs = joined(other)?;
        Ok((mine?, theirs))
    })
}

fn joined<T>(handle: thread::ScopedJoinHandle<'_, Outcome<T>>) -> Outcome<T> {
    handle.join().unwrap_or_else(|panic| Err(Failure::new(panic_text(&*panic))))
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without words"))
}

/// A small random number generator, so that every run of a scenario does the same.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of these.
    pub(super) fn one<T: Copy + fmt::Debug>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
