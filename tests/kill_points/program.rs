//! The program: what is asked for, what came of it.

mod api;
#[path = "../common/arguments.rs"]
mod arguments;
mod beside;
mod crew;
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
use crew::Outcome;
use explore::{Effort, Report, Site};
use operations::Operation;

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

    /// What takes longest comes first, so that nobody has to wait for it at the end.
    fn tasks<'a>(&self, operations: &'a [Operation]) -> Vec<Task<'a>> {
        let of_recovery = |operation: &&Operation| {
            recovery::NAMES.contains(&operation.name) && (self.wants("recovery") || self.wants(operation.name))
        };
        let mut tasks: Vec<_> = operations.iter().filter(of_recovery).map(Task::Recovery).collect();
        tasks.extend(operations.iter().filter(|operation| self.wants(operation.name)).map(Task::Operation));
        tasks.extend(self.wants(beside::NAME).then_some(Task::Beside));
        tasks
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
    // What seeds hash maps is inherited by all children, so that they all do the same.
    drop(std::hash::RandomState::new());
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let folder = tempfile::Builder::new().prefix("shmsync-test-").tempdir_in(base).expect("a folder");
    println!("kill points, seed {}", asked.effort.seed);
    println!("{:<36}{:>14}{:>8}{:>8}{:>9}{:>8}", "operation", "instructions", "points", "kills", "strayed", "seconds");
    let begun = Instant::now();
    let tasks = asked.tasks(&operations);
    let found = crew::share_out(tasks.len() as u16, folder.path(), |number, folder| {
        tasks[usize::from(number)].explore(&asked, folder)
    });
    failures.extend(found.failures);
    println!("{} kills in {:.1} s, {} failures", found.kills, begun.elapsed().as_secs_f64(), failures.len());
    failures.iter().take(20).for_each(|failure| println!("FAILED {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is explored by one explorer.
enum Task<'a> {
    Operation(&'a Operation),
    Recovery(&'a Operation),
    Beside,
}

impl Task<'_> {
    fn name(&self) -> String {
        match self {
            Self::Operation(operation) => operation.name.to_owned(),
            Self::Recovery(operation) => format!("recovery: {}", operation.name),
            Self::Beside => beside::NAME.to_owned(),
        }
    }

    fn explore(&self, asked: &Asked, folder: &Path) -> Outcome {
        let (name, start) = (self.name(), Instant::now());
        let report = match self {
            Self::Operation(operation) => Site::new(operation, folder).explore(asked.effort),
            Self::Recovery(operation) => recovery::explore(operation, folder, asked.effort, asked.long),
            Self::Beside => beside::explore(folder, asked.effort),
        };
        print(&name, &report, start);
        let failures = report.failures.iter().map(|failure| format!("{name}: {failure}")).collect();
        Outcome { kills: report.kills, failures }
    }
}

fn print(name: &str, report: &Report, start: Instant) {
    let Report { instructions, points, kills, strayed, .. } = report;
    let seconds = start.elapsed().as_secs_f64();
    println!("{name:<36}{instructions:>14}{points:>8}{kills:>8}{strayed:>9}{seconds:>8.1}");
}
