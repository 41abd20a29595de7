//! Where do kills land? Everybody stands still, one is killed, and the bytes that it leaves tell what it was doing.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use common::{
    Dice, Forked, Place, assert_sound, assert_whole, fork, number,
    region::{Books, Name, Region},
    work,
};
use shmsync::Sync;

/// What a process can be in the middle of, and how many such kills there must be to mean anything.
const CLASSES: [(&str, u32); 4] = [("a write", 60), ("allocation", 30), ("growth", 6), ("recovery", 6)];

fn is_under_way(books: &Books) -> bool {
    books.intent != 0 || books.notes > 0
}

/// What the one who holds these locks was in the middle of.
fn classes(books: &[Books], space: Option<Name>, victim: Name, before: &[Books]) -> Vec<&'static str> {
    let mut classes = vec![];
    let held = || books.iter().zip(before).filter(|(books, _)| books.holder == Some(victim));
    if held().any(|(books, _)| is_under_way(books)) {
        classes.push("a write");
    }
    // Blocks and extents are taken with notes, before the slot is changed.
    let takes = |books: &Books| books.notes > 0 && [1, 3, 4].contains(&books.intent);
    if space == Some(victim) || held().any(|(books, _)| takes(books)) {
        classes.push("allocation");
    }
    // The root of an index is to be changed, or extents are handed out.
    if space == Some(victim) || held().any(|(books, _)| books.is_root && books.intent == 1) {
        classes.push("growth");
    }
    // The shard was taken over, but what its dead holder was about is not finished yet.
    let is_taken_over = |books: &Books, before: &Books| {
        before.holder.is_some()
            && before.holder != books.holder
            && is_under_way(before)
            && is_under_way(books)
            && (books.intent, books.at) == (before.intent, before.at)
            && books.notes <= before.notes
    };
    if held().any(|(books, before)| is_taken_over(books, before)) {
        classes.push("recovery");
    }
    classes
}

/// Somebody who has joined already and takes every lock when told to.
struct Recoverer {
    process: Forked,
    start: std::io::PipeWriter,
    ready: std::io::PipeReader,
}

impl Recoverer {
    fn new(store: &Sync, signal: &Flag) -> Self {
        let (mut reader, start) = std::io::pipe().expect("a pipe");
        let (mut ready, mut said) = std::io::pipe().expect("a pipe");
        let process = fork(|| {
            // Forcing the gate that nobody has closed needs a name of one's own, but no shard.
            assert!(!store.force_open().expect("a participant"));
            said.write_all(b"j").expect("a pipe");
            reader.read_exact(&mut [0]).expect("a pipe");
            said.write_all(b"r").expect("a pipe");
            signal.wait();
            let _ = store.namespace("nothing here").clear();
            thread::sleep(Duration::from_secs(60));
        });
        ready.read_exact(&mut [0]).expect("somebody who has joined");
        Self { process, start, ready }
    }
}

/// A word that forked children share; whoever waits for it is there at once.
struct Flag(*mut AtomicU32);

impl Flag {
    fn new() -> Self {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping of one page, wherever the system likes; it is never unmapped.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4_096, protection, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        Self(page.cast())
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the page is mapped for ever, and zeros are a valid word.
        unsafe { &*self.0 }
    }

    fn wait(&self) {
        while self.word().load(SeqCst) == 0 {
            std::hint::spin_loop();
        }
    }
}

/// Fills the store with what needs new spans, indexes and a longer file, and empties it again.
fn grow_and_shrink(store: &Sync, seed: u64) {
    let mut dice = Dice::new(seed);
    loop {
        let growing = store.namespace(&format!("growing {}", dice.below(4)));
        let size = [10, 600, 3_500, 20_000][dice.below(4) as usize];
        for key in 0..(400_000 / size).min(2_500) {
            if growing.set_bytes(&format!("{key}"), &vec![1; size as usize]).is_err() {
                break;
            }
        }
        for key in growing.keys("").expect("keys") {
            growing.remove(&key).expect("a removal");
        }
    }
}

struct Round<'a> {
    store: &'a Sync,
    region: Region,
    flag: &'a Flag,
    recoverers: Vec<Recoverer>,
    dice: &'a mut Dice,
    landed: &'a mut BTreeMap<&'static str, u32>,
    kills: u32,
}

impl Round<'_> {
    /// Kills one of the writers while the others stand still, and then those who recover after it.
    fn kill_one(&mut self, writers: &mut Vec<Forked>) {
        while self.recoverers.len() < 3 {
            self.recoverers.push(Recoverer::new(self.store, self.flag));
        }
        thread::sleep(Duration::from_micros(self.dice.below(1_500)));
        writers.iter().for_each(Forked::stop);
        let before = self.region.books();
        let victim = writers.swap_remove(self.dice.below(writers.len() as u64) as usize);
        self.bury(victim, &before);
        while self.somebody_has_left_something(writers) && !self.recoverers.is_empty() {
            self.kill_in_recovery();
        }
        writers.iter().for_each(|writer| writer.signal(libc::SIGCONT));
    }

    fn somebody_has_left_something(&self, living: &[Forked]) -> bool {
        let living: Vec<_> = living.iter().map(|writer| self.region.participant(writer.pid())).collect();
        let is_left = |books: &Books| books.holder.is_some() && !living.contains(&books.holder) && is_under_way(books);
        self.region.books().iter().any(is_left)
    }

    /// Lets somebody take over what the dead have left, and kills that one too.
    fn kill_in_recovery(&mut self) {
        let mut recoverer = self.recoverers.pop().expect("a recoverer");
        let before = self.region.books();
        self.flag.word().store(0, SeqCst);
        recoverer.start.write_all(b"g").expect("a pipe");
        recoverer.ready.read_exact(&mut [0]).expect("a pipe");
        let time = Duration::from_micros(self.dice.below(60));
        self.flag.word().store(1, SeqCst);
        let begun = Instant::now();
        while begun.elapsed() < time {
            std::hint::spin_loop();
        }
        self.bury(recoverer.process, &before);
    }

    fn bury(&mut self, victim: Forked, before: &[Books]) {
        let name = self.region.participant(victim.pid());
        victim.kill();
        self.kills += 1;
        let Some(name) = name else { return };
        for class in classes(&self.region.books(), self.region.space_holder(), name, before) {
            *self.landed.entry(class).or_insert(0) += 1;
        }
    }
}

/// Issue 2, part 7: kills are counted by what they interrupt, and there are enough of each kind; attacks 24, 25, 37.
#[test]
fn kills_land_in_writes_allocation_growth_and_recovery() {
    let mut dice = Dice::roll("where kills land");
    let end = Instant::now() + Duration::from_secs(number("SHMSYNC_KILL_S", 30) * 4);
    let (mut kills, mut landed, mut recoveries) = (0, BTreeMap::new(), 0);
    let (flag, is_enough) = (Flag::new(), |landed: &BTreeMap<_, u32>| {
        CLASSES.iter().all(|(class, least)| landed.get(class).is_some_and(|count| count >= least))
    });
    while !is_enough(&landed) && Instant::now() < end {
        // A new store now and then, so that indexes and the file have to grow.
        let place = Place::new();
        let store = Sync::options().capacity(8 << 20).open(place.path()).unwrap();
        let region = Region::open(&place.path());
        let (dice, landed) = (&mut dice, &mut landed);
        let mut round = Round { store: &store, region, flag: &flag, recoverers: vec![], dice, landed, kills: 0 };
        let mut writers: Vec<Forked> = vec![];
        for _ in 0..60 {
            while writers.len() < 3 {
                let seed = round.dice.below(u64::MAX);
                let body = if seed.is_multiple_of(2) { work } else { grow_and_shrink };
                writers.push(fork(|| body(&store, seed)));
            }
            round.kill_one(&mut writers);
        }
        kills += round.kills;
        drop(round);
        writers.into_iter().for_each(Forked::kill);
        assert_whole(&store);
        assert_sound(&store);
        recoveries += store.stats().unwrap().recoveries;
    }
    println!("{kills} kills, of these inside of {landed:?}; {recoveries} recoveries");
    assert!(is_enough(&landed), "some kind of kill was too rare to mean anything: {landed:?} of {kills}");
}
