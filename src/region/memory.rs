//! Every access to mapped bytes goes through here, and none can leave the file.
//!
//! The region is input, not truth, so bounds are checked at each access, against the size that *this* process read by
//! `fstat`: a load outside gives zero, a store outside is dropped. Protocols above treat zero as "nothing there" or
//! "not valid", and turn it into an error where that cannot be. There are no references into the region, only raw
//! pointers to atomics, and no two sizes of access to the same bytes.
#![allow(unsafe_code)]

use std::{
    io,
    sync::atomic::{self, Ordering},
};

#[cfg(not(all(loom, test)))]
use super::cells::Cells;
#[cfg(all(loom, test))]
use crate::models::cells::Cells;
use crate::{
    primitive::atomics::{AtomicU32, AtomicU64, fence},
    sys::file,
};

/// The mapped file of a region.
pub(crate) struct Memory {
    cells: Cells,
    file: std::fs::File,
    /// Device and inode, by which the descriptor is known: a program that closes all it has may have closed ours, and
    /// got its number for something else.
    identity: (u64, u64),
    /// What this process knows to lie inside the file. Only ever grows.
    size: atomic::AtomicU64,
    capacity: u64,
    writable: bool,
}

impl Memory {
    /// Maps `capacity` bytes of a file, which may be shorter.
    pub(crate) fn map(file: std::fs::File, capacity: u64, writable: bool) -> io::Result<Self> {
        let cells = Cells::map(&file, capacity as usize, !writable)?;
        let stat = file::stat(&file)?;
        let identity = (stat.dev, stat.ino);
        let memory = Self { cells, file, identity, size: atomic::AtomicU64::new(0), capacity, writable };
        memory.refresh()?;
        Ok(memory)
    }

    /// What a model has instead of a file. The descriptor leads nowhere; all of the capacity is there.
    #[cfg(all(loom, test))]
    pub(crate) fn modelled(cells: Cells, capacity: u64) -> io::Result<Self> {
        let file = std::fs::File::open("/dev/null")?;
        let stat = file::stat(&file)?;
        let identity = (stat.dev, stat.ino);
        Ok(Self { cells, file, identity, size: atomic::AtomicU64::new(capacity), capacity, writable: true })
    }

    /// The descriptor to ask with; it never holds a lock.
    pub(crate) fn file(&self) -> &std::fs::File {
        &self.file
    }

    /// What the file is like now.
    ///
    /// # Errors
    /// Also when the descriptor was closed behind our back: nothing may be asked of or done to another file.
    pub(crate) fn stat(&self) -> io::Result<file::Stat> {
        let stat = file::stat(&self.file)?;
        if (stat.dev, stat.ino) != self.identity {
            return Err(io::Error::other("its descriptor was closed by the program, and stands for another file now"));
        }
        Ok(stat)
    }

    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// What is known of the file's size, never above the capacity.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Reads the file's size anew. It never shrinks here: a file cut short is beyond what can be guarded against.
    pub(crate) fn refresh(&self) -> io::Result<u64> {
        let size = (self.stat()?.size & !7).min(self.capacity);
        self.size.fetch_max(size, Ordering::Relaxed);
        Ok(self.size())
    }

    /// Whether these bytes lie in the file.
    #[inline]
    pub(crate) fn contains(&self, offset: u64, len: u64) -> bool {
        match offset.checked_add(len) {
            Some(end) => end <= self.size() || self.contains_after_refresh(end),
            None => false,
        }
    }

    #[cold]
    fn contains_after_refresh(&self, end: u64) -> bool {
        end <= self.capacity && self.refresh().is_ok_and(|size| end <= size)
    }

    #[inline]
    fn word(&self, offset: u64) -> Option<*const AtomicU64> {
        if offset & 7 != 0 || !self.contains(offset, 8) {
            return None;
        }
        // SAFETY: `contains` has shown that these 8 bytes lie in the file and in the mapping, which lives as long as self.
        Some(unsafe { self.cells.word(offset) })
    }

    #[inline]
    fn half(&self, offset: u64) -> Option<*const AtomicU32> {
        if offset & 3 != 0 || !self.contains(offset, 4) {
            return None;
        }
        // SAFETY: as in `word`, for 4 bytes.
        Some(unsafe { self.cells.half(offset) })
    }

    #[inline]
    pub(crate) fn load(&self, offset: u64, order: Ordering) -> u64 {
        match self.word(offset) {
            // SAFETY: `word` gives only aligned pointers into the live mapping; the access is atomic.
            Some(word) => unsafe { (*word).load(order) },
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn store(&self, offset: u64, value: u64, order: Ordering) {
        if let Some(word) = self.writable_word(offset) {
            // SAFETY: as in `load`; `writable_word` has shown that the mapping may be written.
            unsafe { (*word).store(value, order) }
        }
    }

    #[inline]
    fn writable_word(&self, offset: u64) -> Option<*const AtomicU64> {
        if self.writable { self.word(offset) } else { None }
    }

    #[inline]
    fn writable_half(&self, offset: u64) -> Option<*const AtomicU32> {
        if self.writable { self.half(offset) } else { None }
    }

    #[inline]
    pub(crate) fn swap(&self, offset: u64, value: u64, order: Ordering) -> u64 {
        match self.writable_word(offset) {
            // SAFETY: as in `store`.
            Some(word) => unsafe { (*word).swap(value, order) },
            None => 0,
        }
    }

    pub(crate) fn fetch_or(&self, offset: u64, bits: u64, order: Ordering) -> u64 {
        match self.writable_word(offset) {
            // SAFETY: as in `store`.
            Some(word) => unsafe { (*word).fetch_or(bits, order) },
            None => 0,
        }
    }

    /// Compare and swap; the error is what stood there.
    pub(crate) fn exchange(&self, offset: u64, old: u64, new: u64) -> Result<u64, u64> {
        match self.writable_word(offset) {
            // SAFETY: as in `store`.
            Some(word) => unsafe { (*word).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) },
            None => Err(0),
        }
    }

    #[inline]
    pub(crate) fn load32(&self, offset: u64, order: Ordering) -> u32 {
        match self.half(offset) {
            // SAFETY: as in `load`.
            Some(half) => unsafe { (*half).load(order) },
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn store32(&self, offset: u64, value: u32, order: Ordering) {
        if let Some(half) = self.writable_half(offset) {
            // SAFETY: as in `store`.
            unsafe { (*half).store(value, order) }
        }
    }

    #[inline]
    pub(crate) fn swap32(&self, offset: u64, value: u32, order: Ordering) -> u32 {
        match self.writable_half(offset) {
            // SAFETY: as in `store`.
            Some(half) => unsafe { (*half).swap(value, order) },
            None => 0,
        }
    }

    /// Compare and swap of a 32-bit word; the error is what stood there.
    #[inline]
    pub(crate) fn exchange32(&self, offset: u64, old: u32, new: u32) -> Result<u32, u32> {
        match self.writable_half(offset) {
            // SAFETY: as in `store`.
            Some(half) => unsafe { (*half).compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) },
            None => Err(0),
        }
    }

    /// The address of a 32-bit word, for the kernel; `None` outside the file.
    pub(crate) fn futex(&self, offset: u64) -> Option<*const u32> {
        self.half(offset).map(|half| half.cast())
    }

    /// Copies `len` bytes out, word by word. What comes is a fact only after the caller has validated it.
    /// `None` when the bytes do not lie in the file or no memory is left; `into` is then empty.
    #[inline]
    pub(crate) fn copy_out(&self, offset: u64, len: usize, into: &mut Vec<u8>) -> Option<()> {
        into.clear();
        let words = len.div_ceil(8);
        if offset & 7 != 0 || !self.contains(offset, words as u64 * 8) {
            return None;
        }
        into.try_reserve(words * 8).ok()?;
        // SAFETY: `contains` has shown the source to lie in the mapping; the destination has room for whole words by
        // `try_reserve`; both are advanced together; loads are atomic, so a racing writer is no undefined behaviour;
        // `len <= words * 8` bytes are initialised before `set_len`.
        unsafe {
            let source = self.cells.words(offset);
            let target: *mut u64 = into.as_mut_ptr().cast();
            for index in 0..words {
                target.add(index).write_unaligned((*source.at(index)).load(Ordering::Relaxed));
            }
            into.set_len(len);
        }
        Some(())
    }

    /// Copies bytes in, word by word, the last word filled up with zeros.
    #[inline]
    pub(crate) fn copy_in(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        let words = bytes.len().div_ceil(8);
        if !self.writable || offset & 7 != 0 || !self.contains(offset, words as u64 * 8) {
            return None;
        }
        let (whole, rest) = bytes.as_chunks::<8>();
        // SAFETY: `contains` has shown the target to lie in the mapping; `words` words are written, each atomically.
        unsafe {
            let target = self.cells.words(offset);
            for (index, word) in whole.iter().enumerate() {
                (*target.at(index)).store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            }
            if !rest.is_empty() {
                (*target.at(whole.len())).store(padded(rest), Ordering::Relaxed);
            }
        }
        Some(())
    }

    /// Whether the bytes there equal these. A fact only after validation.
    #[inline]
    pub(crate) fn equals(&self, offset: u64, bytes: &[u8]) -> bool {
        let words = bytes.len().div_ceil(8);
        if offset & 7 != 0 || !self.contains(offset, words as u64 * 8) {
            return false;
        }
        let (whole, rest) = bytes.as_chunks::<8>();
        // SAFETY: `contains` has shown the source to lie in the mapping; only `words` words are loaded.
        unsafe {
            let source = self.cells.words(offset);
            for (index, word) in whole.iter().enumerate() {
                if (*source.at(index)).load(Ordering::Relaxed) != u64::from_ne_bytes(*word) {
                    return false;
                }
            }
            rest.is_empty() || (*source.at(whole.len())).load(Ordering::Relaxed) == padded(rest)
        }
    }

    /// Brings what was written to the file's medium.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.cells.flush(self.size() as usize)?;
        file::sync(&self.file)
    }

    /// Fills whole words with zeros.
    pub(crate) fn zero(&self, offset: u64, len: u64) {
        for word in (offset..offset + len).step_by(8) {
            self.store(word, 0, Ordering::Relaxed);
        }
        fence(Ordering::Release);
    }
}

/// Up to 7 bytes as the word that `copy_in` makes of them.
#[inline]
fn padded(rest: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_ne_bytes(word)
}
