//! All values as one MessagePack map: how a file or a block of memory is shared by those who have nothing else.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::failure::Outcome;

/// A map that borrows from the bytes it was read from.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct Map<'a> {
    #[serde(borrow)]
    entries: HashMap<&'a str, Blob<'a>>,
}

/// Bytes, told from a list of numbers.
#[derive(Clone, Copy)]
struct Blob<'a>(&'a [u8]);

impl Serialize for Blob<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self)
    }
}

impl<'a> Map<'a> {
    /// No bytes are an empty map.
    pub(super) fn decode(bytes: &'a [u8]) -> Outcome<Self> {
        if bytes.is_empty() { Ok(Self::default()) } else { Ok(rmp_serde::from_slice(bytes)?) }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a [u8]> {
        self.entries.get(key).map(|blob| blob.0)
    }

    pub(super) fn set<'b: 'a>(&mut self, key: &'b str, value: &'b [u8]) {
        self.entries.insert(key, Blob(value));
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) -> Outcome<()> {
        into.clear();
        Ok(rmp_serde::encode::write(into, self)?)
    }

    /// The number under a key; missing ones are 0.
    pub(super) fn number(&self, key: &str) -> Outcome<i64> {
        self.get(key).map_or(Ok(0), |bytes| Ok(i64::from_le_bytes(bytes.try_into()?)))
    }
}
