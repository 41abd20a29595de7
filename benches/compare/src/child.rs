//! Other processes: this program once more, in a role.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    failure::{Outcome, fail},
    role::FLAG,
};

/// What a child says when it has everything that it needs.
pub(crate) const READY: &str = "ready";

/// A running child, killed when it is dropped.
pub(crate) struct Child {
    role: &'static str,
    process: Process,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program in that role.
    pub(crate) fn start(role: &'static str, folder: &Path, words: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FLAG, role]).arg(folder).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take().ok_or("a child without output")?);
        Ok(Self { role, process, input, output: BufReader::new(output) })
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn ready(role: &'static str, folder: &Path, words: &[&str]) -> Outcome<Self> {
        let mut child = Self::start(role, folder, words)?;
        child.wait_ready()?;
        Ok(child)
    }

    pub(crate) fn wait_ready(&mut self) -> Outcome<()> {
        let said = self.hear()?;
        if said == READY {
            Ok(())
        } else {
            fail(format!("process `{}` says {said:?} instead of being ready", self.role))
        }
    }

    pub(crate) fn tell(&mut self, line: &str) -> Outcome<()> {
        Ok(writeln!(self.input.as_mut().ok_or("a child without input")?, "{line}")?)
    }

    /// The next line; an error if it has ended.
    pub(crate) fn hear(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return fail(format!("process `{}` ended early ({})", self.role, self.process.wait()?));
        }
        Ok(line.trim_end().to_owned())
    }

    /// The next line as numbers.
    pub(crate) fn numbers(&mut self) -> Outcome<Vec<f64>> {
        let line = self.hear()?;
        Ok(line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Ends it as it ends by itself.
    pub(crate) fn end(mut self) -> Outcome<()> {
        self.input = None;
        let status = self.process.wait()?;
        if status.success() { Ok(()) } else { fail(format!("process `{}` failed: {status}", self.role)) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
