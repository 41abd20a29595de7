//! Reads one file: digest, bytes and lines, as a stream.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::Failure;

const CHUNK: usize = 1 << 20;

/// What reading a file gave: the value of a `result/…` key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileResult {
    /// SHA-256, in hexadecimal; empty where it could not be read.
    pub(super) sha256: String,
    /// Bytes read.
    pub(super) bytes: u64,
    /// Line feeds among them.
    pub(super) lines: u64,
    /// When the file was last modified, in nanoseconds since 1970.
    pub(super) modified: i64,
    /// Why it could not be read; empty where it could.
    pub(super) error: String,
}

impl FileResult {
    /// Whether the file could be read.
    pub(super) fn is_read(&self) -> bool {
        self.error.is_empty()
    }

    fn unreadable(error: &io::Error) -> Self {
        Self { error: error.to_string(), ..Self::default() }
    }
}

/// Reads files, one after the other, with one buffer.
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// A reader.
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; CHUNK] }
    }

    /// Reads a file; between chunks `at` is told how far it is. A file that cannot be read is a result as well;
    /// only `at` can fail.
    pub(super) fn read(
        &mut self,
        path: &Path,
        mut at: impl FnMut(u64) -> Result<(), Failure>,
    ) -> Result<FileResult, Failure> {
        let (mut file, modified) = match open(path) {
            Ok(opened) => opened,
            Err(error) => return Ok(FileResult::unreadable(&error)),
        };
        let mut result = FileResult { modified, ..FileResult::default() };
        let mut digest = Sha256::new();
        loop {
            let count = match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(FileResult::unreadable(&error)),
            };
            let chunk = &self.buffer[..count];
            digest.update(chunk);
            result.bytes += count as u64;
            result.lines += chunk.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if count == CHUNK {
                at(result.bytes)?;
            }
        }
        result.sha256 = hex(&digest.finalize());
        Ok(result)
    }
}

/// Opens a regular file and nothing else: what has become a pipe meanwhile must not block.
fn open(path: &Path) -> io::Result<(File, i64)> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no longer a regular file"));
    }
    let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    Ok((file, modified))
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_hashed_and_counted_chunk_by_chunk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let mut bytes = vec![b'x'; 2 * CHUNK + 5];
        bytes[7] = b'\n';
        bytes[2 * CHUNK + 1] = b'\n';
        fs::write(&path, &bytes).expect("written");
        let mut positions = Vec::new();
        let result = Reader::new()
            .read(&path, |at| {
                positions.push(at);
                Ok(())
            })
            .expect("nobody stopped it");
        assert_eq!((result.bytes, result.lines), (bytes.len() as u64, 2));
        assert_eq!(positions, [CHUNK as u64, 2 * CHUNK as u64]);
        assert_eq!(result.sha256, hex(&Sha256::digest(&bytes)));
    }

    #[test]
    fn what_cannot_be_read_is_a_result_with_a_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in [folder.path().join("missing"), folder.path().to_owned()] {
            let result = Reader::new().read(&path, |_| Ok(())).expect("nobody stopped it");
            assert!(!result.is_read() && result.bytes == 0, "{result:?}");
        }
    }
}
