//! A process in the storm: does everything, all the time, until it is killed.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use shmsync::{ErrorKind, Lifetime, Result, Sync};

use super::{
    board::{Board, COUNTERS, LANES, OWN, THREADS, Tally},
    dice::Dice,
    round::Round,
};

pub const ACCOUNTS: u64 = 12;
/// What all accounts hold together.
pub const MONEY: i64 = 12_000;
pub const TABLES: u64 = 3;

/// What a worker is made of.
#[derive(Clone)]
pub struct Worker {
    pub board: &'static Board,
    pub round: &'static Round,
    pub folder: PathBuf,
    /// Which one it is, of `WORKERS`.
    pub number: usize,
    pub threads: usize,
    pub seed: u64,
    /// Bytes of memory that it takes and touches first: its end then takes longer.
    pub ballast: usize,
    /// Whether the kernel is to tell of its death.
    pub liveness_thread: bool,
}

/// One thread of it.
pub(super) struct Lane<'a> {
    pub(super) worker: &'a Worker,
    index: usize,
    pub(super) dice: Dice,
    pub(super) store: Sync,
    store_number: u64,
}

/// The file that says which faults workers saw.
pub fn faults(folder: &Path) -> PathBuf {
    folder.join("faults")
}

/// The path of the store of that number.
pub fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("store-{number}"))
}

impl Worker {
    pub fn run(self) -> ! {
        touch(self.ballast);
        let store = self.open();
        let work = |thread: usize| {
            let (worker, (store, store_number)) = (self.clone(), store.clone());
            move || {
                let index = worker.number * THREADS + thread;
                let dice = Dice::new(worker.seed ^ thread as u64);
                Lane { worker: &worker, index, dice, store, store_number }.run();
            }
        };
        (1..self.threads).for_each(|thread| drop(std::thread::spawn(work(thread))));
        // Signals are for the first thread; whoever sends one makes that one run soon.
        work(0)();
        // SAFETY: it ends this process at once.
        unsafe { libc::_exit(1) }
    }

    /// Opens the store that is in use now, and tells its number.
    fn open(&self) -> (Sync, u64) {
        loop {
            let number = self.board.store.load(SeqCst);
            let options = Sync::options().capacity(self.round.capacity).liveness_thread(self.liveness_thread);
            match options.open(path(&self.folder, number)) {
                Ok(store) => return (store, number),
                // The next one is in use already.
                Err(error) if error.kind() == ErrorKind::Gone => {}
                Err(error) => self.fault(&format!("open: {error:?}")),
            }
        }
    }

    /// Says what must not be.
    pub(super) fn fault(&self, what: &str) {
        let line = format!("round {:?}, worker {}: {what}\n", self.round.name, self.number);
        let log = OpenOptions::new().append(true).create(true).open(faults(&self.folder));
        // Where the disk is full it is at least counted.
        let _ = log.and_then(|mut log| log.write_all(line.as_bytes()));
        self.board.faults.fetch_add(1, SeqCst);
    }
}

impl Lane<'_> {
    fn log(&self) -> &'static super::board::Lane {
        &self.worker.board.lanes[self.index]
    }

    fn run(&mut self) {
        self.log().busy.store(1, SeqCst);
        loop {
            let phase = self.worker.board.phase.load(SeqCst);
            self.log().phase.store(phase, SeqCst);
            if phase % 2 == 1 {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            if self.store_number != self.worker.board.store.load(SeqCst) {
                (self.store, self.store_number) = self.worker.open();
            }
            match self.one_thing() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Full => drop(self.worker.board.full.fetch_add(1, SeqCst)),
                Err(error) if error.kind() == ErrorKind::Gone && self.worker.round.young => {}
                Err(error) => self.worker.fault(&format!("{error:?}")),
            }
            self.log().operations.fetch_add(1, SeqCst);
        }
    }

    fn one_thing(&mut self) -> Result<()> {
        if self.worker.round.young {
            return self.grow();
        }
        match self.dice.below(200) {
            0..60 => self.set_own(),
            60..80 => self.look_at_others(),
            80..105 => self.churn(),
            105..130 => self.increment(),
            130..155 => self.transfer(),
            155..163 => self.look_at_money(),
            163..171 => self.replace_table(),
            171..176 => self.look_at_table(),
            176..181 => self.live_shortly(),
            181..184 => self.exclusive(),
            184..188 => self.watch(),
            188..193 => self.make(),
            193..194 => self.fork(),
            194..196 => self.take_turns(),
            _ => self.store.update("updated", |n: Option<u64>| Some(n.unwrap_or(0) + 1)).map(drop),
        }
    }

    /// In a young store: large values, so that the file has to grow.
    fn grow(&mut self) -> Result<()> {
        let key = format!("tmp/{}/{}", self.index, self.dice.below(12));
        let len = 3000 + self.dice.below(self.worker.round.longest as u64) as usize;
        if self.dice.below(4) == 0 { self.transfer() } else { self.store.set_bytes(&key, &filled(7, len)).map(drop) }
    }

    fn len(&mut self) -> usize {
        let most = self.worker.round.longest;
        let magnitude = self.dice.below(u64::from(most.ilog2()) + 1);
        (self.dice.below(2 << magnitude) as usize).min(most)
    }

    fn set_own(&mut self) -> Result<()> {
        let which = self.dice.below(OWN as u64) as usize;
        let len = self.len();
        let tally = &self.log().own[which];
        let number = begin(tally);
        self.store.set_bytes(&format!("own/{}/{which}", self.index), &filled(number, len))?;
        tally.done.store(number, SeqCst);
        Ok(())
    }

    /// What anybody stored is whole, no older than what was acknowledged, and was begun.
    fn look_at_others(&mut self) -> Result<()> {
        let (lane, which) = (self.dice.below(LANES as u64) as usize, self.dice.below(OWN as u64) as usize);
        let done = self.worker.board.lanes[lane].own[which].done.load(SeqCst);
        let found = self.store.get_bytes(&format!("own/{lane}/{which}"))?;
        let begun = self.worker.board.lanes[lane].own[which].begun.load(SeqCst);
        let number = found.as_deref().map_or(Some(0), number_of);
        if number.is_none_or(|number| number < done || number > begun) {
            self.worker.fault(&format!("own/{lane}/{which} is {number:?}, acknowledged {done}, begun {begun}"));
        }
        Ok(())
    }

    fn churn(&mut self) -> Result<()> {
        let key = format!("tmp/{}/{}", self.dice.below(LANES as u64), self.dice.below(8));
        if self.dice.below(2) == 0 {
            return self.store.remove(&key).map(drop);
        }
        let len = self.len();
        self.store.set_bytes(&key, &filled(len as u64, len)).map(drop)
    }

    fn increment(&mut self) -> Result<()> {
        let which = self.dice.below(COUNTERS as u64) as usize;
        let tally = &self.log().counters[which];
        tally.begun.fetch_add(1, SeqCst);
        self.store.integer(&format!("count/{which}")).increment(1)?;
        tally.done.fetch_add(1, SeqCst);
        Ok(())
    }

    fn transfer(&mut self) -> Result<()> {
        let accounts = 2 + self.dice.below(4);
        let first = self.dice.below(ACCOUNTS);
        let amount = self.dice.below(50) as i64;
        self.store.transaction(|tx| {
            for step in 1..accounts {
                tx.increment(&account((first + step) % ACCOUNTS), amount)?;
            }
            tx.increment(&account(first), -amount * (accounts as i64 - 1)).map(drop)
        })
    }

    fn look_at_money(&mut self) -> Result<()> {
        let sum: i64 = self.store.read_all::<i64>("acct/")?.values().sum();
        if sum != MONEY {
            self.worker.fault(&format!("the accounts hold {sum}"));
        }
        Ok(())
    }

    fn replace_table(&mut self) -> Result<()> {
        let (table, number) = (self.dice.below(TABLES), self.dice.below(1 << 40));
        let rows = 1 + self.dice.below(self.worker.round.rows);
        let prefix = format!("table/{table}/");
        let table = (0..rows).map(|row| (format!("{prefix}{row}"), (number, rows))).collect();
        self.store.replace_all(&prefix, &table)
    }

    fn look_at_table(&mut self) -> Result<()> {
        let prefix = format!("table/{}/", self.dice.below(TABLES));
        let table: BTreeMap<String, (u64, u64)> = self.store.read_all(&prefix)?;
        let first = table.values().next();
        let whole = first.is_none_or(|first| table.len() as u64 == first.1 && table.values().all(|row| row == first));
        if !whole {
            self.worker.fault(&format!("half a table is seen: {table:?}"));
        }
        Ok(())
    }

    fn live_shortly(&mut self) -> Result<()> {
        let key = self.dice.below(20);
        if self.dice.below(2) == 0 {
            let left = Duration::from_millis(1 + self.dice.below(20));
            self.store.set_with(&format!("ttl/{key}"), &"soon gone", Lifetime::Ttl(left)).map(drop)
        } else {
            self.store.set_with(&format!("proc/{}", self.index), &std::process::id(), Lifetime::Process).map(drop)
        }
    }

    /// Two keys that only change in the exclusive section, the second after the first.
    fn exclusive(&mut self) -> Result<()> {
        let Some(inside) = self.store.try_exclusive()? else { return Ok(()) };
        let (a, b) = (inside.get_or("inside/a", 0)?, inside.get_or("inside/b", 0)?);
        if a < b || a > b + 1 {
            self.worker.fault(&format!("somebody was in at the same time: {a}, {b}"));
        }
        let tally = &self.log().exclusive;
        tally.begun.fetch_add(1, SeqCst);
        inside.set("inside/a", &(a + 1))?;
        inside.set("inside/b", &(a + 1))?;
        tally.done.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Waits for the bell, which somebody rings who is never killed, or for whatever changes.
    fn watch(&mut self) -> Result<()> {
        if self.dice.below(2) == 0 {
            let mut watch = self.store.watch_prefix(&format!("own/{}", self.dice.below(LANES as u64)))?;
            let _ = watch.next_timeout(Duration::from_millis(2))?;
            return Ok(());
        }
        let mut watch = self.store.watch("bell")?;
        for change in watch.by_ref() {
            if !change?.initial {
                break;
            }
        }
        Ok(())
    }

    fn make(&mut self) -> Result<()> {
        let key = format!("made/{}", self.dice.below(8));
        if self.dice.below(3) == 0 {
            return self.store.remove(&key).map(drop);
        }
        self.store.get_or_insert_with(&key, || 7_u64).map(drop)
    }

    /// A child that takes part for a moment.
    fn fork(&mut self) -> Result<()> {
        // SAFETY: the C library keeps its own locks usable in the child, and what this library does there is tested.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: plain system calls; the parent may have died meanwhile, then so does the child.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            for _ in 0..10 {
                let _ = self.transfer();
                let _ = self.churn();
            }
            // SAFETY: it ends this process at once.
            unsafe { libc::_exit(0) }
        }
        // SAFETY: a child of ours that was not waited for yet.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        Ok(())
    }
}

pub fn account(number: u64) -> String {
    format!("acct/{number}")
}

fn begin(tally: &Tally) -> u64 {
    tally.begun.fetch_add(1, SeqCst) + 1
}

/// Bytes that say their number, and whether they belong together.
fn filled(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + len, number as u8);
    bytes
}

/// The number of such bytes; `None` when they are not whole.
pub fn number_of(bytes: &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    let number = u64::from_le_bytes(*number);
    rest.iter().all(|byte| *byte == number as u8).then_some(number)
}

fn touch(bytes: usize) {
    if bytes > 0 {
        std::mem::forget(std::hint::black_box(vec![1_u8; bytes]));
    }
}
