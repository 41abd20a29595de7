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
    failure::{Outcome, fail},
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
    let failed = measure(&args, &bench, &mut report);
    let (targets, missed) = report.targets();
    println!("\nof {targets} targets {missed} missed");
    if let Some(path) = &args.json {
        fs::write(path, json(&report)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if !failed.is_empty() {
        return fail(format!("failed, and missing above: {}", failed.join(", ")));
    }
    if let Some(commit) = &commit {
        write_readme(&bench, &report, commit)?;
    }
    Ok(())
}

/// Measures all works that are wanted; tells which of them failed. The others are still worth their time.
fn measure(args: &Args, bench: &Bench, report: &mut Report) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for work in &args.works {
        if let Err(error) = (work.run)(bench, report) {
            eprintln!("shmsync-compare: {}: {error}", work.name);
            failed.push(work.name);
        }
    }
    failed
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
