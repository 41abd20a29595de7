//! A robust pthread mutex in a page that processes share: the least that a lock among processes can cost.

use std::{fs::OpenOptions, path::Path};

use memmap2::MmapMut;

use crate::failure::{Outcome, fail};

pub(crate) struct RobustMutex {
    map: MmapMut,
}

impl RobustMutex {
    pub(crate) const NAME: &'static str = "robust-mutex";

    /// The mutex in that folder; `make` it before others open it.
    pub(crate) fn open(folder: &Path, make: bool) -> Outcome<Self> {
        let path = folder.join("mutex");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(4096)?;
        // SAFETY: the file is ours, is never made shorter, and is used through the mutex only.
        let mutex = Self { map: unsafe { MmapMut::map_mut(&file)? } };
        if make {
            mutex.make()?;
        }
        Ok(mutex)
    }

    fn at(&self) -> *mut libc::pthread_mutex_t {
        self.map.as_ptr().cast_mut().cast()
    }

    fn make(&self) -> Outcome<()> {
        // SAFETY: the attributes are initialised before they are used; nobody uses the mutex yet.
        let result = unsafe {
            let mut attributes = std::mem::zeroed();
            libc::pthread_mutexattr_init(&raw mut attributes)
                | libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED)
                | libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST)
                | libc::pthread_mutex_init(self.at(), &raw const attributes)
        };
        if result == 0 { Ok(()) } else { fail("a robust mutex cannot be made") }
    }

    /// Locks it; whether its owner had died.
    #[inline]
    pub(crate) fn lock(&self) -> Outcome<bool> {
        // SAFETY: the mutex was made before anybody opened it, and is mapped as long as this lives.
        match unsafe { libc::pthread_mutex_lock(self.at()) } {
            0 => Ok(false),
            libc::EOWNERDEAD => {
                // SAFETY: as above; it is locked by us.
                unsafe { libc::pthread_mutex_consistent(self.at()) };
                Ok(true)
            }
            error => fail(format!("pthread_mutex_lock: {error}")),
        }
    }

    #[inline]
    pub(crate) fn unlock(&self) -> Outcome<()> {
        // SAFETY: as above; it is locked by us.
        let error = unsafe { libc::pthread_mutex_unlock(self.at()) };
        if error == 0 { Ok(()) } else { fail(format!("pthread_mutex_unlock: {error}")) }
    }
}
