//! Killed at any instruction: nobody else hangs, nothing acknowledged is lost, nothing half is seen, nothing leaks.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, Dice, Forked, Place, assert_sound, fork, hear, number, open, parsed, say};
use shmsync::Sync;

roles!(write_and_log, compute_slowly);

/// What a writer can be doing when it is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    Own,
    Shared,
    Value,
    Pair,
    Whole,
    Churn,
    Update,
}

const WORKS: [Work; 7] = [Work::Own, Work::Shared, Work::Value, Work::Pair, Work::Whole, Work::Churn, Work::Update];
const WRITERS: u64 = 4;
/// Bytes of the log for one kind of work.
const LINE: u64 = 24;

/// A log outside the store, which survives the death of its writer: three numbers per kind of work.
struct Log {
    file: File,
    writer: u64,
}

impl Log {
    fn open(path: &Path, writer: u64) -> Self {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).expect("a log");
        Self { file, writer }
    }

    fn place(&self, work: Work, column: u64) -> u64 {
        (self.writer * WORKS.len() as u64 + work as u64) * LINE + column * 8
    }

    fn read(&self, work: Work, column: u64) -> u64 {
        let mut bytes = [0; 8];
        let length = self.file.read_at(&mut bytes, self.place(work, column)).expect("a log to read");
        if length == 8 { u64::from_le_bytes(bytes) } else { 0 }
    }

    fn write(&self, work: Work, column: u64, number: u64) {
        self.file.write_all_at(&number.to_le_bytes(), self.place(work, column)).expect("a log to write");
    }

    /// How many were begun; the number of the last.
    fn begun(&self, work: Work) -> u64 {
        self.read(work, 0)
    }

    /// The number of the last that was acknowledged.
    fn acknowledged(&self, work: Work) -> u64 {
        self.read(work, 1)
    }

    /// How many were acknowledged.
    fn acknowledgements(&self, work: Work) -> u64 {
        self.read(work, 2)
    }

    fn begin(&self, work: Work) -> u64 {
        let number = self.begun(work) + 1;
        self.write(work, 0, number);
        number
    }

    fn acknowledge(&self, work: Work, number: u64) {
        self.write(work, 1, number);
        self.write(work, 2, self.acknowledgements(work) + 1);
    }
}

/// Bytes that tell whether they belong together.
fn payload(number: u64) -> (u64, Vec<u8>) {
    (number, vec![number as u8; 10 + (number * 7_919 % 9_000) as usize])
}

/// Does work of all kinds until it is killed, and logs each before and after.
fn write_and_log(arguments: &[String]) {
    let writer: u64 = parsed(arguments, 2);
    let (store, log) = (open(Path::new(&arguments[0])), Log::open(Path::new(&arguments[1]), writer));
    let mut dice = Dice::new(parsed(arguments, 3));
    say("writing");
    loop {
        let work = WORKS[dice.below(WORKS.len() as u64) as usize];
        // What was begun and not acknowledged may have happened or not; numbers are used once.
        let number = log.begin(work);
        do_work(&store, work, writer, number).expect("work");
        log.acknowledge(work, number);
    }
}

fn do_work(store: &Sync, work: Work, writer: u64, number: u64) -> shmsync::Result<()> {
    match work {
        Work::Own => store.integer(&format!("own/{writer}")).increment(1).map(drop),
        Work::Shared => store.integer("shared").increment(1).map(drop),
        Work::Value => store.set(&format!("value/{writer}"), &payload(number)).map(drop),
        Work::Pair => store.transaction(|tx| {
            tx.set(&format!("pair/{writer}/a"), &number)?;
            tx.set(&format!("pair/{writer}/b"), &number)?;
            tx.increment("pairs", 1).map(drop)
        }),
        Work::Whole => {
            let prefix = format!("whole/{writer}/");
            let keys = (0..40).map(|key| (format!("{prefix}{}", key * (1 + number % 3)), number));
            store.replace_all(&prefix, &keys.collect::<BTreeMap<_, _>>())
        }
        // Many new keys, so that indexes and extents have to grow, and then all of them away.
        Work::Churn if number.is_multiple_of(400) => store.namespace(&format!("churn/{writer}")).clear(),
        Work::Churn => {
            store.set_bytes(&format!("churn/{writer}/{number}"), &vec![1; (number * 31 % 3_000) as usize]).map(drop)
        }
        Work::Update => store.update("updated", |n: Option<u64>| Some(n.unwrap_or(0) + 1)).map(drop),
    }
}

/// What was acknowledged when we begin to look is stored, and what is stored was begun when we have looked.
fn assert_log_holds(store: &Sync, logs: &[Log]) {
    let count = |key: &str| store.integer(key).get().unwrap().unwrap_or(0) as u64;
    for (key, work) in [("shared", Work::Shared), ("updated", Work::Update), ("pairs", Work::Pair)] {
        let acknowledged = logs.iter().map(|log| log.acknowledgements(work)).sum();
        let stored = count(key);
        assert_within(key, acknowledged, stored, logs.iter().map(|log| log.begun(work)).sum());
    }
    for log in logs {
        let writer = log.writer;
        let acknowledged = log.acknowledgements(Work::Own);
        assert_within("own", acknowledged, count(&format!("own/{writer}")), log.begun(Work::Own));

        let acknowledged = log.acknowledged(Work::Value);
        let (number, bytes) = store.get(&format!("value/{writer}")).unwrap().unwrap_or_else(|| payload(0));
        assert!((number, bytes) == payload(number), "half a value of writer {writer}");
        assert_within("value", acknowledged, number, log.begun(Work::Value));

        for (prefix, work, size) in [("pair", Work::Pair, 2), ("whole", Work::Whole, 40)] {
            let acknowledged = log.acknowledged(work);
            let all = store.read_all::<u64>(&format!("{prefix}/{writer}/")).unwrap();
            let number = all.values().next().copied().unwrap_or(0);
            assert!(number == 0 || all.len() == size, "{} keys of {prefix} {writer} are left", all.len());
            assert!(all.values().all(|other| *other == number), "half of {prefix} by writer {writer}: {all:?}");
            assert_within(prefix, acknowledged, number, log.begun(work));
        }
    }
}

fn assert_within(what: &str, acknowledged: u64, stored: u64, begun: u64) {
    let holds = acknowledged <= stored && stored <= begun;
    assert!(holds, "{what}: {acknowledged} acknowledged, {stored} stored, {begun} begun");
}

/// Issue 2, part 7; attacks 23–26, 37: for 30 s (`SHMSYNC_KILL_S`) writers are killed at random.
#[test]
fn killed_writers_lose_nothing_acknowledged_and_leave_nothing_half() {
    let mut dice = Dice::roll("killed writers");
    let end = Instant::now() + Duration::from_secs(number("SHMSYNC_KILL_S", 30));
    let (mut kills, mut inside, mut recoveries) = (0, BTreeMap::new(), 0);
    while Instant::now() < end {
        // A new store now and then, so that growth happens under the knife too.
        let place = Place::new();
        let store = place.open();
        let log = place.file("log");
        let logs: Vec<Log> = (0..WRITERS).map(|writer| Log::open(&log, writer)).collect();
        let start = |writer: u64, seed: u64| {
            let arguments = [log.to_str().unwrap(), &writer.to_string(), &seed.to_string()];
            Child::on(&place, "write_and_log", &arguments)
        };
        let mut unfinished = BTreeSet::new();
        let mut writers: Vec<Option<Child>> =
            (0..WRITERS).map(|writer| Some(start(writer, dice.below(1 << 40)))).collect();
        let next = (Instant::now() + Duration::from_secs(3)).min(end);
        while Instant::now() < next {
            thread::sleep(Duration::from_micros(dice.below(20_000)));
            let victim = dice.below(WRITERS) as usize;
            writers[victim].take().expect("a writer").kill();
            kills += 1;
            let log = &logs[victim];
            for work in WORKS.into_iter().filter(|work| log.begun(*work) > log.acknowledged(*work)) {
                // An older one may be unfinished for ever; only the last is news.
                *inside.entry(format!("{work:?}")).or_insert(0_u64) +=
                    u64::from(unfinished.insert((victim, work as u8, log.begun(work))));
            }
            assert_log_holds(&store, &logs);
            writers[victim] = Some(start(victim as u64, dice.below(1 << 40)));
        }
        writers.into_iter().flatten().for_each(|writer| assert!(!writer.kill().success()));
        assert_log_holds(&store, &logs);
        assert_sound(&store);
        recoveries += store.stats().unwrap().recoveries;
    }
    println!("{kills} kills, of these inside of {inside:?}; {recoveries} recoveries");
    let inside: u64 = inside.values().sum();
    assert!(inside * 10 > kills, "only {inside} of {kills} kills hit a write: that means nothing");
    assert!(recoveries * 100 > kills, "only {recoveries} recoveries after {kills} kills: that means nothing");
}

/// Forks a child that writes without pause, and kills it after a random time.
fn kill_a_forked_writer(dice: &mut Dice, body: impl FnOnce()) {
    let child = fork(body);
    thread::sleep(Duration::from_micros(dice.below(600)));
    child.kill();
}

/// Scenario 21, B11: a writer killed at 1,000 random points leaves the old value or the complete new one.
#[test]
fn scenario_21_a_killed_writer_leaves_the_old_value_or_the_new() {
    let place = Place::new();
    let store = place.open();
    let mut dice = Dice::roll("scenario 21");
    store.set("v", &payload(0)).unwrap();
    let mut changed = 0;
    for _ in 0..number("SHMSYNC_KILLS", 1_000) {
        let (before, _) = store.get::<(u64, Vec<u8>)>("v").unwrap().expect("a value");
        kill_a_forked_writer(&mut dice, || {
            for number in before + 1.. {
                store.set("v", &payload(number)).expect("a set");
            }
        });
        let (number, bytes) = store.get("v").unwrap().expect("a value");
        assert!((number, bytes) == payload(number), "half a value");
        assert!(number >= before, "value {number} after {before}");
        changed += u32::from(number > before);
    }
    println!("{changed} writers were killed after their first write");
    assert_eq!(store.len().unwrap(), 1);
    assert_sound(&store);
}

/// Attack 41: 200 processes create the same store at once, and half of them are killed.
#[test]
fn attack_41_two_hundred_create_one_store_and_half_of_them_die() {
    let mut dice = Dice::roll("attack 41");
    for round in 0..number("SHMSYNC_CREATE_ROUNDS", 8) {
        let place = Place::new();
        let path = place.path();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut children: Vec<(u64, Forked)> = (0..200)
            .map(|number| {
                let body = || {
                    let store = wait_and_open(&reader, &writer, &path);
                    store.set(&format!("child/{number}"), &number).expect("a set");
                    store.integer("count").increment(1).expect("an increment");
                    assert_eq!(store.get::<u64>(&format!("child/{number}")).expect("a get"), Some(number));
                };
                (number, fork(body))
            })
            .collect();
        drop(writer);
        let mut survivors = vec![];
        while !children.is_empty() {
            let (number, child) = children.swap_remove(dice.below(children.len() as u64) as usize);
            if number % 2 == 0 {
                thread::sleep(Duration::from_micros(dice.below(300)));
                child.kill();
            } else {
                survivors.push((number, child));
            }
        }
        for (number, child) in survivors {
            child.finish();
            let store = place.open();
            assert_eq!(store.get::<u64>(&format!("child/{number}")).unwrap(), Some(number), "round {round}");
        }
        let store = place.open();
        let count = store.integer("count").refresh().unwrap();
        assert!((100..=200).contains(&count), "{count} have counted");
        assert!(store.keys("child/").unwrap().count() as i64 >= count);
        assert_sound(&store);
    }
}

/// In a forked child: opens the store when the parent has closed its end of the pipe.
fn wait_and_open(reader: &std::io::PipeReader, writer: &std::io::PipeWriter, path: &Path) -> Sync {
    use std::os::fd::AsRawFd;
    // SAFETY: the copy of the writing end in this child is closed once; nothing here writes, and `_exit` drops nothing.
    unsafe { libc::close(writer.as_raw_fd()) };
    let mut end = [0];
    let length = std::io::Read::read(&mut &*reader, &mut end).expect("a pipe");
    assert_eq!(length, 0);
    open(path)
}

/// Asks for a value, and computes it for as long as the parent wants.
fn compute_slowly(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    let made = store.get_or_insert_with("made", || {
        store.set("computing", &std::process::id()).expect("a set");
        hear()
    });
    say(made.expect("a value"));
    hear();
}

/// One process computes, the others wait; a killed one is replaced.
#[test]
fn a_killed_computer_is_replaced_by_one_who_waits() {
    let place = Place::new();
    let store = place.open();
    let mut children: Vec<Child> = (0..3).map(|_| Child::on(&place, "compute_slowly", &[])).collect();
    let computing = || {
        let watch = store.watch("computing").unwrap();
        let pids = watch.map(|change| change.unwrap().value::<u32>().unwrap());
        pids.flatten().next().unwrap()
    };
    for _ in 0..2 {
        let pid = computing();
        store.remove("computing").unwrap();
        let index = children.iter().position(|child| child.pid() == pid).unwrap();
        thread::sleep(Duration::from_millis(20));
        assert!(!store.contains("computing").unwrap(), "two compute at once");
        children.swap_remove(index).kill();
    }
    let mut last = children.pop().unwrap();
    assert_eq!(computing(), last.pid());
    last.tell("by the last");
    last.expect("by the last");
    assert_eq!(store.get::<String>("made").unwrap().as_deref(), Some("by the last"));
    last.tell("end");
    last.finish();
    assert_sound(&store);
}

/// Attack 25: who recovers may be killed too, and who recovers after that one.
#[test]
fn attack_25_recoverers_are_killed_too() {
    let place = Place::new();
    let store = place.open();
    let mut dice = Dice::roll("attack 25");
    for key in 0..60 {
        store.set(&format!("all/{key}"), &0_u64).unwrap();
    }
    let all = |number: u64| (0..60).map(|key| (format!("all/{key}"), number)).collect::<BTreeMap<_, _>>();
    for round in 0..number("SHMSYNC_KILLS", 1_000) / 5 {
        // Several at once, each of whom may find what the last one left.
        let replace = |writer: u64| {
            for number in 0.. {
                store.replace_all("all/", &all(number * 3 + writer)).expect("a replacement");
            }
        };
        let writers: Vec<Forked> = (0..3).map(|writer| fork(|| replace(writer))).collect();
        for writer in writers {
            thread::sleep(Duration::from_micros(dice.below(1_500)));
            writer.kill();
        }
        let seen = store.read_all::<u64>("all/").unwrap();
        assert_eq!(seen.len(), 60, "round {round}");
        let number = seen["all/0"];
        assert!(seen == all(number), "round {round}: a mix of replacements");
    }
    println!("{} recoveries", store.stats().unwrap().recoveries);
    assert_sound(&store);
}
