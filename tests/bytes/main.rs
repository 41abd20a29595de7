//! A region is input, not truth: whatever bytes it has, before or after attaching, users get answers or errors. No
//! panic, no signal, no endless wait, no huge allocation.
//!
//! Real images are damaged at random and used, by children that a watchdog looks after. What fails is named by seed
//! and case: `SHMSYNC_SEED=… SHMSYNC_CASE=…` runs that case alone. `SHMSYNC_CASES` sets how many there are,
//! `SHMSYNC_LONG=1` means a million.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "modules of one test")]

#[path = "../common/mod.rs"]
mod common;
mod exercise;
mod guard;
mod images;
mod layout;
mod mutate;
mod scribble;

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    io::{Write, stderr},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use common::{Child, Dice, Place, is_long, number, parsed, say};
use exercise::Outcome;
use guard::Progress;
use images::{churn, fill};

#[global_allocator]
static ALLOCATOR: guard::Counting = guard::Counting;

roles!(fill, churn, work);

/// The short form takes so long.
const SHORT: Duration = Duration::from_secs(60);
/// Failures after which it is enough.
const ENOUGH: usize = 12;

/// Tells at once what the test's harness would keep until the end, which is hours later in the long form.
fn tell(line: impl Display) {
    let _ = writeln!(stderr(), "bytes: {line}");
}

/// Runs every `step`-th case from `first` on, until there are `cases` or a line says to stop.
fn work(arguments: &[String]) {
    let (folder, seed) = (Path::new(&arguments[0]), parsed::<u64>(arguments, 1));
    let (worker, first): (u64, u64) = (parsed(arguments, 2), parsed(arguments, 3));
    let (step, end): (u64, u64) = (parsed(arguments, 4), parsed(arguments, 5));
    let images: u64 = parsed(arguments, 6);
    let deadline = Instant::now() + Duration::from_millis(parsed(arguments, 7));
    let progress = Progress::open(&folder.join(format!("progress-{worker}")));
    let images: Vec<Vec<u8>> =
        (0..images).map(|image| fs::read(folder.join(format!("image-{image}"))).unwrap()).collect();
    let path = folder.join(format!("store-{worker}"));
    let mut sum = Outcome::default();
    let mut opened = 0;
    let mut case = first;
    while case < end && Instant::now() < deadline {
        progress.begin_case(case);
        let outcome = run_case(&path, &images, seed, case, &progress);
        progress.end_case();
        opened += u64::from(outcome.opened);
        sum.calls += outcome.calls;
        sum.errors += outcome.errors;
        sum.slow += outcome.slow;
        case += step;
    }
    say(format!("{opened} {} {} {}", sum.calls, sum.errors, sum.slow));
}

fn run_case(path: &Path, images: &[Vec<u8>], seed: u64, case: u64, progress: &Progress) -> Outcome {
    let mut dice = Dice::new(seed ^ case.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut image = images[dice.below(images.len() as u64) as usize].clone();
    mutate::mutate(&mut image, &mut dice);
    fs::write(path, &image).unwrap();
    let alive = scribble::pretend_alive(path, &image, &mut dice);
    // Entries, keys and problems are larger in memory than in the region.
    let most = (16 << 20) + 8 * image.len();
    let stop = AtomicBool::new(false);
    let scribbles = dice.below(4) == 0;
    let scribbler = dice.below(u64::MAX);
    let outcome = thread::scope(|scope| {
        if scribbles {
            scope.spawn(|| scribble::scribble(path, &image, scribbler, &stop));
        }
        let outcome = exercise::exercise(path, &mut dice, progress, most);
        stop.store(true, Relaxed);
        outcome
    });
    drop(alive);
    fs::remove_file(path).unwrap();
    outcome
}

/// A child that runs cases, and what is known of it.
struct Worker {
    index: u64,
    child: Child,
    progress: Progress,
}

struct Run<'a> {
    place: &'a Place,
    seed: u64,
    end: u64,
    step: u64,
    images: u64,
    deadline: Instant,
    /// What each worker is doing.
    progress: Vec<Progress>,
}

impl Run<'_> {
    fn start(&self, index: u64, first: u64) -> Worker {
        let folder = self.place.file("");
        let left = self.deadline.saturating_duration_since(Instant::now()).as_millis();
        let words =
            [self.seed, index, first, self.step, self.end, self.images, left as u64].map(|word| word.to_string());
        let mut arguments = vec![folder.to_str().unwrap()];
        arguments.extend(words.iter().map(String::as_str));
        let errors = fs::File::create(self.place.file(&format!("errors-{index}"))).unwrap();
        let child = Child::spawn_with("work", &arguments, |command| {
            command.stderr(errors).env("RUST_BACKTRACE", "0");
        });
        Worker { index, child, progress: Progress::open(&self.place.file(&format!("progress-{index}"))) }
    }

    /// What a worker that has failed said last.
    fn last_words(&self, index: u64) -> String {
        let text = fs::read_to_string(self.place.file(&format!("errors-{index}"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("note:")).collect();
        let panic = lines.iter().position(|line| line.contains("panicked at")).unwrap_or(lines.len());
        let panic: Vec<&str> = lines[panic..].iter().take(2).copied().collect();
        // Numbers of threads differ; what they say need not.
        panic.join(" | ").split_once("panicked at ").map_or_else(String::new, |(_, text)| text.to_owned())
    }

    /// Images tried so far.
    fn done(&self) -> u64 {
        self.progress.iter().map(Progress::done).sum()
    }

    /// Looks after the workers until all are done; tells what failed.
    fn watch(&self, mut workers: Vec<Worker>, failures: &mut BTreeMap<String, Vec<u64>>) -> Outcome {
        let mut sum = Outcome::default();
        let mut told = Instant::now();
        while !workers.is_empty() {
            thread::sleep(Duration::from_millis(20));
            if told.elapsed() > SHORT {
                tell(format_args!("{} images", self.done()));
                told = Instant::now();
            }
            let mut next = Vec::new();
            for mut worker in workers {
                let what = if worker.progress.is_overdue() {
                    Some(format!("takes longer than {:?}", worker.progress.limit()))
                } else if worker.child.has_ended() {
                    match worker.child.answer() {
                        Some(line) => {
                            let words: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
                            (sum.calls, sum.errors) = (sum.calls + words[1], sum.errors + words[2]);
                            sum.slow += words[3];
                            continue;
                        }
                        None => Some("dies".to_owned()),
                    }
                } else {
                    None
                };
                let Some(what) = what else {
                    next.push(worker);
                    continue;
                };
                let (case, call, index) = (worker.progress.case(), worker.progress.call(), worker.index);
                worker.child.kill();
                let text = format!("{}: {what}: {}", exercise::name(call), self.last_words(index));
                tell(format_args!("case {case}: {text}"));
                failures.entry(text).or_default().push(case);
                worker.progress.end_call();
                if failures.len() < ENOUGH && self.end > case + self.step {
                    next.push(self.start(index, case + self.step));
                }
            }
            workers = next;
        }
        sum
    }
}

/// Attacks 4, 16, 19, 20, 34 and whatever else bytes can do.
#[test]
fn whatever_bytes_a_region_has_users_get_answers_or_errors() {
    let place = Place::new();
    let seed = number("SHMSYNC_SEED", Dice::roll("bytes").below(1 << 48));
    tell(format_args!("SHMSYNC_SEED={seed}"));
    let images = match std::env::var("SHMSYNC_IMAGES") {
        Ok(folder) => images::copy(Path::new(&folder), &place.file("")),
        Err(_) => images::make(&place, &mut Dice::new(seed)),
    };
    let only = std::env::var("SHMSYNC_CASE").ok().map(|_| number("SHMSYNC_CASE", 0));
    let cases = number("SHMSYNC_CASES", if is_long() { 1_000_000 } else { u64::MAX >> 1 });
    let timed = only.is_none() && cases == u64::MAX >> 1;
    let deadline = Instant::now() + if timed { SHORT } else { Duration::from_secs(1 << 30) };
    // They sleep most of the time: calls wait for locks that nobody will ever give back.
    let workers = if only.is_some() { 1 } else { number("SHMSYNC_WORKERS", if is_long() { 60 } else { 24 }) };
    let end = only.map_or(cases, |case| case + 1);
    let progress = (0..workers).map(|index| Progress::open(&place.file(&format!("progress-{index}")))).collect();
    let run = Run { place: &place, seed, end, step: workers, images, deadline, progress };
    let started = (0..workers).map(|index| run.start(index, only.unwrap_or(index))).collect();
    let mut failures = BTreeMap::new();
    let sum = run.watch(started, &mut failures);
    let done = run.done();
    println!("{done} images, {} calls, {} errors, {} slow cases", sum.calls, sum.errors, sum.slow);
    if !failures.is_empty() {
        // Images of killed processes are never the same again.
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("images-{seed}"));
        fs::create_dir_all(&kept).unwrap();
        images::copy(&place.file(""), &kept);
        panic!("SHMSYNC_SEED={seed} SHMSYNC_IMAGES={}: {failures:#?}", kept.display());
    }
    assert!(only.is_some() || done >= cases.min(500), "only {done} images were tried");
}
