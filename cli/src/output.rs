//! Standard output: what a verb answers, in words or in JSON.

use std::{
    cell::RefCell,
    io::{self, BufWriter, Stdout, Write, stdout},
    os::fd::AsFd,
    process, thread,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value as Json;
use shmsync::Value;

use crate::{failure::Failure, json::to_json};

/// Where answers go. Everything is buffered until [`Output::flush`].
pub(crate) struct Output {
    writer: RefCell<BufWriter<Stdout>>,
}

impl Output {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self { writer: RefCell::new(BufWriter::with_capacity(64 << 10, io::stdout())) }
    }

    /// Bytes as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.borrow_mut().write_all(bytes).map_err(Failure::output)
    }

    /// A line of text.
    pub(crate) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.raw(text.as_ref().as_bytes())?;
        self.raw(b"\n")
    }

    /// A line of JSON.
    pub(crate) fn json(&self, json: &Json) -> Result<(), Failure> {
        self.line(json.to_string())
    }

    /// A value for people and shells: strings as they are, all else as JSON.
    pub(crate) fn value(&self, value: &Value) -> Result<(), Failure> {
        match value.as_str() {
            Some(text) => self.line(text),
            None => self.json(&to_json(value)),
        }
    }

    /// Hands everything to whoever reads.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        self.writer.borrow_mut().flush().map_err(Failure::output)
    }
}

/// A line on standard error. Where even that is closed there is nobody left to tell.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "shmsync: {}", printable(text));
}

/// A table with a heading, columns as wide as they must be; control characters are shown, not sent.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heading = heading.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = std::iter::once(&heading)
        .chain(rows)
        .map(|row| row.iter().map(|cell| if cell.is_empty() { "-".into() } else { printable(cell) }).collect())
        .collect();
    let width = |column: usize| lines.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let text = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(text).collect()
}

/// Text that cannot move the cursor: control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Ends this process when nobody reads its output any more, although there is nothing to write: `watch … | head -1`.
pub(crate) fn end_with_the_reader() {
    thread::spawn(|| {
        let out = stdout();
        let mut out = [PollFd::new(out.as_fd(), PollFlags::empty())];
        // A file or a terminal never answers; a pipe does when its other end is closed.
        while poll(&mut out, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
        if out[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR)) {
            process::exit(0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_harmless() {
        let rows = [vec!["1".into(), "a\x1b[2J".into()], vec!["4711".into(), String::new()]];
        assert_eq!(table(&["PID", "LABEL"], &rows), ["PID   LABEL", "1     a\\u{1b}[2J", "4711  -"]);
    }
}
