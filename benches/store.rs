//! What a call costs: on shared memory, on `memory:`, and beside what people use instead.
//!
//! `cargo bench -- get` runs only those whose name has that. Times are of one caller, alone: the cost of the
//! code, not of contention. Compare lines with each other, not with those of another machine.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    sync::Mutex,
    time::Duration,
};

use divan::{Bencher, black_box};
use nix::fcntl::{Flock, FlockArg};
use shmsync::Sync;
use tempfile::TempDir;

fn main() {
    divan::Divan::default().sample_count(50).max_time(Duration::from_secs(1)).config_with_args().main();
}

const DRIVERS: [&str; 2] = ["shm", "memory"];
const SIZES: [u32; 2] = [1_000, 100_000];
const VALUE: &[u8] = &[7; 64];

/// A store of its own, and the folder that goes with it.
struct Subject {
    store: Sync,
    _folder: Option<TempDir>,
}

impl Subject {
    fn new(driver: &str) -> Self {
        if driver == "memory" {
            return Self { store: Sync::open("memory:").expect("memory"), _folder: None };
        }
        let folder = tempfile::Builder::new().prefix("shmsync-bench-").tempdir_in("/dev/shm").expect("a folder");
        let store = Sync::options().capacity(1 << 30).open(folder.path().join("store")).expect("a store");
        Self { store, _folder: Some(folder) }
    }

    fn with_keys(driver: &str, count: u32) -> Self {
        let subject = Self::new(driver);
        for key in keys(count) {
            subject.store.set_bytes(&key, VALUE).expect("room");
        }
        subject
    }
}

fn keys(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("key/{number:08}"))
}

/// Keys in no order, always the same ones.
struct Dice {
    keys: Vec<String>,
    at: usize,
}

impl Dice {
    fn new(count: u32) -> Self {
        Self { keys: keys(count).collect(), at: 0 }
    }

    fn roll(&mut self) -> &str {
        self.at = (self.at + 7_919) % self.keys.len();
        &self.keys[self.at]
    }
}

fn subjects() -> impl Iterator<Item = (&'static str, u32)> {
    DRIVERS.into_iter().flat_map(|driver| SIZES.map(|size| (driver, size)))
}

#[divan::bench(args = subjects().map(|(driver, size)| format!("{driver} {size}")), sample_size = 1_000)]
fn get_64_bytes(bencher: Bencher<'_, '_>, subject: &str) {
    let (driver, size) = parse(subject);
    let (subject, mut dice, mut value) = (Subject::with_keys(driver, size), Dice::new(size), Vec::new());
    bencher.bench_local(|| subject.store.read_encoded(dice.roll(), &mut value).expect("there").is_some());
}

#[divan::bench(args = subjects().map(|(driver, size)| format!("{driver} {size}")), sample_size = 1_000)]
fn set_64_bytes(bencher: Bencher<'_, '_>, subject: &str) {
    let (driver, size) = parse(subject);
    let (subject, mut dice) = (Subject::with_keys(driver, size), Dice::new(size));
    bencher.bench_local(|| subject.store.set_bytes(dice.roll(), VALUE).expect("room"));
}

fn parse(subject: &str) -> (&str, u32) {
    let (driver, size) = subject.split_once(' ').expect("two words");
    (driver, size.parse().expect("a number"))
}

#[divan::bench(args = DRIVERS, sample_size = 1_000)]
fn get_typed(bencher: Bencher<'_, '_>, driver: &str) {
    let subject = Subject::new(driver);
    subject.store.set("point", &(1.5, 2.5)).expect("room");
    bencher.bench_local(|| subject.store.get::<(f64, f64)>(black_box("point")).expect("there"));
}

#[divan::bench(args = DRIVERS, sample_size = 1_000)]
fn increment(bencher: Bencher<'_, '_>, driver: &str) {
    let subject = Subject::new(driver);
    let counter = subject.store.integer("counter");
    bencher.bench_local(|| counter.increment(1).expect("a number"));
}

#[divan::bench(args = DRIVERS, sample_size = 1_000)]
fn transaction_of_two_keys(bencher: Bencher<'_, '_>, driver: &str) {
    let subject = Subject::new(driver);
    bencher.bench_local(|| {
        let moved = subject.store.transaction(|tx| {
            tx.increment("from", -1)?;
            tx.increment("to", 1)
        });
        moved.expect("done")
    });
}

#[divan::bench(args = DRIVERS)]
fn keys_of_1_000(bencher: Bencher<'_, '_>, driver: &str) {
    let subject = Subject::with_keys(driver, 1_000);
    bencher.bench_local(|| subject.store.keys("key/").expect("a list").count());
}

#[divan::bench(args = DRIVERS)]
fn read_all_of_1_000(bencher: Bencher<'_, '_>, driver: &str) {
    let subject = Subject::with_keys(driver, 1_000);
    bencher.bench_local(|| subject.store.read_all::<shmsync::Value>("key/").expect("a copy").len());
}

/// A map in one process, which no other sees.
#[divan::bench(args = SIZES, sample_size = 1_000)]
fn beside_get_of_a_mutex_and_hash_map(bencher: Bencher<'_, '_>, size: u32) {
    let map: Mutex<HashMap<String, Vec<u8>>> = Mutex::new(keys(size).map(|key| (key, VALUE.to_vec())).collect());
    let (mut dice, mut value) = (Dice::new(size), Vec::new());
    bencher.bench_local(|| {
        value.clear();
        value.extend_from_slice(&map.lock().expect("not poisoned")[dice.roll()]);
    });
}

/// A counter in a file under flock(2), as scripts and PHP programs have it.
#[divan::bench(sample_size = 100)]
fn beside_increment_of_a_file_under_flock(bencher: Bencher<'_, '_>) {
    let folder = tempfile::Builder::new().prefix("shmsync-bench-").tempdir_in("/dev/shm").expect("a folder");
    let path = folder.path().join("counter");
    bencher.bench_local(|| {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).expect("a file");
        let mut file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).expect("the lock");
        let mut text = String::new();
        File::read_to_string(&mut file, &mut text).expect("read");
        let next = text.trim().parse::<u64>().unwrap_or(0) + 1;
        file.rewind().expect("rewound");
        file.set_len(0).expect("cut");
        writeln!(file, "{next}").expect("written");
    });
}

/// A named lock that nobody else wants, taken and given back.
#[divan::bench(args = DRIVERS, sample_size = 1_000)]
fn lock_pair(bencher: Bencher, driver: &str) {
    let subject = Subject::new(driver);
    let lock = subject.store.lock("k").expect("a lock");
    bencher.bench_local(|| drop(black_box(lock.acquire().expect("the lock"))));
}

/// The same with a time limit: two entries instead of one.
#[divan::bench(args = DRIVERS, sample_size = 1_000)]
fn lock_pair_with_ttl(bencher: Bencher, driver: &str) {
    let subject = Subject::new(driver);
    let lock = subject.store.lock("k").expect("a lock").ttl(Duration::from_secs(60));
    bencher.bench_local(|| drop(black_box(lock.acquire().expect("the lock"))));
}

/// A leader asks whether it leads.
#[divan::bench(args = DRIVERS, sample_size = 1_000)]
fn is_revoked(bencher: Bencher, driver: &str) {
    let subject = Subject::new(driver);
    let leadership = subject.store.leader("g").expect("a group").elect("me").expect("an election");
    bencher.bench_local(|| black_box(&leadership).is_revoked());
}
