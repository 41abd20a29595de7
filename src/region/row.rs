//! Words in a row, found to lie in the file once, so that nobody asks again for each of them.
#![allow(unsafe_code)]

use std::sync::atomic::Ordering::{self, Relaxed};

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
    pub(crate) fn load(&self, index: usize, order: Ordering) -> u64 {
        if index >= self.len {
            return 0;
        }
        // SAFETY: whoever made the row has found these words in the file and in a mapping, which lives as long as the
        // memory that is borrowed; the access is atomic.
        unsafe { (*self.words.at(index)).load(order) }
    }

    #[inline(always)]
    fn contains(&self, first: usize, words: usize) -> bool {
        first.saturating_add(words) <= self.len
    }

    /// Asks for what follows, in the cache line after the one of the first word and in the next: a record's length is known
    /// only once its beginning has come, and then they have come too.
    #[inline(always)]
    pub(crate) fn prefetch_behind(&self) {
        #[cfg(all(target_arch = "x86_64", not(all(loom, test))))]
        if self.len > 0 {
            // SAFETY: the first word is there; a prefetch behind the end is no access, and never faults.
            unsafe {
                let line = self.words.at(0).cast::<i8>();
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.wrapping_add(64));
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.wrapping_add(112));
            }
        }
    }

    /// Copies `len` bytes out, from a word on, word by word. What comes is a fact only after the caller has validated it.
    /// `None` when the row is shorter or no memory is left; `into` is then empty.
    #[inline(always)]
    pub(crate) fn copy_out(&self, first: usize, len: usize, into: &mut Vec<u8>) -> Option<()> {
        into.clear();
        if into.capacity() < words_of(len) * 8 {
            into.try_reserve(words_of(len) * 8).ok()?;
        }
        self.copy_into_room(first, len, into)
    }

    /// The same where there is room already; else `None`.
    #[inline(always)]
    pub(crate) fn copy_into_room(&self, first: usize, len: usize, into: &mut Vec<u8>) -> Option<()> {
        let words = words_of(len);
        if !self.contains(first, words) || into.capacity() < words * 8 {
            return None;
        }
        // SAFETY: `contains` has shown the source to lie in the row; the destination has room for whole words by its
        // capacity; loads are atomic, so a racing writer is no undefined behaviour;
        // `len <= words * 8` bytes are initialised before `set_len`.
        unsafe {
            let target: *mut u64 = into.as_mut_ptr().cast();
            let copy = |index: usize| {
                target.add(index).write_unaligned((*self.words.at(first + index)).load(Relaxed));
            };
            let mut copied = 0;
            if words >= MANY {
                copied = copy_many(self.words.at(first).cast(), target, words);
            }
            let fours = words & !3;
            (copied..fours).step_by(4).for_each(|index| (index..index + 4).for_each(copy));
            (fours.max(copied)..words).for_each(copy);
            into.set_len(len);
        }
        Some(())
    }

    /// Whether the bytes from a word on equal these. A fact only after validation.
    #[inline(always)]
    pub(crate) fn equals(&self, first: usize, bytes: &[u8]) -> bool {
        if !self.contains(first, words_of(bytes.len())) {
            return false;
        }
        let (whole, rest) = bytes.as_chunks::<8>();
        // SAFETY: `contains` has shown all these words to lie in the row.
        unsafe {
            if let (1, [_, ..], Some(first_word), Some(last)) =
                (whole.len(), rest, bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
            {
                // Most keys: two words, and no loop.
                let words = [first, first + 1].map(|index| (*self.words.at(index)).load(Relaxed));
                let last = u64::from_le_bytes(*last) >> (8 * (8 - rest.len()));
                return words == [u64::from_ne_bytes(*first_word), u64::from_ne_bytes(last.to_le_bytes())];
            }
            for (index, word) in whole.iter().enumerate() {
                if (*self.words.at(first + index)).load(Relaxed) != u64::from_ne_bytes(*word) {
                    return false;
                }
            }
            rest.is_empty() || (*self.words.at(first + whole.len())).load(Relaxed) == last_word(bytes)
        }
    }
}

/// So many words hold so many bytes.
#[inline(always)]
pub(crate) fn words_of(len: usize) -> usize {
    len.saturating_add(7) / 8
}

/// Words in a row that were found to lie in the file, to be written. What is written behind its end is dropped.
#[derive(Clone, Copy)]
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
    pub(crate) fn put(self, index: usize, word: u64, order: Ordering) {
        if index < self.len {
            // SAFETY: whoever made the row has found these words in the file and in a mapping that may be written, and it
            // lives as long as the memory that is borrowed; the access is atomic.
            unsafe { (*self.words.at(index)).store(word, order) }
        }
    }

    /// Writes bytes from a word on, word by word, the last word filled up with zeros; nothing where not all fit.
    #[inline(always)]
    pub(crate) fn put_bytes(self, first: usize, bytes: &[u8]) {
        if first.saturating_add(words_of(bytes.len())) > self.len {
            return;
        }
        let (whole, rest) = bytes.as_chunks::<8>();
        let fours = whole.len() & !3;
        // SAFETY: as in `put`: all these words lie in the row, and in `whole`.
        unsafe {
            let mut index = 0;
            if whole.len() >= MANY {
                index = copy_many(whole.as_ptr().cast(), self.words.at(first).cast::<u64>().cast_mut(), whole.len());
            }
            while index < fours {
                self.copy_word(first, whole, index);
                self.copy_word(first, whole, index + 1);
                self.copy_word(first, whole, index + 2);
                self.copy_word(first, whole, index + 3);
                index += 4;
            }
            while index < whole.len() {
                self.copy_word(first, whole, index);
                index += 1;
            }
        }
        if !rest.is_empty() {
            self.put(first + whole.len(), last_word(bytes), Relaxed);
        }
    }

    /// # Safety
    /// Both have that word.
    #[inline(always)]
    unsafe fn copy_word(self, first: usize, from: &[[u8; 8]], index: usize) {
        // SAFETY: the caller has shown that both have it.
        unsafe { (*self.words.at(first + index)).store(u64::from_ne_bytes(*from.get_unchecked(index)), Relaxed) }
    }
}

/// From so many words on the processor's own copying is faster than one by one.
const MANY: usize = 512;

/// Copies words as the processor does it by itself; how many: all, or none where there is no such way.
///
/// # Safety
/// So many words can be read there, and written here. Others may access what lies in the region meanwhile, by atomics.
#[cold]
#[inline(never)]
unsafe fn copy_many(from: *const u64, to: *mut u64, words: usize) -> usize {
    #[cfg(all(target_arch = "x86_64", not(all(loom, test)), not(miri)))]
    {
        // SAFETY: the caller vouches for both ranges. It stands for a loop of relaxed loads and stores, and is none of
        // Rust's accesses: a racing writer is no undefined behaviour, and what comes out of a race is thrown away by
        // whoever validates it. Processors order string operations with what comes before and after them.
        unsafe {
            std::arch::asm!(
                "rep movsq",
                inout("rcx") words => _,
                inout("rsi") from => _,
                inout("rdi") to => _,
                options(nostack, preserves_flags)
            );
        }
        words
    }
    #[cfg(not(all(target_arch = "x86_64", not(all(loom, test)), not(miri))))]
    {
        let _ = (from, to, words);
        0
    }
}

/// The last word of bytes whose number is no multiple of 8, filled up with zeros, as it stands in memory.
///
/// Loads of fixed sizes that may overlap: a copy of a length that is not known takes longer than all else of a key.
#[inline(always)]
fn last_word(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % 8;
    let word = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => u64::from_le_bytes(*last) >> (8 * (8 - rest)),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (rest - 4))
        }
        _ => few_bytes(bytes),
    };
    u64::from_ne_bytes(word.to_le_bytes())
}

/// One, two or three bytes: the first, the one in the middle and the last, some of which may be the same.
#[inline(always)]
fn few_bytes(bytes: &[u8]) -> u64 {
    let at = |index: usize| bytes.get(index).map_or(0, |byte| u64::from(*byte) << (8 * index));
    at(0) | at(bytes.len() / 2) | at(bytes.len().saturating_sub(1))
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
