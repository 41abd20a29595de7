//! The program: what is asked for, what came of it.

mod bad;
mod checker;
mod defects;
#[path = "../common/dice.rs"]
mod dice;
mod holder;
mod log;
mod model;
mod operation;
mod overtaken;
mod recording;
mod setting;
mod turns;
mod window;
mod worker;

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use checker::{Verdict, check};
use dice::Dice;
use log::Log;
use model::Model;
use operation::Operation;
use recording::Recorder;
use setting::{SETTINGS, Setting};

/// How long a verdict on one recording may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a defect may stay unseen.
const HUNT: Duration = Duration::from_secs(180);
/// The same for what is seen rarely.
const LONG_HUNT: Duration = Duration::from_secs(1800);
/// Seconds of the long form.
const LONG: u64 = 600;

/// What the command line asks for.
struct Asked {
    seconds: u64,
    seed: u64,
    only: String,
}

impl Asked {
    /// `None` when a name was given that is not ours: cargo passes filters to every test.
    fn parse() -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        let mut asked = Self { seconds: 16, seed: now, only: String::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|text| text.parse().ok());
            match word.as_str() {
                "--long" => asked.seconds = LONG,
                "--seconds" => asked.seconds = number()?,
                "--seed" => asked.seed = number()?,
                "--only" => asked.only = words.next()?,
                flag if flag.starts_with('-') => {}
                name if "linearizability".contains(name) => {}
                _ => return None,
            }
        }
        Some(asked)
    }
}

/// What was recorded so far.
#[derive(Default)]
struct Tally {
    operations: usize,
    killed: usize,
    kills: u64,
    stops: u64,
    failures: Vec<String>,
}

pub fn main() -> ExitCode {
    let Some(asked) = Asked::parse() else { return ExitCode::SUCCESS };
    println!("linearizability, seed {}", asked.seed);
    let shared = std::path::Path::new("/dev/shm");
    let base = if shared.is_dir() { shared } else { std::path::Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let folder = tempfile::Builder::new().prefix("shmsync-test-").tempdir_in(base).expect("a folder");
    let mut recorder = Recorder { log: Log::new(), folder: folder.path(), defect: None, stores: 0 };
    let (mut tally, mut dice, begun) = (Tally::default(), Dice::new(asked.seed), Instant::now());
    reject_bad(&mut tally);
    record_sound(&asked, &mut recorder, &mut dice, &mut tally);
    if cfg!(feature = "broken") {
        let wanted = defects::BROKEN
            .iter()
            .filter(|broken| broken.defect.contains(&asked.only) || is_any(&asked, broken.setting));
        for broken in wanted {
            if broken.is_rare && asked.seconds < LONG && asked.only.is_empty() {
                println!("{}: rarely seen, looked for by --long", broken.defect);
                continue;
            }
            find(broken, &mut recorder, &mut dice, &mut tally);
        }
    } else {
        println!("broken builds: not looked for, which takes --features broken");
    }
    println!(
        "{} operations ({} of them cut short by death), {} kills, {} stops in {:.0} s",
        tally.operations,
        tally.killed,
        tally.kills,
        tally.stops,
        begun.elapsed().as_secs_f64()
    );
    tally.failures.iter().for_each(|failure| println!("FAILED {failure}"));
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_any(asked: &Asked, setting: &Setting) -> bool {
    setting.name.contains(&asked.only)
}

/// Hand-written histories that no order explains, each within a second.
fn reject_bad(tally: &mut Tally) {
    for model in Model::ALL {
        let bad = bad::bad(model);
        assert_eq!(bad.len(), 5);
        for (what, history) in bad {
            let start = Instant::now();
            let verdict = check(model, &history, PATIENCE);
            if verdict != Verdict::Unexplained || start.elapsed() > Duration::from_secs(1) {
                tally.failures.push(format!("{model:?}, {what}: {verdict:?} after {:?}", start.elapsed()));
            }
            // Nor is it bad for another reason: without its last answer it is not.
            let last = history.iter().map(|operation| operation.end).max().unwrap_or(0);
            let known = |operation: &Operation| match operation.end < last {
                true => *operation,
                false => Operation { answer: None, end: u64::MAX, ..*operation },
            };
            let verdict = check(model, &history.iter().map(known).collect::<Vec<_>>(), PATIENCE);
            if verdict != Verdict::Explained {
                tally.failures.push(format!("{model:?}, {what}: also without its last answers"));
            }
        }
    }
}

/// What every store must stand: histories of many operations, each explained within a minute.
fn record_sound(asked: &Asked, recorder: &mut Recorder, dice: &mut Dice, tally: &mut Tally) {
    let wanted: Vec<&'static Setting> = SETTINGS.iter().filter(|setting| is_any(asked, setting)).collect();
    // A recording is short, so that its history is explained soon; a long run makes many.
    let share = asked.seconds as f64 / wanted.len().max(1) as f64;
    let (times, share) = ((share / 5.0).ceil() as u64, Duration::from_secs_f64(share.min(5.0)));
    for setting in (0..times).flat_map(|_| &wanted) {
        let mut recorded = recorder.record(setting, share, dice.below(u64::MAX));
        let start = Instant::now();
        let verdict = check(setting.model, &recorded.operations, PATIENCE);
        let (operations, kills) = (recorded.operations.len(), recorded.kills);
        println!(
            "{:<12}{operations:>8} operations, {kills:>5} kills, {verdict:?} in {:.1?}",
            setting.name,
            start.elapsed()
        );
        tally.operations += operations;
        tally.killed += recorded.operations.iter().filter(|operation| operation.answer.is_none()).count();
        (tally.kills, tally.stops) = (tally.kills + kills, tally.stops + recorded.stops);
        tally.failures.extend(recorded.faults.drain(..).map(|fault| format!("{}: {fault}", setting.name)));
        if verdict != Verdict::Explained {
            tally.failures.push(format!("{}: {verdict:?}", setting.name));
            show(setting, &recorded.operations);
        }
        if operations < setting.least {
            tally.failures.push(format!("{}: only {operations} operations, {} at least", setting.name, setting.least));
        }
        if tally.failures.len() > 3 {
            return;
        }
    }
}

fn show(setting: &Setting, operations: &[Operation]) {
    println!("no order explains this (nanoseconds since the first operation shown, and earlier writes left out):");
    let shown = window::window(setting.model, operations);
    let first = shown.iter().map(|operation| operation.begin).min().unwrap_or(0);
    for operation in shown {
        let end = if operation.end == u64::MAX { u64::MAX } else { operation.end - first };
        println!("  {:?}", Operation { begin: operation.begin - first, end, ..operation });
    }
}

/// Records with a defect until a history is explained by nothing.
fn find(broken: &defects::Broken, recorder: &mut Recorder, dice: &mut Dice, tally: &mut Tally) {
    let (start, mut recordings) = (Instant::now(), 0);
    recorder.defect = Some(broken.defect);
    let limit = if broken.is_rare { LONG_HUNT } else { HUNT };
    while start.elapsed() < limit {
        recordings += 1;
        let recorded = recorder.record(broken.setting, Duration::from_millis(1_500), dice.below(u64::MAX));
        (tally.kills, tally.stops) = (tally.kills + recorded.kills, tally.stops + recorded.stops);
        if check(broken.setting.model, &recorded.operations, PATIENCE) == Verdict::Unexplained {
            let elapsed = start.elapsed();
            println!("{}: found in recording {recordings} after {elapsed:.1?}", broken.defect);
            recorder.defect = None;
            return show(broken.setting, &recorded.operations);
        }
    }
    recorder.defect = None;
    tally.failures.push(format!("{} is not found within {limit:?}, {recordings} recordings", broken.defect));
}
