//! The `shmsync` command: shared values, counters and watches for shell scripts. It sees the library's public face only.

mod archive;
mod args;
mod config;
mod context;
mod demo;
mod duration;
mod failure;
mod holding;
mod json;
mod moment;
mod output;
mod owner;
mod program;
mod size;
mod steps;
mod turn;
mod verb;

use std::{env, process::ExitCode};

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
        Ok(Outcome::Code(code)) => ExitCode::from(code),
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

fn run() -> Answer {
    let words: Vec<_> = env::args_os().collect();
    let (is_runner, answer) = match Cli::read(&words) {
        Ok(cli) => (cli.verb.runs_a_program(), act(cli)),
        Err(error) => (args::names_a_runner(words.into_iter().skip(1)), explain(&error)),
    };
    if is_runner { answer.map_err(Failure::of_runner) } else { answer }
}

fn act(cli: Cli) -> Answer {
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
