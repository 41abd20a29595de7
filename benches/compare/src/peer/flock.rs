//! A file under flock(2): lock, read all of it, write all of it, unlock. The way of PHP programs and shell scripts.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::Path,
};

use nix::fcntl::{Flock as Locked, FlockArg};

use super::{Peer, map::Map};
use crate::{failure::Outcome, keys::Key};

/// The file stays open: its best case.
pub(crate) struct Flock {
    file: Option<File>,
    content: Vec<u8>,
    changed: Vec<u8>,
}

impl Flock {
    pub(crate) fn open(folder: &Path) -> Outcome<Self> {
        let path = folder.join("map.msgpack");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Self { file: Some(file), content: vec![], changed: vec![] })
    }

    /// Reads the map and, where `change` says so, writes it; all of it under the lock.
    fn under_lock<T>(
        &mut self,
        how: FlockArg,
        change: impl FnOnce(&[u8], &mut Vec<u8>) -> Outcome<(bool, T)>,
    ) -> Outcome<T> {
        let file = self.file.take().ok_or("the file was lost by an earlier error")?;
        let mut file = Locked::lock(file, how).map_err(|(_, error)| error)?;
        self.content.clear();
        file.rewind()?;
        file.read_to_end(&mut self.content)?;
        let (write, result) = change(&self.content, &mut self.changed)?;
        if write {
            file.rewind()?;
            file.write_all(&self.changed)?;
            file.set_len(self.changed.len() as u64)?;
        }
        self.file = Some(file.unlock().map_err(|(_, error)| error)?);
        Ok(result)
    }
}

impl Peer for Flock {
    const NAME: &'static str = "flock";

    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        self.under_lock(FlockArg::LockShared, |content, _| {
            into.clear();
            into.extend_from_slice(Map::decode(content)?.get(key.text).ok_or("a key is missing")?);
            Ok((false, ()))
        })
    }

    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        self.under_lock(FlockArg::LockExclusive, |content, changed| {
            let mut map = Map::decode(content)?;
            map.set(key.text, value);
            map.encode(changed)?;
            Ok((true, ()))
        })
    }

    /// A file with nothing but the number in it.
    fn add(&mut self, by: i64) -> Outcome<i64> {
        self.under_lock(FlockArg::LockExclusive, |content, changed| {
            let text = std::str::from_utf8(content)?;
            let sum = if text.is_empty() { by } else { text.parse::<i64>()? + by };
            changed.clear();
            write!(changed, "{sum}")?;
            Ok((true, sum))
        })
    }

    fn shift(&mut self, from: Key<'_>, to: Key<'_>) -> Outcome<()> {
        self.under_lock(FlockArg::LockExclusive, |content, changed| {
            let mut map = Map::decode(content)?;
            let less = (map.number(from.text)? - 1).to_le_bytes();
            map.set(from.text, &less);
            let more = (map.number(to.text)? + 1).to_le_bytes();
            map.set(to.text, &more);
            map.encode(changed)?;
            Ok((true, ()))
        })
    }

    fn number(&mut self, key: Key<'_>) -> Outcome<i64> {
        self.under_lock(FlockArg::LockShared, |content, _| Ok((false, Map::decode(content)?.number(key.text)?)))
    }
}
