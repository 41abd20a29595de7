//! The fixed block: the first 256 bytes of a region, written once.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `SHMSYNC\n` |
//! | 8 | 4 | state: 1 = being made, 2 = ready |
//! | 12 | 4 | number of the format |
//! | 16 | 4 | 0x01020304 as the writer's processor keeps it |
//! | 20 | 4 | identity of the hash functions: 1 = rapidhash v3, XXH3 for checksums of long values |
//! | 24 | 8 | capacity in bytes |
//! | 32 | 8 | seed of the hash function |
//! | 40 | 8 | when it was made, nanoseconds since 1970 |
//! | 48 | 4 | shards |
//! | 52 | 4 | participants |
//! | 248 | 4 | CRC-32C of bytes 12 to 247 |

use std::path::Path;

use super::layout::{FORMAT, Geometry};
use crate::error::{Error, ErrorKind, Result};

pub(crate) const MAGIC: [u8; 8] = *b"SHMSYNC\n";
pub(crate) const LEN: usize = 256;
const INITIALISING: u32 = 1;
const READY: u32 = 2;
const ENDIAN: u32 = 0x0102_0304;
const RAPIDHASH_V3: u32 = 1;
const CHECKSUM_AT: usize = 248;

/// A fixed block that was checked: the type forbids use before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) geometry: Geometry,
    pub(crate) seed: u64,
    pub(crate) created_ns: u64,
}

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Ready(Header),
    /// Somebody began to make a region here and did not finish.
    Unfinished,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; LEN] {
        let mut block = [0; LEN];
        block[..8].copy_from_slice(&MAGIC);
        put32(&mut block, 8, INITIALISING);
        put32(&mut block, 12, FORMAT);
        put32(&mut block, 16, ENDIAN);
        put32(&mut block, 20, RAPIDHASH_V3);
        put64(&mut block, 24, self.geometry.capacity);
        put64(&mut block, 32, self.seed);
        put64(&mut block, 40, self.created_ns);
        put32(&mut block, 48, self.geometry.shards);
        put32(&mut block, 52, self.geometry.participants);
        let checksum = crc32c::crc32c(&block[12..CHECKSUM_AT]);
        put32(&mut block, CHECKSUM_AT, checksum);
        block
    }

    /// The bytes that make an encoded block ready, and where they go: the last thing that a creator writes.
    pub(crate) fn ready() -> (u64, [u8; 4]) {
        (8, READY.to_ne_bytes())
    }

    /// Checks the first bytes of a file.
    ///
    /// # Errors
    /// `NotAStore`, `Version`, `Corrupt`, each with the path and what to do.
    pub(crate) fn parse(block: &[u8], path: &Path) -> Result<Found> {
        let fail = |kind, what: String| Err(Error::new(kind, format!("{}: {what}", path.display())));
        if block.len() < 12 || block[..8] != MAGIC {
            return fail(
                ErrorKind::NotAStore,
                "the file is not a shmsync store; it was left as it is, choose another path".into(),
            );
        }
        if get32(block, 8) == INITIALISING {
            return Ok(Found::Unfinished);
        }
        if block.len() < LEN {
            return fail(
                ErrorKind::Corrupt,
                format!("only {} bytes are left of the store; restore a dump", block.len()),
            );
        }
        if get32(block, 16) == ENDIAN.swap_bytes() {
            return fail(
                ErrorKind::Version,
                "the store was made on a machine of the other byte order; use a dump".into(),
            );
        }
        let format = get32(block, 12);
        if format != FORMAT && get32(block, 8) == READY {
            return fail(
                ErrorKind::Version,
                format!(
                    "the store has format {format}, this program reads format {FORMAT}; dump it with the program that made it, then load the dump"
                ),
            );
        }
        let parsed = Self::parse_checked(block);
        match parsed {
            Some(header) => Ok(Found::Ready(header)),
            None => fail(
                ErrorKind::Corrupt,
                "the store's header is damaged; restore a dump, or `shmsync destroy` it".to_string(),
            ),
        }
    }

    fn parse_checked(block: &[u8]) -> Option<Self> {
        let sound = get32(block, 8) == READY
            && get32(block, 16) == ENDIAN
            && get32(block, 20) == RAPIDHASH_V3
            && get32(block, CHECKSUM_AT) == crc32c::crc32c(&block[12..CHECKSUM_AT]);
        let geometry = Geometry::new(get64(block, 24)).filter(|_| sound)?;
        let agrees = geometry.shards == get32(block, 48) && geometry.participants == get32(block, 52);
        agrees.then(|| Self { geometry, seed: get64(block, 32), created_ns: get64(block, 40) })
    }
}

fn put32(block: &mut [u8], at: usize, value: u32) {
    block[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

fn put64(block: &mut [u8], at: usize, value: u64) {
    block[at..at + 8].copy_from_slice(&value.to_ne_bytes());
}

fn get32(block: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn get64(block: &[u8], at: usize) -> u64 {
    u64::from(get32(block, at)) | u64::from(get32(block, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> [u8; LEN] {
        let geometry = Geometry::new(1 << 20).unwrap();
        let mut block = Header { geometry, seed: 7, created_ns: 8 }.encode();
        let (at, bytes) = Header::ready();
        block[at as usize..at as usize + 4].copy_from_slice(&bytes);
        block
    }

    fn kind(block: &[u8]) -> ErrorKind {
        Header::parse(block, Path::new("x")).unwrap_err().kind()
    }

    #[test]
    fn what_was_encoded_is_parsed() {
        let Found::Ready(header) = Header::parse(&block(), Path::new("x")).unwrap() else { panic!("unfinished") };
        assert_eq!((header.seed, header.created_ns, header.geometry.capacity), (7, 8, 1 << 20));
    }

    #[test]
    fn every_damage_has_its_own_kind() {
        assert_eq!(kind(b"PK\x03\x04 something else"), ErrorKind::NotAStore);
        assert_eq!(kind(&block()[..100]), ErrorKind::Corrupt);
        let mut other = block();
        other[12] = 99;
        assert_eq!(kind(&other), ErrorKind::Version);
        let mut damaged = block();
        damaged[24] ^= 0x40;
        assert_eq!(kind(&damaged), ErrorKind::Corrupt);
        let geometry = Geometry::new(1 << 20).unwrap();
        let begun = Header { geometry, seed: 0, created_ns: 0 }.encode();
        assert_eq!(Header::parse(&begun, Path::new("x")).unwrap(), Found::Unfinished);
    }
}
