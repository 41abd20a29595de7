//! Having the kernel tell of a death: a robust list of one entry that is ours alone.
//!
//! At the end of a thread (killed, exited, or gone by `exec`) the kernel walks its list. In every futex word that holds the
//! thread's id it replaces that by [`OWNER_DIED`], and if [`WAITERS`] is set wakes **one** sleeper, who must wake the rest.
//!
//! ```text
//! shared page                                     region
//! 0   head.next    -> node (or head: empty)       word: tid | WAITERS
//! 8   head.offset  =  word - node
//! 16  head.pending =  null
//! 24  node.next    -> head
//! ```
//!
//! - The page is MAP_SHARED, so that the OOM reaper leaves it in a dying process until the walk.
//! - There is one offset for the whole list, and a node lies in no region: hence one word a thread.
//! - The list replaces the one of the C library, for this thread only, which therefore must never lock a robust
//!   `pthread_mutex_t`.
//! - The thread id is that of the thread's own PID namespace. The word must be written with what [`thread_id`] says there.
#![allow(unsafe_code)]

use std::{
    io,
    marker::PhantomData,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering::Release, compiler_fence},
};

use super::page::Page;

/// Somebody sleeps: without this bit the kernel wakes nobody.
pub(crate) const WAITERS: u32 = 0x8000_0000;
/// Put there by the kernel: the thread whose id it was is dead.
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
/// The bits of the thread id.
pub(crate) const TID_MASK: u32 = 0x3fff_ffff;

/// The kernel's `struct robust_list_head` and one `struct robust_list`.
#[repr(C)]
struct List {
    next: AtomicPtr<List>,
    offset: AtomicU64,
    pending: AtomicPtr<List>,
    node: AtomicPtr<List>,
}

/// What the kernel is told as the length of the head; it refuses any other.
const HEAD_SIZE: usize = 24;
const _: () = assert!(std::mem::offset_of!(List, node) == HEAD_SIZE);

/// The robust list of the thread that made it. Dropped (on the same thread), the former list is in force again.
pub(crate) struct RobustList {
    page: Page,
    former: *mut List,
    /// The kernel keeps one list for each thread.
    not_send: PhantomData<*const ()>,
}

impl RobustList {
    /// # Errors
    /// `Unsupported` where robust lists are missing (emulators); then nobody is told of a death.
    pub(crate) fn new() -> io::Result<Self> {
        let list = Self { page: Page::shared()?, former: current()?, not_send: PhantomData };
        list.unregister();
        set(list.list())?;
        Ok(list)
    }

    /// From now on, the death of this thread marks `word`, provided that it then holds this thread's id. It takes the place
    /// of the word registered before.
    ///
    /// # Safety
    /// `word` is aligned, and until [`Self::unregister`] or the drop it lies in a shared writable mapping: the kernel
    /// writes there.
    pub(crate) unsafe fn register(&self, word: *mut u32) {
        debug_assert!(word.is_aligned());
        self.unregister();
        let list = self.fields();
        list.offset.store((word as u64).wrapping_sub(ptr::from_ref(&list.node) as u64), Release);
        // Killed between any two of these stores, the list is empty or whole.
        compiler_fence(Release);
        list.next.store(ptr::from_ref(&list.node).cast_mut().cast(), Release);
    }

    /// The thread's death marks nothing any more.
    pub(crate) fn unregister(&self) {
        let list = self.fields();
        list.next.store(self.list(), Release);
        list.node.store(self.list(), Release);
        compiler_fence(Release);
    }

    fn list(&self) -> *mut List {
        self.page.base().cast()
    }

    fn fields(&self) -> &List {
        // SAFETY: the page is zeroed, aligned, larger than a `List`, and alive as long as `self`; besides this thread only the
        // kernel looks at it, when the thread is gone.
        unsafe { &*self.list() }
    }
}

impl Drop for RobustList {
    fn drop(&mut self) {
        self.unregister();
        // If it fails, the kernel finds no page there at the thread's end and gives up the walk.
        let _ = set(self.former);
    }
}

/// The id of the calling thread, as the kernel compares it with the word.
pub(crate) fn thread_id() -> u32 {
    nix::unistd::gettid().as_raw() as u32
}

fn current() -> io::Result<*mut List> {
    let (mut head, mut size) = (ptr::null_mut::<List>(), 0_usize);
    // SAFETY: the kernel fills two places that are alive; thread 0 is the caller.
    let result =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, ptr::from_mut(&mut head), ptr::from_mut(&mut size)) };
    if result < 0 { Err(missing()) } else { Ok(head) }
}

fn set(head: *mut List) -> io::Result<()> {
    // SAFETY: the kernel remembers the address and reads through it, checking, when this thread ends. It is either our page,
    // which outlives its being set, or what the C library had set.
    match unsafe { libc::syscall(libc::SYS_set_robust_list, head, HEAD_SIZE) } {
        0 => Ok(()),
        _ => Err(missing()),
    }
}

fn missing() -> io::Error {
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => io::Error::new(io::ErrorKind::Unsupported, "robust lists are missing here"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
