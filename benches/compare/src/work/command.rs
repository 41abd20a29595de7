//! The command, as a shell script calls it.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    bench::Bench,
    duel::{Side, duel_of},
    failure::{Outcome, fail},
    peer::{Ours, fill},
    report::Report,
    row::{Row, Target},
    tape::Tape,
    value::Value,
};

const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

pub(crate) fn cli_incr_alone(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let program = program()?;
    let (few, many) = (bench.fresh("few")?, bench.fresh("many")?);
    fill(&mut Ours::open(&few)?, &bench.keys(10), &mut Value::small())?;
    fill(&mut Ours::open(&many)?, &bench.keys(bench.many), &mut Value::small())?;
    let operations = if bench.quick { 20 } else { 200 };
    let incr = |folder: &Path| {
        let mut command = Command::new(&program);
        command.arg("--store").arg(Ours::file(folder)).args(["incr", "count"]);
        spawning(command)
    };
    let beside_true = |folder| duel_of(bench, operations, &mut incr(folder), &mut spawning(Command::new("/bin/true")));
    let third = Target::Ratio(1.0 / 3.0);
    report.push(Row::new("cli-incr-alone", "true", beside_true(&few)?, third));
    report.push(Row::new("cli-incr-alone-1m", "true", beside_true(&many)?, third));
    let sizes = duel_of(bench, operations, &mut incr(&many), &mut incr(&few))?;
    report.push(Row::new("cli-incr-alone-1m", "10-keys", sizes, Target::Ratio(1.0 / 1.2)));
    Ok(())
}

/// A lock around a program that does nothing, beside flock(1).
pub(crate) fn lock_run(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (program, here, there) = (program()?, bench.fresh("ours")?, bench.fresh("flock")?);
    Ours::open(&here)?;
    let operations = if bench.quick { 20 } else { 200 };
    let mut ours = Command::new(&program);
    ours.arg("--store").arg(Ours::file(&here)).args(["lock", "run", "deploy", "--", "/bin/true"]);
    let mut flock = Command::new("/usr/bin/flock");
    flock.arg(there.join("lock")).arg("/bin/true");
    let figures = duel_of(bench, operations, &mut spawning(ours), &mut spawning(flock))?;
    report.push(Row::new("lock-run", "flock", figures, Target::Ratio(1.0 / 1.5)));
    Ok(())
}

/// A whole process, from its start to its end.
fn spawning(mut command: Command) -> impl Side {
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    move |operations: usize, tape: &mut Tape| -> Outcome<u64> {
        tape.operations(operations, || {
            let status = command.status()?;
            if status.success() { Ok(()) } else { fail(format!("{command:?} failed: {status}")) }
        })?;
        Ok(0)
    }
}

/// The command beside this program. Cargo is asked to build it, or nobody would know of which version it is.
fn program() -> Outcome<PathBuf> {
    let own = env::current_exe()?;
    let folder = own.parent().ok_or("this program is nowhere")?;
    let program = folder.join("shmsync");
    if let (Some(cargo), true) = (env::var_os("CARGO"), folder.ends_with(PROFILE)) {
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--locked", "--package", "shmsync-cli", "--target-dir"]);
        command.arg(folder.parent().ok_or("this program is nowhere")?);
        command.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")]);
        command.args((PROFILE == "release").then_some("--release"));
        if !command.status()?.success() {
            return fail(format!("{} could not be built: run `cargo build --package shmsync-cli`", program.display()));
        }
    }
    if program.is_file() {
        return Ok(program);
    }
    fail(format!("{} is missing: build it with `cargo build --release --package shmsync-cli`", program.display()))
}
