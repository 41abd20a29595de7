//! The `shmsync` command: shared values, counters and watches for shell scripts. It sees the library's public face only.

mod archive;
mod args;
mod config;
mod context;
mod demo;
mod duration;
mod failure;
mod json;
mod output;
mod size;
mod verb;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::Cli,
    config::Layer,
    context::Context,
    failure::{Answer, Failure, Outcome},
    output::Output,
};

fn main() -> ExitCode {
    match run() {
        Ok(Outcome::Yes) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(if matches!(failure, Failure::NoStore(_)) { 1 } else { 2 })
        }
    }
}

fn run() -> Answer {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let below = Layer::load(cli.verb.makes_configuration())?;
    let context = Context::new(cli.globals, below);
    let outcome = cli.verb.run(&context);
    let flushed = context.out.flush();
    let outcome = outcome?;
    flushed.map(|()| outcome)
}

/// Help and version are answers; anything else is a wrong command line.
fn explain(error: &clap::Error) -> Answer {
    if error.use_stderr() {
        return Err(Failure::Message(args::one_line(error)));
    }
    let out = Output::stdout();
    out.raw(error.to_string().as_bytes())?;
    out.flush().map(|()| Outcome::Yes)
}
