//! The words of a mapped file, as atomics.
#![allow(unsafe_code)]

use std::{fs::File, io, marker::PhantomData};

use crate::{
    primitive::atomics::{AtomicU32, AtomicU64},
    sys::mapping::Mapping,
};

/// Where the words of a region are.
pub(crate) struct Cells(Mapping);

impl Cells {
    /// Maps `len` bytes of a file, which may be shorter.
    pub(crate) fn map(file: &File, len: usize, read_only: bool) -> io::Result<Self> {
        Mapping::new(file, len, read_only).map(Self)
    }

    /// # Safety
    /// The offset is a multiple of 8, and the 8 bytes there lie in the mapping and in the file.
    #[inline]
    pub(crate) unsafe fn word(&self, offset: u64) -> *const AtomicU64 {
        // SAFETY: the caller has shown that the bytes lie in the mapping.
        unsafe { self.0.base().add(offset as usize) }.cast_const().cast()
    }

    /// # Safety
    /// As for `word`, with 4 bytes.
    #[inline]
    pub(crate) unsafe fn half(&self, offset: u64) -> *const AtomicU32 {
        // SAFETY: as in `word`.
        unsafe { self.0.base().add(offset as usize) }.cast_const().cast()
    }

    /// # Safety
    /// The offset is a multiple of 8 and lies in the mapping.
    #[inline]
    pub(crate) unsafe fn words(&self, offset: u64) -> Words<'_> {
        // SAFETY: as in `word`.
        Words(unsafe { self.0.base().add(offset as usize) }.cast_const().cast(), PhantomData)
    }

    /// Brings the first `len` bytes to the file's medium.
    pub(crate) fn flush(&self, len: usize) -> io::Result<()> {
        self.0.flush(0, len)
    }
}

/// Words in a row.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(*const AtomicU64, PhantomData<&'a Cells>);

impl Words<'_> {
    /// # Safety
    /// That word lies in the mapping and in the file.
    #[inline(always)]
    pub(crate) unsafe fn at(self, index: usize) -> *const AtomicU64 {
        // SAFETY: the caller has shown that the word lies in the mapping.
        unsafe { self.0.add(index) }
    }

    /// # Safety
    /// As for `at`, with 4 bytes, so many bytes behind the first word.
    #[inline(always)]
    pub(crate) unsafe fn half(self, offset: usize) -> *const AtomicU32 {
        // SAFETY: as in `at`.
        unsafe { self.0.byte_add(offset) }.cast()
    }

    /// The words from that one on.
    ///
    /// # Safety
    /// As for `at`, or that is where they end.
    #[inline(always)]
    pub(crate) unsafe fn behind(self, words: usize) -> Self {
        // SAFETY: as in `at`.
        Self(unsafe { self.0.add(words) }, PhantomData)
    }
}
