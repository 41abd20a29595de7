//! Starts processes, stops and kills them, and makes a history of what they wrote down.

use std::{
    path::Path,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use super::{
    dice::Dice,
    log::{LANES, Log, now},
    operation::{Answer, Call, Operation},
    setting::{Setting, Weather},
    worker::{Worker, found},
};

/// Whoever takes longer to end hangs: every bound of the store is far below.
const BOUND: Duration = Duration::from_secs(40);
/// Deaths that belong to a recording.
const LEAST: u64 = 20;

/// Where deaths are written down.
const DEATHS: usize = LANES - 2;

/// A history, and what happened to those who made it.
pub struct Recorded {
    pub operations: Vec<Operation>,
    pub kills: u64,
    pub stops: u64,
    /// Processes that ended badly: panicked, or hung.
    pub faults: Vec<String>,
}

pub struct Recorder<'a> {
    pub log: &'static Log,
    pub folder: &'a Path,
    /// The name of a defect that the processes have.
    pub defect: Option<&'static str>,
    /// How many stores there were.
    pub stores: u64,
}

/// One recording.
struct Session<'a> {
    recorder: &'a Recorder<'a>,
    setting: &'static Setting,
    dice: Dice,
    pids: Vec<i32>,
    died: Vec<Vec<(usize, u64)>>,
    recorded: Recorded,
    /// Those on which workers run.
    processors: libc::cpu_set_t,
}

impl Recorder<'_> {
    /// Records for so long.
    pub fn record(&mut self, setting: &'static Setting, time: Duration, seed: u64) -> Recorded {
        self.log.wipe();
        self.stores += 1;
        let recorded = Recorded { operations: Vec::new(), kills: 0, stops: 0, faults: Vec::new() };
        let (pids, died) = (vec![0; setting.workers], vec![Vec::new(); LANES]);
        let mut session = Session {
            recorder: self,
            setting,
            dice: Dice::new(seed),
            pids,
            died,
            recorded,
            processors: part_processors(setting.weather),
        };
        session.alone("founding the store", |worker| {
            found(worker.setting, &worker.path).unwrap_or_else(|error| panic!("{error:?}"));
        });
        (0..setting.workers).for_each(|lane| session.spawn(lane));
        let begun = Instant::now();
        // On a busy machine it takes longer until enough have died.
        let goes_on = |kills| begun.elapsed() < time || kills < LEAST && begun.elapsed() < 4 * time;
        while goes_on(session.recorded.kills) && !self.log.is_full() {
            match setting.weather {
                Weather::Rough => session.be_rough(),
                Weather::Overtaken => session.overtake(),
            }
        }
        self.log.over.store(1, SeqCst);
        session.alone("the last look", Worker::finish);
        session.end();
        let mut recorded = session.recorded;
        for (lane, died) in session.died.iter().enumerate() {
            recorded.operations.extend(self.log.lanes[lane].operations(lane, died));
        }
        recorded.operations.sort_by_key(|operation| operation.begin);
        recorded
    }
}

impl Session<'_> {
    fn worker(&mut self, lane: usize) -> Worker {
        Worker {
            log: self.recorder.log,
            setting: self.setting,
            path: self.recorder.folder.join(format!("store-{}", self.recorder.stores)),
            lane,
            dice: Dice::new(self.dice.below(u64::MAX)),
        }
    }

    fn fork(&mut self, lane: usize, act: impl FnOnce(Worker)) -> i32 {
        let (worker, defect) = (self.worker(lane), self.recorder.defect);
        // SAFETY: this process has one thread, so a forked child can do anything.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                // SAFETY: a plain system call, and the environment of a process with one thread.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    let all = self.processors;
                    libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const all);
                    if let Some(defect) = defect {
                        std::env::set_var("SHMSYNC_BROKEN", defect);
                    }
                }
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(worker)));
                // SAFETY: it ends this process at once.
                unsafe { libc::_exit(i32::from(result.is_err())) }
            }
            pid => pid,
        }
    }

    fn spawn(&mut self, lane: usize) {
        self.pids[lane] = self.fork(lane, Worker::run);
    }

    /// Does something in a process of its own, which is not killed.
    fn alone(&mut self, what: &str, act: impl FnOnce(Worker)) {
        let lane = LANES - 1;
        let pid = self.fork(lane, act);
        if let Some(fault) = self.await_end(pid) {
            self.recorded.faults.push(format!("{what}: {fault}"));
        }
    }

    /// Waits for the end of a process that is to end by itself.
    fn await_end(&mut self, pid: i32) -> Option<String> {
        let (end, mut status) = (Instant::now() + BOUND, 0);
        loop {
            // SAFETY: a child of ours that was not waited for yet.
            if unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid {
                return (status != 0).then(|| format!("a process ended with status {status:#x}"));
            }
            if Instant::now() > end {
                signal(pid, libc::SIGKILL);
                // SAFETY: as above.
                unsafe { libc::waitpid(pid, &raw mut status, 0) };
                return Some(format!("a process hangs for {BOUND:?}"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Kills a process; its last operation happened before it was seen to be dead, or never.
    fn kill(&mut self, lane: usize) {
        let (mut status, begin) = (0, now());
        signal(self.pids[lane], libc::SIGKILL);
        // SAFETY: a child of ours that was not waited for yet.
        unsafe { libc::waitpid(self.pids[lane], &raw mut status, 0) };
        if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) != 0 {
            self.recorded.faults.push("a process panicked, see above".into());
        }
        let begun = self.recorder.log.lanes[lane].len();
        self.died[lane].push((begun.wrapping_sub(1), now()));
        self.recorded.kills += 1;
        if self.setting.model.has_owners() {
            self.note_death(self.pids[lane] as u32, (begin, now()));
        }
    }

    /// Whatever the dead one held, it holds no longer.
    fn note_death(&self, owner: u32, time: (u64, u64)) {
        for key in 0..self.setting.keys {
            self.recorder.log.lanes[DEATHS].add((key, Call::Die { owner }), Answer::Done, time);
        }
    }

    /// Somebody is stopped for a while, or killed and replaced: most often in the middle of something.
    fn be_rough(&mut self) {
        pause(Duration::from_micros(50 + self.dice.below(600)));
        let lane = self.dice.below(self.setting.workers as u64) as usize;
        stop(self.pids[lane]);
        let is_busy = self.recorder.log.lanes[lane].is_busy();
        if is_busy || self.dice.below(12) == 0 {
            self.kill(lane);
            return self.spawn(lane);
        }
        self.recorded.stops += 1;
        if self.dice.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(self.dice.below(5_000)));
        }
        signal(self.pids[lane], libc::SIGCONT);
    }

    /// Each goes on for a moment, alone.
    fn overtake(&mut self) {
        self.pids.iter().for_each(|pid| stop(*pid));
        for _ in 0..200 {
            for lane in (0..self.setting.workers).rev() {
                signal(self.pids[lane], libc::SIGCONT);
                pause(Duration::from_micros(if lane == 0 {
                    50 + self.dice.below(400)
                } else {
                    30 + self.dice.below(20)
                }));
                stop(self.pids[lane]);
                self.recorded.stops += 1;
            }
            if self.dice.below(40) == 0 {
                self.kill(0);
                self.spawn(0);
            }
        }
        self.pids.iter().for_each(|pid| signal(*pid, libc::SIGCONT));
    }

    fn end(&mut self) {
        for lane in 0..self.setting.workers {
            let pid = self.pids[lane];
            if let Some(fault) = self.await_end(pid) {
                self.recorded.faults.push(format!("lane {lane}: {fault}"));
                let begun = self.recorder.log.lanes[lane].len();
                self.died[lane].push((begun.wrapping_sub(1), now()));
            }
        }
    }
}

/// Where each is to go on alone and at once, workers have a processor that nobody else of us is on. Theirs.
fn part_processors(weather: Weather) -> libc::cpu_set_t {
    use std::sync::OnceLock;
    static ALL: OnceLock<libc::cpu_set_t> = OnceLock::new();
    // SAFETY: the kernel fills or reads one structure, for which zeros are valid; numbers of processors are in range.
    unsafe {
        let all = *ALL.get_or_init(|| {
            let mut all = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut all);
            all
        });
        let (mut ours, mut theirs) = (all, all);
        let numbers: Vec<usize> =
            (0..libc::CPU_SETSIZE as usize).filter(|number| libc::CPU_ISSET(*number, &all)).collect();
        if let ([first, .., last], Weather::Overtaken) = (&numbers[..], weather) {
            (ours, theirs) = (std::mem::zeroed(), std::mem::zeroed());
            libc::CPU_SET(*first, &mut ours);
            libc::CPU_SET(*last, &mut theirs);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const ours);
        theirs
    }
}

/// Waits without sleeping: sleeps are long.
fn pause(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Stops a process where it is, unless it has ended.
fn stop(pid: i32) {
    signal(pid, libc::SIGSTOP);
    // SAFETY: zeros are a valid structure, which the kernel fills; the process is a child of ours, and stays to be
    // waited for.
    unsafe {
        let mut told: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid as libc::id_t, &raw mut told, libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT);
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: a plain system call, to a child of ours that was not waited for yet.
    unsafe { libc::kill(pid, signal) };
}
