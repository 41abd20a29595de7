//! The program: what is asked for, what came of it.

#[path = "../common/arguments.rs"]
mod arguments;
mod board;
mod check;
mod dead;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../kill_points/helper.rs"]
mod helper;
mod process;
mod round;
mod steady;
mod storm;
mod turns;
#[path = "../common/witness.rs"]
mod witness;
mod worker;

use std::{
    path::Path,
    process::ExitCode,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use arguments::Arguments;
use board::Board;
use dead::{CLASSES, Class};
use dice::Dice;
use round::ROUNDS;
use storm::{Storm, Tally};

/// What the command line asks for.
struct Asked {
    kills: u64,
    seconds: u64,
    seed: u64,
    round: String,
    /// Figures too small prove nothing; on a short run of one round they are not asked for.
    complete: bool,
}

impl Asked {
    /// `None` when a name was given that is not ours: cargo passes filters to every test.
    fn parse() -> Option<Self> {
        let mut words = Arguments::of_this_process();
        let (kills, seed, round) = (words.number("--kills"), words.seed(), words.value("--round"));
        let seconds = words.number("--seconds").unwrap_or(if kills.is_some() { u64::MAX / 4 } else { 50 });
        let (kills, complete) = (kills.unwrap_or(u64::MAX), round.is_none());
        let is_meant = words.names().iter().all(|name| "storm".contains(name.as_str()));
        is_meant.then(|| Self { kills, seconds, seed, round: round.unwrap_or_default(), complete })
    }
}

pub fn main() -> ExitCode {
    let Some(asked) = Asked::parse() else { return ExitCode::SUCCESS };
    let board = Board::new();
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let folder = tempfile::Builder::new().prefix("shmsync-test-").tempdir_in(base).expect("a folder");
    println!("storm, seed {}", asked.seed);
    process::hurry(0, process::HURRY);
    let (mut tally, mut dice) = (Tally::default(), Dice::new(asked.seed));
    let rounds: Vec<_> = ROUNDS.iter().filter(|round| round.name.contains(&asked.round)).collect();
    let share = Duration::from_secs((asked.seconds / rounds.len().max(1) as u64).min(600));
    let begun = Instant::now();
    let is_well = |tally: &Tally| tally.failures.is_empty() && board.faults.load(SeqCst) == 0;
    while is_well(&tally) && tally.all_kills() < asked.kills && begun.elapsed().as_secs() < asked.seconds {
        for round in &rounds {
            let (first, before) = (tally.all_kills(), Instant::now());
            let left = asked.kills.saturating_sub(first).min((asked.kills / 20).max(1000));
            let dice = Dice::new(dice.below(u64::MAX));
            tally.sizes.clear();
            Storm::new(board, round, folder.path(), dice, &mut tally).rage(left, share);
            tally.failures.extend(grown(&tally.sizes).filter(|_| round.name != "always full"));
            let (kills, seconds) = (tally.all_kills() - first, before.elapsed().as_secs_f64());
            println!("{:<14}{kills:>9} kills, {seconds:>6.1} s, {} operations", round.name, board.operations());
            if !is_well(&tally) {
                break;
            }
        }
    }
    if asked.complete && is_well(&tally) {
        stay_steady(board, folder.path(), &asked, &mut dice, &mut tally);
    }
    report(&tally, board, folder.path(), begun.elapsed(), &asked)
}

/// Bytes allocated after many operations, compared with those after few.
fn stay_steady(board: &'static Board, folder: &Path, asked: &Asked, dice: &mut Dice, tally: &mut Tally) {
    let (few, many) = if asked.kills < u64::MAX { (100_000, 10_000_000) } else { (50_000, 500_000) };
    match steady::steady(board, folder, few, many, dice) {
        Ok([early, late]) => {
            println!("{early:?}\n{late:?}");
            if late.allocated * 100 > early.allocated * 105 {
                tally.failures.push(format!("a live set that stays the same takes more and more: {early:?}, {late:?}"));
            }
        }
        Err(fault) => tally.failures.push(fault),
    }
}

/// On a live set that stays the same on average, the room in use must not creep up.
fn grown(sizes: &[(u64, u64, u64)]) -> Option<String> {
    let half = sizes.len() / 2;
    if half < 4 {
        return None;
    }
    // The first parks come before all keys exist.
    let most = |sizes: &[(u64, u64, u64)]| sizes.iter().map(|(_, used, _)| *used).max().unwrap_or(0);
    let (early, late) = (most(&sizes[half / 2..half]), most(&sizes[half..]));
    (late * 100 > early * 125).then(|| format!("room in use creeps up: {sizes:?}"))
}

fn report(tally: &Tally, board: &Board, folder: &Path, time: Duration, asked: &Asked) -> ExitCode {
    let mut failures = tally.failures.clone();
    let count = |class: &Class| tally.kills.get(class).copied().unwrap_or(0);
    for class in &CLASSES {
        println!("{:<14}{:>9}", format!("{class:?}").to_lowercase(), count(class));
        let least = match class {
            Class::Write | Class::Allocation | Class::Transaction => tally.all_kills() / 500 + 1,
            Class::Recovery => tally.all_kills() / 5_000 + 1,
            // So rare that a short storm may well have none; `tests/kills_where.rs` aims at it.
            Class::Growth => tally.all_kills() / 10_000,
            _ => 0,
        };
        if asked.complete && count(class) < least {
            failures.push(format!("only {} kills in {class:?}, {least} at least", count(class)));
        }
    }
    println!(
        "{} kills, {:.0} a second ({} with their memory released early, {} of 1 GiB), {} stops, {} parks (the longest took {:.1} s), the dead were seen for {} ms at most, {} operations ({} of them Full), {} turns under a lock in {:.0} s",
        tally.all_kills(),
        tally.all_kills() as f64 / time.as_secs_f64(),
        tally.released_early,
        tally.heavy,
        tally.stops,
        tally.parks,
        tally.longest_park.as_secs_f64(),
        tally.longest_dead,
        board.operations(),
        board.full.load(SeqCst),
        board.turns.load(SeqCst),
        time.as_secs_f64()
    );
    if asked.complete && board.turns.load(SeqCst) < tally.all_kills() / 20 {
        failures.push("too few turns under a lock".to_owned());
    }
    let faults = board.faults.load(SeqCst);
    if faults > 0 {
        let seen = std::fs::read_to_string(worker::faults(folder)).unwrap_or_default();
        failures.push(format!("{faults} faults seen by workers, seed {}:\n{seen}", asked.seed));
    }
    failures.iter().for_each(|failure| println!("FAILED {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
