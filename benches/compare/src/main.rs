//! Measures shmsync beside what people use instead: `docs/performance.md` says how, `--help` says what.

mod args;
mod bench;
mod child;
mod clock;
mod duel;
mod failure;
mod figures;
mod keys;
mod peer;
mod report;
mod role;
mod row;
mod tape;
mod value;
mod work;

use std::{env, fs, process::ExitCode};

use self::{
    args::{Args, help},
    bench::{Bench, SEED},
    failure::Outcome,
    report::{Machine, Report, check_readme, commit, json, write_readme},
};

fn main() -> ExitCode {
    let mut arguments = env::args();
    arguments.next();
    let result = match env::args().nth(1).as_deref() {
        Some(role::FLAG) => role::play({
            arguments.next();
            arguments
        }),
        _ => Args::parse(arguments).and_then(run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shmsync-compare: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Args) -> Outcome<()> {
    if args.help {
        println!("{}", help());
        return Ok(());
    }
    if args.check_readme {
        println!("{}", check_readme()?);
        return Ok(());
    }
    let (bench, mut report) = (Bench::new(args.quick)?, Report::default());
    // Told before anything is measured, and of the sources as they are now.
    let commit = args.readme.then(commit).transpose()?;
    introduce(&bench);
    report.heading();
    for work in &args.works {
        (work.run)(&bench, &mut report).map_err(|error| format!("{}: {error}", work.name))?;
    }
    let (targets, missed) = report.targets();
    println!("\nof {targets} targets {missed} missed");
    if let Some(path) = &args.json {
        fs::write(path, json(&report)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(commit) = &commit {
        write_readme(&bench, &report, commit)?;
    }
    Ok(())
}

fn introduce(bench: &Bench) {
    let machine = Machine::here();
    println!("{}, {}\npeers: {}", machine.processor, machine.kernel, machine.peers);
    println!(
        "seed {SEED:#x}, {} runs by turns, median ± the farthest run; ratio: the peer's time through ours",
        bench.runs
    );
    println!("p99: of single operations from 1 µs on, of the means of 64 (two processes: 16) where they are shorter");
    if cfg!(debug_assertions) {
        println!("BUILT WITHOUT OPTIMISATION: these figures say nothing");
    }
    if bench.quick {
        println!("QUICK: \"1m\" is {} here, and these figures are rough", bench.many);
    }
    println!();
}
