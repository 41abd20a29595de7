//! Words in a row, found to lie in the file once, so that nobody asks again for each of them.
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::Relaxed;

#[cfg(not(all(loom, test)))]
use super::cells::Words;
#[cfg(all(loom, test))]
use crate::models::cells::Words;

/// Words to be read. Behind its end there is nothing.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    words: Words<'a>,
    len: usize,
}

impl<'a> Row<'a> {
    /// # Safety
    /// So many words lie in the mapping and in the file.
    #[inline(always)]
    pub(super) unsafe fn new(words: Words<'a>, len: usize) -> Self {
        Self { words, len }
    }

    /// A word, 0 behind the end.
    #[inline(always)]
    pub(crate) fn load(&self, index: usize) -> u64 {
        if index >= self.len {
            return 0;
        }
        // SAFETY: whoever made the row has found these words in the file and in a mapping, which lives as long as the
        // memory that is borrowed; the access is atomic.
        unsafe { (*self.words.at(index)).load(Relaxed) }
    }

    #[inline(always)]
    fn contains(&self, first: usize, words: usize) -> bool {
        first <= self.len && words <= self.len - first
    }

    /// Copies `len` bytes out, from a word on, word by word. What comes is a fact only after the caller has validated it.
    /// `None` when the row is shorter or no memory is left; `into` is then empty.
    #[inline(always)]
    pub(crate) fn copy_out(&self, first: usize, len: usize, into: &mut Vec<u8>) -> Option<()> {
        into.clear();
        let words = len.div_ceil(8);
        if !self.contains(first, words) {
            return None;
        }
        if into.capacity() < words * 8 {
            into.try_reserve(words * 8).ok()?;
        }
        // SAFETY: `contains` has shown the source to lie in the row; the destination has room for whole words by its
        // capacity; both are advanced together; loads are atomic, so a racing writer is no undefined behaviour;
        // `len <= words * 8` bytes are initialised before `set_len`.
        unsafe {
            let target: *mut u64 = into.as_mut_ptr().cast();
            for index in 0..words {
                target.add(index).write_unaligned((*self.words.at(first + index)).load(Relaxed));
            }
            into.set_len(len);
        }
        Some(())
    }

    /// Whether the bytes from a word on equal these. A fact only after validation.
    #[inline(always)]
    pub(crate) fn equals(&self, first: usize, bytes: &[u8]) -> bool {
        if !self.contains(first, bytes.len().div_ceil(8)) {
            return false;
        }
        let (whole, rest) = bytes.as_chunks::<8>();
        // SAFETY: `contains` has shown all these words to lie in the row.
        unsafe {
            for (index, word) in whole.iter().enumerate() {
                if (*self.words.at(first + index)).load(Relaxed) != u64::from_ne_bytes(*word) {
                    return false;
                }
            }
            rest.is_empty() || (*self.words.at(first + whole.len())).load(Relaxed) == last_word(bytes)
        }
    }
}

/// Words in a row that were found to lie in the file, to be written. What is written behind its end is dropped.
pub(crate) struct RowMut<'a> {
    words: Words<'a>,
    len: usize,
}

impl<'a> RowMut<'a> {
    /// # Safety
    /// So many words lie in the file, and in a mapping that may be written.
    #[inline(always)]
    pub(super) unsafe fn new(words: Words<'a>, len: usize) -> Self {
        Self { words, len }
    }

    /// Writes a word.
    #[inline(always)]
    pub(crate) fn put(&mut self, index: usize, word: u64) {
        if index < self.len {
            // SAFETY: whoever made the row has found these words in the file and in a mapping that may be written, and it
            // lives as long as the memory that is borrowed; the access is atomic.
            unsafe { (*self.words.at(index)).store(word, Relaxed) }
        }
    }

    /// Writes bytes from a word on, word by word, the last word filled up with zeros.
    #[inline]
    pub(crate) fn put_bytes(&mut self, index: usize, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        let whole = &whole[..whole.len().min(self.len.saturating_sub(index))];
        for (number, word) in whole.iter().enumerate() {
            // SAFETY: as in `put`: `index + number` is below `len`.
            unsafe { (*self.words.at(index + number)).store(u64::from_ne_bytes(*word), Relaxed) }
        }
        if !rest.is_empty() {
            self.put(index + whole.len(), last_word(bytes));
        }
    }
}

/// The last word of bytes whose number is no multiple of 8, filled up with zeros, as it stands in memory.
///
/// Loads of fixed sizes that may overlap: a copy of a length that is not known takes longer than all else of a key.
#[inline]
fn last_word(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % 8;
    let word = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => u64::from_le_bytes(*last) >> (8 * (8 - rest)),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (rest - 4))
        }
        _ => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    u64::from_ne_bytes(word.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::last_word;

    #[test]
    fn the_last_word_is_filled_up_with_zeros() {
        let bytes: Vec<u8> = (1..40).collect();
        for len in (1..40).filter(|len| len % 8 != 0) {
            let mut word = [0; 8];
            let rest = bytes[..len].chunks(8).next_back().unwrap();
            word[..rest.len()].copy_from_slice(rest);
            assert_eq!(last_word(&bytes[..len]), u64::from_ne_bytes(word), "{len}");
        }
    }
}
