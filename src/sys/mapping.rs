//! The region's bytes in this process' addresses.
#![cfg_attr(test, allow(unsafe_code))]

use std::{fs::File, io};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::sys::resource::{Resource, getrlimit};

/// A shared mapping of a file, unmapped when dropped.
///
/// It may be larger than the file: bytes past the file's last page are addresses only, and become usable in place when the
/// file grows. Touching them before, or after somebody cut the file, raises SIGBUS; so does writing to a read-only one (SIGSEGV).
pub(crate) struct Mapping(MmapRaw);

impl Mapping {
    /// Maps `len` bytes from the start of the file; left out of core dumps.
    ///
    /// # Errors
    /// `OutOfMemory` when there are not so many addresses ([`address_space_limit`]); `WouldBlock` when the process locks its
    /// memory (`mlockall`) and may not lock so much.
    pub(crate) fn new(file: &File, len: usize, read_only: bool) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(len);
        let map = if read_only { options.map_raw_read_only(file) } else { options.map_raw(file) }?;
        // Worth having, not needed: a system without it writes larger dumps.
        let _ = map.advise(Advice::DontDump);
        Ok(Self(map))
    }

    /// The first byte. Of a read-only mapping it must not be written through.
    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// How many bytes of addresses were reserved.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Brings changes in `offset..offset + len` to the file's medium.
    pub(crate) fn flush(&self, offset: usize, len: usize) -> io::Result<()> {
        self.0.flush_range(offset, len)
    }
}

/// How many bytes of addresses this process may use (RLIMIT_AS), if that is limited.
pub(crate) fn address_space_limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    (soft != libc::RLIM_INFINITY).then_some(soft)
}

#[cfg(test)]
mod tests {

    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::sys::testing::World;

    fn word(mapping: &Mapping, offset: usize) -> &AtomicU64 {
        assert!(offset + 8 <= mapping.len());
        // SAFETY: within the mapping, aligned; the tests touch only what the file has.
        unsafe { AtomicU64::from_ptr(mapping.base().add(offset).cast()) }
    }

    #[test]
    fn a_mapping_larger_than_its_file_grows_in_place() {
        let world = World::new();
        let writer = Mapping::new(&world.file, 1 << 34, false).unwrap();
        let reader = Mapping::new(&world.file, 1 << 34, true).unwrap();
        for size in [1 << 16, 1 << 20] {
            world.file.set_len(size).unwrap();
            word(&writer, size as usize - 8).store(size, SeqCst);
            assert_eq!(word(&reader, size as usize - 8).load(SeqCst), size);
        }
    }

    #[test]
    fn too_many_addresses_are_an_error() {
        let world = World::new();
        let error = Mapping::new(&world.file, 1 << 62, false).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
}
