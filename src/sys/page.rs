//! A page of memory that belongs to no file.
#![allow(unsafe_code)]

use std::{ffi::c_void, io, num::NonZeroUsize, ptr::NonNull};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Large enough for what is kept here; the kernel rounds up to its page size.
const SIZE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// One zeroed page, page-aligned, at an address that stays until it is dropped.
pub(crate) struct Page(NonNull<c_void>);

// SAFETY: the page is plain memory, not bound to the thread that made it.
unsafe impl Send for Page {}
// SAFETY: sharing it only shares its address; who reads or writes through it answers for how.
unsafe impl core::marker::Sync for Page {}

impl Page {
    /// A page of this process alone; a forked child gets a copy.
    pub(crate) fn private() -> io::Result<Self> {
        Self::new(MapFlags::MAP_PRIVATE)
    }

    /// A page shared with forked children, which the OOM reaper does not take from a dying process.
    pub(crate) fn shared() -> io::Result<Self> {
        Self::new(MapFlags::MAP_SHARED)
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    /// `madvise(2)` on the whole page.
    pub(super) fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: the range is this page, which nobody else manages. The advice given in this folder changes neither its
        // bytes nor its protection in this process.
        match unsafe { libc::madvise(self.0.as_ptr(), SIZE.get(), advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn new(flags: MapFlags) -> io::Result<Self> {
        // SAFETY: no address is asked for, so no existing mapping is touched.
        Ok(Self(unsafe { mmap_anonymous(None, SIZE, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) }?))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `new` with this size and is unmapped once; users keep the `Page` while they use it.
        let _ = unsafe { munmap(self.0, SIZE.get()) };
    }
}
