//! The bytes of a region: copied, put back, compared.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::Path,
    ptr,
};

/// Where participants begin, and bytes of one: in `src/region/layout.rs`.
const PARTICIPANTS: usize = 20_480;
const PARTICIPANT: usize = 256;

/// What a file was at a moment.
#[derive(Clone, Default)]
pub struct Image {
    /// `None`: there was no file.
    bytes: Option<Vec<u8>>,
}

impl Image {
    /// No file at all.
    pub fn nothing() -> Self {
        Self::default()
    }

    pub fn of(path: &Path) -> Self {
        Self { bytes: fs::read(path).ok() }
    }

    /// Makes the path lead to a new file of these bytes, which nobody has open.
    pub fn put(&self, path: &Path) {
        let _ = fs::remove_file(path);
        if let Some(bytes) = &self.bytes {
            fs::write(path, bytes).expect("room for a copy of a region");
        }
    }
}

/// A file that is watched for changes of what counts: all but the long table of participants, of which the first ones.
pub struct Eye {
    file: Option<File>,
    map: *const u8,
    capacity: usize,
    seen: Vec<u8>,
    /// Device, inode, size and blocks.
    seen_file: (u64, u64, u64, u64),
}

impl Eye {
    pub fn on(path: &Path) -> Self {
        let mut eye = Self { file: None, map: ptr::null(), capacity: 0, seen: Vec::new(), seen_file: (0, 0, 0, 0) };
        eye.look_at_file(path);
        eye.look_at_bytes();
        eye
    }

    /// Whether the bytes changed since the last look.
    pub fn look_at_bytes(&mut self) -> bool {
        let mut changed = false;
        for (start, len) in self.parts() {
            // SAFETY: the part lies inside file and mapping; the child that writes there is stopped. No reference is
            // made to the mapping.
            unsafe {
                let (ours, theirs) = (self.seen.as_mut_ptr().add(start), self.map.add(start));
                if libc::memcmp(ours.cast(), theirs.cast(), len) != 0 {
                    ptr::copy_nonoverlapping(theirs, ours, len);
                    changed = true;
                }
            }
        }
        changed
    }

    fn parts(&self) -> Vec<(usize, usize)> {
        let size = self.seen.len();
        if size < PARTICIPANTS {
            return vec![(0, size)];
        }
        let participants = self.seen_u32(52) as usize * PARTICIPANT;
        let shards = (PARTICIPANTS + participants).next_multiple_of(4096).min(size);
        let few = participants.min(8 * PARTICIPANT);
        vec![(0, (PARTICIPANTS + few).min(size)), (shards, size - shards)]
    }

    fn seen_u32(&self, at: usize) -> u32 {
        // SAFETY: four bytes inside the mapped file.
        unsafe { ptr::read_unaligned(self.map.add(at).cast()) }
    }

    /// Looks at the file itself: after a system call it may be another, or longer.
    pub fn look_at_file(&mut self, path: &Path) -> bool {
        let now = match fs::metadata(path) {
            Ok(meta) => (meta.dev(), meta.ino(), meta.size(), meta.blocks()),
            Err(_) => (0, 0, 0, 0),
        };
        if now == self.seen_file {
            return false;
        }
        let same = (now.0, now.1) == (self.seen_file.0, self.seen_file.1);
        self.seen_file = now;
        if !same {
            self.unmap();
            self.file = File::open(path).ok();
        }
        let size = now.2 as usize & !4095;
        if size > self.capacity {
            self.unmap();
            self.map_file(size);
        }
        self.seen.resize(size.min(self.capacity), 0);
        true
    }

    fn map_file(&mut self, size: usize) {
        let Some(file) = &self.file else { return };
        // SAFETY: a new mapping at an address that the kernel chooses.
        let map = unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert!(map != libc::MAP_FAILED, "{}", io::Error::last_os_error());
        (self.map, self.capacity) = (map.cast_const().cast(), size);
    }

    fn unmap(&mut self) {
        if self.capacity > 0 {
            // SAFETY: it is our mapping, and nobody keeps a pointer into it.
            unsafe { libc::munmap(self.map.cast_mut().cast(), self.capacity) };
        }
        (self.map, self.capacity) = (ptr::null(), 0);
    }
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.unmap();
    }
}
