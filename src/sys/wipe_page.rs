//! Knowing that one is a forked child, for the price of a load.
#![allow(unsafe_code)]

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::page::Page;

/// A word that is nonzero only in the process that made it: the kernel wipes its page in every forked child.
///
/// Unlike a comparison of process ids it cannot be deceived by a reused id, and unlike an `atfork` handler it also sees a
/// raw `clone(2)`. A child that shares its parent's memory (`vfork`, `posix_spawn`) is taken for the parent, which it is in
/// all that matters here.
pub(crate) struct WipePage(Page);

impl WipePage {
    /// # Errors
    /// `InvalidInput` where the system has no MADV_WIPEONFORK (Linux before 4.14).
    pub(crate) fn new() -> io::Result<Self> {
        let page = Self(Page::private()?);
        page.0.advise(libc::MADV_WIPEONFORK)?;
        page.word().store(1, Relaxed);
        Ok(page)
    }

    /// Whether this is the process that made the page, not a forked child of it.
    #[inline]
    pub(crate) fn is_parent(&self) -> bool {
        self.word().load(Relaxed) != 0
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the page is at least one aligned word, private to this process, alive as long as `self`, and only ever
        // used through this atomic.
        unsafe { AtomicU32::from_ptr(self.0.base().cast()) }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::sys::testing::Child;

    #[test]
    fn only_the_process_that_made_it_is_the_parent() {
        let page = WipePage::new().unwrap();
        assert!(page.is_parent());
        Child::fork(|| {
            let grandchild = Child::fork(|| page.is_parent().into()).exit_code();
            i32::from(page.is_parent()) + grandchild.unwrap_or(1)
        })
        .succeeds();
        assert!(page.is_parent());
    }
}
