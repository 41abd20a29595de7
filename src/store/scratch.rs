//! Buffers that a thread uses again and again, so that hot paths allocate nothing.

use std::{
    cell::RefCell,
    mem,
    ops::{Deref, DerefMut},
};

/// Larger buffers go back to the system.
const LARGEST_KEPT: usize = 1 << 20;
/// Nested use (a `Serialize` that itself reads from a store) and a transaction take a few at once; more are not kept.
const MOST_KEPT: usize = 8;

thread_local! {
    static BYTES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static TEXTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What is worth being kept.
pub(crate) trait Buffer: Default + 'static {
    /// Calls `f` with this thread's buffers; nothing happens in a thread that is ending.
    fn with_kept<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> Option<R>;
    fn empty(&mut self);
    fn room(&self) -> usize;
}

impl Buffer for Vec<u8> {
    fn with_kept<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> Option<R> {
        BYTES.try_with(|kept| f(&mut kept.borrow_mut())).ok()
    }

    fn empty(&mut self) {
        self.clear();
    }

    fn room(&self) -> usize {
        self.capacity()
    }
}

impl Buffer for String {
    fn with_kept<R>(f: impl FnOnce(&mut Vec<Self>) -> R) -> Option<R> {
        TEXTS.try_with(|kept| f(&mut kept.borrow_mut())).ok()
    }

    fn empty(&mut self) {
        self.clear();
    }

    fn room(&self) -> usize {
        self.capacity()
    }
}

/// An empty buffer of this thread; dropped, it is kept for the next.
#[derive(Debug)]
pub(crate) struct Scratch<B: Buffer>(B);

impl<B: Buffer> Scratch<B> {
    pub(crate) fn take() -> Self {
        Self(B::with_kept(Vec::pop).flatten().unwrap_or_default())
    }
}

impl<B: Buffer> Drop for Scratch<B> {
    fn drop(&mut self) {
        let mut buffer = mem::take(&mut self.0);
        if buffer.room() <= LARGEST_KEPT {
            buffer.empty();
            B::with_kept(|kept| {
                if kept.len() < MOST_KEPT {
                    kept.push(buffer);
                }
            });
        }
    }
}

impl<B: Buffer> Deref for Scratch<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

impl<B: Buffer> DerefMut for Scratch<B> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.0
    }
}
