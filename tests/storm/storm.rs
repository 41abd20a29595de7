//! One round: workers are started, killed, stopped, continued, started again; now and then all park and everything is
//! looked at.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use super::{
    board::{Board, THREADS},
    check,
    dead::{Class, Region, Unfinished},
    dice::Dice,
    helper::elsewhere,
    process::{HURRY, fork, go_on, hurry, kill, kill_and_release, reap, signal, stop},
    round::Round,
    turns,
    worker::{Worker, path},
};

/// All that are asked to park do so within this time. The store's own bounds are 2 s at most; the rest is for machines
/// on which a hundred others want to run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever takes longer to park is worth a line.
const LONG: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Default)]
pub struct Tally {
    pub kills: BTreeMap<Class, u64>,
    pub stops: u64,
    pub released_early: u64,
    pub heavy: u64,
    pub parks: u64,
    pub longest_park: Duration,
    /// For how many milliseconds an entry was seen at most whose process was dead.
    pub longest_dead: u64,
    /// Operations, bytes in use, bytes allocated, at each park.
    pub sizes: Vec<(u64, u64, u64)>,
    pub failures: Vec<String>,
}

impl Tally {
    pub fn all_kills(&self) -> u64 {
        self.kills.values().sum()
    }
}

pub struct Storm<'a> {
    pub board: &'static Board,
    pub round: &'static Round,
    pub folder: &'a Path,
    pub dice: Dice,
    pub tally: &'a mut Tally,
    /// The processes, by number of the worker.
    pids: Vec<i32>,
    /// Those that stand still, by number of the worker, and until when.
    still: BTreeMap<usize, Instant>,
    region: Option<Region>,
    ringer: i32,
}

impl<'a> Storm<'a> {
    pub fn new(
        board: &'static Board,
        round: &'static Round,
        folder: &'a Path,
        dice: Dice,
        tally: &'a mut Tally,
    ) -> Self {
        Self {
            board,
            round,
            folder,
            dice,
            tally,
            pids: vec![0; round.workers],
            still: BTreeMap::new(),
            region: None,
            ringer: 0,
        }
    }

    fn path(&self) -> PathBuf {
        path(self.folder, self.board.store.load(SeqCst))
    }

    /// Rages until so many are dead or so much time has passed.
    pub fn rage(&mut self, kills: u64, time: Duration) {
        self.board.wipe();
        self.new_store();
        self.ringer = self.ring();
        (0..self.round.workers).for_each(|number| self.spawn(number));
        let (begun, first, mut parked) = (Instant::now(), self.tally.all_kills(), Instant::now());
        let mut parking = Duration::ZERO;
        while begun.elapsed() < time && self.tally.all_kills() - first < kills && self.is_well() {
            self.act();
            if self.round.young && self.dice.below(40) == 0 {
                self.succeed();
            }
            if parked.elapsed() > Duration::from_millis(1500).max(parking * 10) {
                parking = self.park();
                parked = Instant::now();
            }
        }
        self.park();
        self.end();
    }

    fn is_well(&self) -> bool {
        self.tally.failures.is_empty() && self.board.faults.load(SeqCst) == 0
    }

    fn new_store(&mut self) {
        let number = self.board.store.load(SeqCst) + 1;
        let path = path(self.folder, number);
        if let Err(fault) = elsewhere(|| check::found(&path, self.round.capacity)) {
            self.tally.failures.push(format!("a new store: {fault}"));
        }
        self.board.store.store(number, SeqCst);
        self.region = Region::open(&path);
    }

    /// A new store takes the place of the old one, which must be sound.
    fn succeed(&mut self) {
        self.continue_those(|_| true);
        let old = self.path();
        self.new_store();
        let verified = elsewhere(|| {
            let store = shmsync::Sync::open(&old).map_err(|error| format!("{error:?}"))?;
            let problems = store.verify().map_err(|error| format!("{error:?}"))?.problems;
            store.destroy().map_err(|error| format!("{error:?}"))?;
            if problems.is_empty() { Ok(String::new()) } else { Err(format!("verify: {problems:#?}")) }
        });
        self.tally.failures.extend(verified.err().map(|fault| format!("a young store: {fault}")));
    }

    /// Somebody who is never killed and wakes all who wait for the bell.
    fn ring(&self) -> i32 {
        let (board, folder) = (self.board, self.folder.to_owned());
        fork(|| {
            while board.over.load(SeqCst) == 0 {
                if let Ok(store) = shmsync::Sync::open(path(&folder, board.store.load(SeqCst))) {
                    for stroke in 0..20_u64 {
                        // In a full store the bell is silent; a removal is heard as well.
                        if store.set("bell", &stroke).is_err() {
                            let _ = store.remove("bell");
                        }
                        std::thread::sleep(Duration::from_millis(25));
                    }
                }
            }
        })
    }

    fn spawn(&mut self, number: usize) {
        let threads = 1 + self.dice.below(self.round.threads) as usize;
        // Touching 1 GiB takes as long as a hundred other lives.
        let heavy = self.dice.below(600) == 0;
        self.tally.heavy += u64::from(heavy);
        let worker = Worker {
            board: self.board,
            round: self.round,
            folder: self.folder.to_owned(),
            number,
            threads,
            seed: self.dice.below(u64::MAX),
            ballast: if heavy { 1 << 30 } else { 0 },
            liveness_thread: self.dice.below(8) != 0,
        };
        for thread in 0..THREADS {
            self.board.lanes[number * THREADS + thread].busy.store(0, SeqCst);
        }
        self.board.lives[number].store(worker.seed, SeqCst);
        self.pids[number] = fork(move || worker.run());
    }

    /// Does something to somebody.
    fn act(&mut self) {
        std::thread::sleep(Duration::from_micros(self.dice.below(400)));
        self.continue_those(|until| until <= Instant::now());
        let number = self.hunt().unwrap_or_else(|| self.dice.below(self.round.workers as u64) as usize);
        self.continue_it(number);
        let pid = self.pids[number];
        match self.dice.below(10) {
            0..2 => self.kill_many(),
            2 => {
                self.tally.stops += 1;
                if stop(pid) {
                    let until = Instant::now() + Duration::from_micros(self.dice.below(30_000));
                    self.still.insert(number, until);
                }
            }
            _ => {
                if !stop(pid) {
                    return self.replace(number);
                }
                let (class, left) =
                    self.region.as_ref().map_or((Class::Outside, None), |region| region.classify(pid as u32));
                // Death outside of everything is dull: most of them live on.
                if class == Class::Outside && self.dice.below(8) != 0 {
                    return go_on(pid);
                }
                self.kill(number, class);
                // It may be long until somebody wants just that shard.
                if let Some(left) = left.filter(|_| self.dice.below(8) == 0) {
                    self.kill_recoverer(left, pid as u32);
                }
            }
        }
    }

    fn continue_it(&mut self, number: usize) {
        if self.still.remove(&number).is_some() {
            go_on(self.pids[number]);
        }
    }

    /// Lets those who stand still go on of whose time this is true.
    fn continue_those(&mut self, is_meant: impl Fn(Instant) -> bool) {
        let meant: Vec<_> =
            self.still.iter().filter(|(_, until)| is_meant(**until)).map(|(number, _)| *number).collect();
        meant.into_iter().for_each(|number| self.continue_it(number));
    }

    /// Every other time, a worker that is just now in the middle of something rare.
    fn hunt(&mut self) -> Option<usize> {
        let rare = [Class::Write, Class::Allocation, Class::Transaction, Class::Growth];
        let class = rare[self.dice.below(4) as usize];
        if self.dice.below(2) == 0 {
            return None;
        }
        let end = Instant::now() + Duration::from_micros(if self.round.young { 3000 } else { 500 });
        while Instant::now() < end {
            let found = self.region.as_ref().and_then(|region| region.hunt(class));
            let number = found.and_then(|found| self.pids.iter().position(|pid| *pid == found as i32));
            if number.is_some() {
                return number;
            }
        }
        None
    }

    /// Whoever takes the lock over from the dead one is killed before it has recovered.
    fn kill_recoverer(&mut self, left: Unfinished, dead: u32) {
        let end = Instant::now() + Duration::from_millis(10);
        while Instant::now() < end {
            let Some(next) = self.region.as_ref().and_then(|region| region.recoverer(&left, dead)) else {
                std::hint::spin_loop();
                continue;
            };
            let Some(number) = self.pids.iter().position(|pid| *pid == next as i32) else { return };
            self.continue_it(number);
            if !stop(next as i32) {
                return self.replace(number);
            }
            if self.region.as_ref().and_then(|region| region.recoverer(&left, dead)) == Some(next) {
                self.kill(number, Class::Recovery);
                return self.kill_recoverer(left, next);
            }
            return go_on(next as i32);
        }
    }

    /// Kills some at the same moment: who waits, who holds, who recovers. It is also what makes a million kills feasible:
    /// waiting for one to be dead takes as long as for five.
    fn kill_many(&mut self) {
        let many = 1 + self.dice.below(self.round.workers as u64);
        let first = self.dice.below(self.round.workers as u64);
        let victims = (first..first + many).map(|number| number as usize % self.round.workers);
        let victims: Vec<usize> = victims.collect();
        victims.iter().for_each(|number| self.strike(*number, Class::Unseen));
        victims.iter().for_each(|number| self.succeed_dead(*number));
    }

    fn kill(&mut self, number: usize, class: Class) {
        self.strike(number, class);
        self.succeed_dead(number);
    }

    fn strike(&mut self, number: usize, class: Class) {
        // Also who stands still can be killed.
        self.still.remove(&number);
        let pid = self.pids[number];
        let early = self.dice.below(4) == 0;
        *self.tally.kills.entry(class).or_default() += 1;
        if early {
            self.tally.released_early += u64::from(kill_and_release(pid));
        } else {
            signal(pid, libc::SIGKILL);
        }
        hurry(pid, HURRY);
    }

    /// Once somebody is dead, another one takes its place.
    fn succeed_dead(&mut self, number: usize) {
        let pid = self.pids[number];
        reap(pid);
        if !self.round.young && self.dice.below(16) == 0 {
            // It asks the store, where somebody who stands still may be in the middle of something.
            self.continue_those(|_| true);
            let path = self.path();
            let orphaned = elsewhere(|| check::is_orphaned(&path, pid as u32));
            match orphaned {
                Ok(late) => self.tally.longest_dead = self.tally.longest_dead.max(late.parse().unwrap_or(0)),
                Err(fault) => self.tally.failures.push(fault),
            }
        }
        self.spawn(number);
    }

    /// A worker that has ended by itself has failed.
    fn replace(&mut self, number: usize) {
        self.tally.failures.push(format!("worker {number} has ended by itself"));
        self.spawn(number);
    }

    /// All finish what they do; then everything is looked at. How long that took.
    fn park(&mut self) -> Duration {
        self.continue_those(|_| true);
        let phase = self.board.phase.fetch_add(1, SeqCst) + 1;
        let begun = Instant::now();
        let awake = || {
            let busy = |lane: &&super::board::Lane| lane.busy.load(SeqCst) == 1 && lane.phase.load(SeqCst) != phase;
            self.board.lanes.iter().filter(busy).count()
        };
        let mut told = false;
        while awake() > 0 {
            if !told && begun.elapsed() > LONG {
                println!("{}: {} threads take long to park: {}", self.round.name, awake(), self.where_they_are());
                told = true;
            }
            if begun.elapsed() > PATIENCE {
                let fault = format!("{} threads do not park: {}", awake(), self.where_they_are());
                self.tally.failures.push(fault);
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.tally.parks += 1;
        self.tally.longest_park = self.tally.longest_park.max(begun.elapsed());
        if !self.round.young && self.tally.failures.is_empty() {
            let path = self.path();
            match elsewhere(|| check::all(self.board, &path)) {
                Ok(sizes) => {
                    let mut sizes = sizes.split(' ').map(|size| size.parse().unwrap_or(0));
                    let (used, allocated) = (sizes.next().unwrap_or(0), sizes.next().unwrap_or(0));
                    self.tally.sizes.push((self.board.operations(), used, allocated));
                }
                Err(fault) => self.tally.failures.push(format!("{}: {fault}", self.round.name)),
            }
            let judged = turns::judge(self.board, self.folder);
            self.tally.failures.extend(judged.err().map(|fault| format!("{}: {fault}", self.round.name)));
        }
        self.board.phase.fetch_add(1, SeqCst);
        begun.elapsed()
    }

    /// What each thread of each worker sleeps in.
    fn where_they_are(&self) -> String {
        let threads = |pid: &i32| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let place = |folder: std::fs::DirEntry| {
            let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
            format!("{} in {} ({})", folder.file_name().display(), read("wchan"), read("syscall").trim())
        };
        self.pids.iter().flat_map(threads).map(place).collect::<Vec<_>>().join("; ")
    }

    fn end(&mut self) {
        self.board.over.store(1, SeqCst);
        for pid in self.pids.iter().copied().chain([self.ringer]) {
            kill(pid);
        }
        let _ = std::fs::remove_file(self.path());
        let _ = std::fs::remove_file(turns::witness(self.folder));
    }
}
