//! Dumps in MessagePack: a map `{"shmsync_dump": 1, "entries": N}`, then three values for each entry: key, value, and
//! lifetime (nil = for ever, an integer = milliseconds that are left, `"process"` = gone with the process that wrote it).

use rmpv::{decode::read_value, encode::write_value};
use shmsync::{EncodedEntry, Lifetime, Value};
use std::time::Duration;

use crate::failure::Failure;

const MARK: &str = "shmsync_dump";
const VERSION: u64 = 1;

/// The bytes of a value.
pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_value(&mut bytes, value).expect("memory takes everything");
    bytes
}

/// The value of a key's bytes.
pub(crate) fn decode(key: &str, mut bytes: &[u8]) -> Result<Value, Failure> {
    let failed = |error| format!("the value of {key:?} is no MessagePack ({error}); set or remove it");
    Ok(read_value(&mut bytes).map_err(failed)?)
}

/// Entries as a dump.
pub(crate) fn write(entries: &[EncodedEntry]) -> Vec<u8> {
    let count = entries.len() as u64;
    let head = Value::Map(vec![(MARK.into(), VERSION.into()), ("entries".into(), count.into())]);
    let mut bytes = encode(&head);
    for EncodedEntry { key, value, lifetime } in entries {
        bytes.extend(encode(&Value::from(key.as_str())));
        bytes.extend_from_slice(value);
        bytes.extend(encode(&match lifetime {
            Lifetime::Ttl(left) => Value::from(u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)),
            Lifetime::Process => Value::from("process"),
            Lifetime::Forever | Lifetime::Keep => Value::Nil,
        }));
    }
    bytes
}

/// The entries of a dump, or what is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<EncodedEntry>, String> {
    let mut parts = Parts { rest: bytes };
    let head = parts.next("the beginning").map_err(|_| "it is neither JSON nor a dump".to_owned())?.0;
    let field = |name: &str| head.as_map()?.iter().find(|(key, _)| key.as_str() == Some(name))?.1.as_u64();
    let count = match (field(MARK), field("entries")) {
        (Some(VERSION), Some(count)) => count,
        (Some(version), _) => return Err(format!("it has version {version}, and this program reads {VERSION}")),
        _ => return Err("it is neither JSON nor a dump".into()),
    };
    let entries =
        (1..=count).map(|number| parts.entry(&format!("entry {number} of {count}"))).collect::<Result<_, _>>()?;
    if parts.rest.is_empty() { Ok(entries) } else { Err(format!("something follows entry {count}, the last one")) }
}

/// What is left to read.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The next value, and its own bytes.
    fn next(&mut self, what: &str) -> Result<(Value, &'a [u8]), String> {
        let before = self.rest;
        let value = read_value(&mut self.rest).map_err(|error| format!("{what} cannot be read ({error})"))?;
        Ok((value, &before[..before.len() - self.rest.len()]))
    }

    fn entry(&mut self, what: &str) -> Result<EncodedEntry, String> {
        let key = self.next(what)?.0;
        let key = key.as_str().ok_or_else(|| format!("the key of {what} is no string"))?.to_owned();
        let value = self.next(what)?.1.to_owned();
        let lifetime = match self.next(what)?.0 {
            Value::Nil => Lifetime::Forever,
            Value::String(text) if text.as_str() == Some("process") => Lifetime::Process,
            other => match other.as_u64() {
                Some(left @ 1..) => Lifetime::Ttl(Duration::from_millis(left)),
                _ => return Err(format!("the lifetime of {what} is none")),
            },
        };
        Ok(EncodedEntry { key, value, lifetime })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<EncodedEntry> {
        let entry =
            |key: &str, value: Value, lifetime| EncodedEntry { key: key.into(), value: encode(&value), lifetime };
        vec![
            entry("bytes", Value::Binary(vec![0, 255]), Lifetime::Forever),
            entry("nan", Value::F64(f64::NAN), Lifetime::Ttl(Duration::from_millis(1_500))),
            entry("ü\n", Value::Array(vec![Value::Nil]), Lifetime::Process),
        ]
    }

    #[test]
    fn nothing_is_lost() {
        assert_eq!(read(&write(&entries())), Ok(entries()));
        assert_eq!(read(&write(&[])), Ok(vec![]));
    }

    #[test]
    fn a_dump_that_is_cut_short_or_goes_on_is_refused() {
        let whole = write(&entries());
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
        assert!(read(&[&whole[..], &[0]].concat()).expect_err("longer").contains("follows"));
        assert!(read(b"\x81\xa1a\x01").expect_err("another map").contains("neither"));
        // A length that nothing could have.
        assert!(read(&[&whole[..whole.len() - 9], &[0xdd, 0xff, 0xff, 0xff, 0xff]].concat()).is_err());
    }
}
