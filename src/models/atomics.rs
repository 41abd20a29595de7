//! Doubles of atomics, fences and pauses: of the model checker inside a model, plain ones outside of it.
//!
//! The checker treats sequentially consistent accesses as acquire and release only, but knows sequentially consistent
//! fences. Models of reading are checked as that is: weaker than the language promises, so what holds there holds. Models
//! of waiting need the order. They are checked in both of the ways in which compilers map such accesses to processors,
//! each a little stronger than the language promises: a fence in front of all of them, or one behind those that store.

use std::{
    cell::Cell,
    sync::atomic::{
        self,
        Ordering::{self, SeqCst},
    },
    time::Duration,
};

use super::death;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static ORDER: Cell<Order> = const { Cell::new(Order::None) };
}

/// How sequentially consistent accesses get one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Not at all: they acquire and release.
    None,
    /// By a full fence in front of each.
    Before,
    /// By a full fence behind each one that stores.
    After,
}

/// Says how they get it in what this thread checks next.
pub(super) fn set_order(order: Order) {
    ORDER.set(order);
}

/// Says whether this thread runs the checker.
pub(super) fn set_inside(inside: bool) {
    INSIDE.set(inside);
}

/// Whether the checker schedules what this thread does now. Never while something unwinds: then all is over.
pub(super) fn is_inside() -> bool {
    INSIDE.get()
}

pub(crate) fn fence(order: Ordering) {
    if std::thread::panicking() {
        return;
    }
    if is_inside() { loom::sync::atomic::fence(order) } else { atomic::fence(order) }
}

pub(crate) fn spin_loop() {
    yield_now();
}

pub(crate) fn yield_now() {
    if std::thread::panicking() {
        return;
    }
    if is_inside() { loom::thread::yield_now() } else { std::thread::yield_now() }
}

pub(crate) fn sleep(_: Duration) {
    yield_now();
}

macro_rules! double {
    ($name:ident, $value:ty) => {
        /// An atomic of a region. When its thread dies, or the whole model fails, it does nothing any more.
        pub(crate) enum $name {
            Plain(atomic::$name),
            Scheduled(loom::sync::atomic::$name),
        }

        impl $name {
            pub(super) fn new(value: $value, scheduled: bool) -> Self {
                if scheduled {
                    Self::Scheduled(loom::sync::atomic::$name::new(value))
                } else {
                    Self::Plain(atomic::$name::new(value))
                }
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                if std::thread::panicking() {
                    return 0;
                }
                match self {
                    Self::Plain(cell) => cell.load(order),
                    Self::Scheduled(cell) => {
                        fence_before(order);
                        cell.load(order)
                    }
                }
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                if !death::may_store() {
                    return;
                }
                match self {
                    Self::Plain(cell) => cell.store(value, order),
                    Self::Scheduled(cell) => {
                        fence_before(order);
                        cell.store(value, order);
                        fence_after(order);
                    }
                }
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                if !death::may_store() {
                    return 0;
                }
                match self {
                    Self::Plain(cell) => cell.swap(value, order),
                    Self::Scheduled(cell) => {
                        fence_before(order);
                        let old = cell.swap(value, order);
                        fence_after(order);
                        old
                    }
                }
            }

            #[allow(dead_code)]
            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                if !death::may_store() {
                    return 0;
                }
                match self {
                    Self::Plain(cell) => cell.fetch_or(value, order),
                    Self::Scheduled(cell) => {
                        fence_before(order);
                        let old = cell.fetch_or(value, order);
                        fence_after(order);
                        old
                    }
                }
            }

            pub(crate) fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if !death::may_store() {
                    return Err(0);
                }
                match self {
                    Self::Plain(cell) => cell.compare_exchange(old, new, success, failure),
                    Self::Scheduled(cell) => {
                        fence_before(success);
                        let result = cell.compare_exchange(old, new, success, failure);
                        fence_after(success);
                        result
                    }
                }
            }
        }
    };
}

double!(AtomicU64, u64);
double!(AtomicU32, u32);

fn fence_before(order: Ordering) {
    if order == SeqCst && ORDER.get() == Order::Before {
        loom::sync::atomic::fence(SeqCst);
    }
}

fn fence_after(order: Ordering) {
    if order == SeqCst && ORDER.get() == Order::After {
        loom::sync::atomic::fence(SeqCst);
    }
}
