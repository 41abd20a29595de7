//! Every scenario of the handle on shared memory.
#![cfg(target_os = "linux")]

mod common;

use std::cell::RefCell;

use common::Place;
use shmsync::Sync;

thread_local! {
    /// Removed when the thread of the test ends.
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(vec![]) };
}

fn fresh() -> Sync {
    let place = Place::new();
    let store = place.open();
    PLACES.with_borrow_mut(|places| places.push(place));
    store
}

shmsync::handle_conformance_tests!(fresh);
