//! A witness that knows nothing of stores: a file to which many append lines, also some who are killed meanwhile.

use std::{fs::OpenOptions, io, io::Write, path::Path};

/// Bytes of a line: as many fit into a page of the file, and none lies in two. Whoever is killed while it writes over the
/// end of a page leaves half of what it had to say.
const LINE: usize = 64;

/// Appends a line by one write, so that it lies there whole or not at all, whoever else writes.
pub fn testify(witness: &Path, what: &str) -> io::Result<()> {
    assert!(what.len() < LINE, "a line too long for a witness: {what:?}");
    let line = format!("{what:<length$}\n", length = LINE - 1);
    OpenOptions::new().append(true).create(true).open(witness)?.write_all(line.as_bytes())
}
