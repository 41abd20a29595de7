//! What a transaction has read and written so far.

use super::scratch::Scratch;
use crate::driver::{Lifetime, Revision};

/// The keys that a transaction knows, each once. Their buffers are this thread's, so that a small one allocates little.
#[derive(Debug, Default)]
pub(super) struct Touched {
    items: Vec<Item>,
    pub(super) reads: usize,
    pub(super) writes: usize,
}

/// A key that was read, or is to be written, or both.
#[derive(Debug)]
pub(super) struct Item {
    /// Tells nearly all keys apart by one comparison.
    mark: u64,
    /// The whole key as the driver knows it.
    pub(super) key: Scratch<String>,
    pub(super) read: Option<Read>,
    pub(super) write: Option<Write>,
}

#[derive(Debug)]
pub(super) struct Read {
    pub(super) revision: Option<Revision>,
    pub(super) value: Scratch<Vec<u8>>,
}

#[derive(Debug)]
pub(super) enum Write {
    Put(Scratch<Vec<u8>>, Lifetime),
    Delete,
}

impl Item {
    /// The value as the transaction sees it.
    pub(super) fn value(&self) -> Option<&[u8]> {
        match (&self.write, &self.read) {
            (Some(Write::Put(value, _)), _) => Some(value),
            (None, Some(Read { revision: Some(_), value })) => Some(value),
            _ => None,
        }
    }
}

impl Touched {
    /// Where a key is that was touched before; `prefix` is how many bytes of whole keys are not the caller's.
    pub(super) fn find(&self, prefix: usize, key: &str) -> Option<usize> {
        let mark = mark(key);
        let is_it = |item: &Item| item.mark == mark && item.key.as_bytes()[prefix..] == *key.as_bytes();
        self.items.iter().position(is_it)
    }

    /// Adds a key that was not touched before.
    pub(super) fn add(&mut self, prefix: usize, key: Scratch<String>, read: Option<Read>) -> usize {
        self.reads += usize::from(read.is_some());
        self.items.push(Item { mark: mark(&key[prefix..]), key, read, write: None });
        self.items.len() - 1
    }

    /// Says what is to become of a key.
    pub(super) fn write(&mut self, index: usize, write: Write) {
        self.writes += usize::from(self.items[index].write.replace(write).is_none());
    }

    pub(super) fn item(&self, index: usize) -> &Item {
        &self.items[index]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }
}

/// Words of fixed sizes, the last of which may overlap the one before.
fn mark(key: &str) -> u64 {
    let mix = |mark: u64, word: u64| (mark ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let (bytes, mark) = (key.as_bytes(), key.len() as u64);
    match bytes.last_chunk::<8>() {
        Some(last) => {
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
            mix(words.fold(mark, mix), u64::from_ne_bytes(*last))
        }
        None => mix(mark, bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_also_where_their_marks_are_equal() {
        let mut touched = Touched::default();
        for name in ["space/a", "space/b", "space/ab"] {
            let mut key = Scratch::<String>::take();
            key.push_str(name);
            touched.add(6, key, None);
        }
        assert_eq!(
            ["a", "b", "ab", "c", "ba"].map(|key| touched.find(6, key)),
            [Some(0), Some(1), Some(2), None, None]
        );
        touched.items.iter_mut().for_each(|item| item.mark = mark("c"));
        assert_eq!(touched.find(6, "c"), None);
    }
}
