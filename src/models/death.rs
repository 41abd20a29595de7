//! Death at a chosen store, or before a wake: everything before it has happened, nothing after it does.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use super::atomics;

/// When somebody dies.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// Before this store, counted from 0.
    Store(u64),
    /// After a change, before the first wake that it owes.
    Wake,
}

/// What a dying thread unwinds with.
struct Died;

thread_local! {
    /// How threads of the model end, by their number; whoever is not here lives on.
    static LIVES: RefCell<HashMap<u64, When>> = RefCell::new(HashMap::new());
    /// Stores of any thread outside of models, for whoever counts.
    static STORES: Cell<u64> = const { Cell::new(0) };
}

/// Whether the store that is about to be done still happens. Where it is the last moment, this does not return.
pub(super) fn may_store() -> bool {
    if std::thread::panicking() {
        return false;
    }
    STORES.set(STORES.get() + 1);
    end_if(|when| match when {
        When::Store(left) => {
            let dies = *left == 0;
            *left = left.saturating_sub(1);
            dies
        }
        When::Wake => false,
    });
    true
}

/// Whether the wake that is about to be done still happens.
pub(super) fn may_wake() -> bool {
    if std::thread::panicking() {
        return false;
    }
    end_if(|when| matches!(when, When::Wake));
    true
}

fn end_if(ends: impl FnOnce(&mut When) -> bool) {
    let dies = LIVES.with_borrow_mut(|lives| !lives.is_empty() && lives.get_mut(&thread()).is_some_and(ends));
    if dies {
        resume_unwind(Box::new(Died));
    }
}

fn thread() -> u64 {
    if !atomics::is_inside() {
        return u64::MAX;
    }
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(&loom::thread::current().id(), &mut hasher);
    std::hash::Hasher::finish(&hasher)
}

/// Does something that ends by death then. `None` when it died.
pub(super) fn dying<T>(when: When, act: impl FnOnce() -> T) -> Option<T> {
    let thread = thread();
    LIVES.with_borrow_mut(|lives| lives.insert(thread, when));
    let result = catch_unwind(AssertUnwindSafe(act));
    LIVES.with_borrow_mut(|lives| lives.remove(&thread));
    match result {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Died>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// How many stores something does, outside of models.
pub(super) fn stores_of(act: impl FnOnce()) -> u64 {
    let before = STORES.get();
    act();
    STORES.get() - before
}

/// Forgets the dead of a model that has failed.
pub(super) fn clear() {
    LIVES.with_borrow_mut(HashMap::clear);
}
