//! The program: what is asked for, what came of it.

mod api;
#[path = "../common/arguments.rs"]
mod arguments;
mod beside;
#[path = "../common/dice.rs"]
mod dice;
mod explore;
mod fillings;
mod helper;
mod image;
mod lock_operations;
mod operations;
mod recovery;
mod single;
mod survivor;
mod trace;
mod whole;

use std::{path::Path, process::ExitCode, time::Instant};

use arguments::Arguments;
use explore::{Effort, Report, Site};

/// Millions of instructions, each of which is a stop: minutes.
const LONG_ONLY: [&str; 1] = ["transaction, full"];

/// What the command line asks for.
struct Asked {
    effort: Effort,
    long: bool,
    names: Vec<String>,
}

impl Asked {
    fn parse() -> Self {
        let mut words = Arguments::of_this_process();
        let (all, seed) = (words.flag("--all"), words.seed());
        let long = words.flag("--long") || all || std::env::var_os("SHMSYNC_LONG").is_some_and(|value| value == "1");
        let effort = match long {
            true => Effort { all, random: 200, in_loops: 60, at_most: usize::MAX, seed },
            false => Effort { all, random: 40, in_loops: 12, at_most: 400, seed },
        };
        Self { effort, long, names: words.names() }
    }

    fn wants(&self, name: &str) -> bool {
        if self.names.is_empty() && !self.long && LONG_ONLY.contains(&name) {
            println!("{name:<36}{:>14}", "with --long");
            return false;
        }
        self.names.is_empty() || self.names.iter().any(|wanted| name.contains(wanted.as_str()))
    }
}

pub fn main() -> ExitCode {
    let asked = Asked::parse();
    let operations = operations::operations();
    let mut failures = api::missing(&operations);
    trace::stay_on_one_processor();
    // What seeds hash maps is inherited by all children, so that they all do the same.
    drop(std::hash::RandomState::new());
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let folder = tempfile::Builder::new().prefix("shmsync-test-").tempdir_in(base).expect("a folder");
    println!("kill points, seed {}", asked.effort.seed);
    println!("{:<36}{:>14}{:>8}{:>8}{:>9}{:>8}", "operation", "instructions", "points", "kills", "strayed", "seconds");
    let begun = Instant::now();
    let mut kills = 0;
    let mut explored = |name: &str, explore: &dyn Fn() -> Report| {
        let start = Instant::now();
        let report = explore();
        kills += report.kills;
        print(name, &report, start);
        failures.extend(report.failures.iter().map(|failure| format!("{name}: {failure}")));
    };
    for operation in operations.iter().filter(|operation| asked.wants(operation.name)) {
        explored(operation.name, &|| Site::new(operation, folder.path()).explore(asked.effort));
    }
    for operation in operations.iter().filter(|operation| asked.wants("recovery") || asked.wants(operation.name)) {
        if recovery::NAMES.contains(&operation.name) {
            let name = format!("recovery: {}", operation.name);
            explored(&name, &|| recovery::explore(operation, folder.path(), asked.effort, asked.long));
        }
    }
    if asked.wants(beside::NAME) {
        explored(beside::NAME, &|| beside::explore(folder.path(), asked.effort));
    }
    println!("{kills} kills in {:.1} s, {} failures", begun.elapsed().as_secs_f64(), failures.len());
    failures.iter().take(20).for_each(|failure| println!("FAILED {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(name: &str, report: &Report, start: Instant) {
    let Report { instructions, points, kills, strayed, .. } = report;
    let seconds = start.elapsed().as_secs_f64();
    println!("{name:<36}{instructions:>14}{points:>8}{kills:>8}{strayed:>9}{seconds:>8.1}");
}
