//! What every driver must do, as scenarios that anybody can run on a driver of their own.
//!
//! There are two levels. Scenarios of the *contract* call a [`Driver`](crate::driver::Driver) directly; scenarios of
//! the *handle* use the same driver through [`Sync`](crate::Sync), as users do. In tests, three lines give a test for
//! each scenario:
//!
//! ```
//! # #[cfg(any())] // A test module of a driver's own crate.
//! mod conformance {
//!     shmsync::conformance_tests!(super::MyDriver::new);
//! }
//! ```
//!
//! Elsewhere [`run_all`] runs them one after the other and returns a [`Report`]:
//!
//! ```
//! use shmsync::{conformance::run_all, driver::Driver};
//!
//! fn check<D: Driver>(new: impl Fn() -> D) {
//!     let report = run_all(new);
//!     println!("{report}");
//!     assert!(report.passed());
//! }
//! ```
//!
//! The factory is called once per scenario. What it returns is a store that is empty and that nobody else uses; at the
//! end the suite verifies and destroys it. What a driver says it cannot do (by
//! [`capabilities`](crate::driver::Driver::capabilities)) is skipped and reported as such.

mod driver;
mod failure;
mod handle;
#[macro_use]
mod names;
mod list;
mod suite;
mod tools;

pub use failure::{Failure, Outcome};
pub use list::{Level, Needs, Scenario, scenarios};
pub use suite::{Report, Verdict, open, run_all, run_handle, run_some};
#[doc(hidden)]
pub use suite::{driver_test, handle_test};

#[cfg(test)]
mod memory {
    crate::conformance_tests!(|| crate::driver::Memory::open(None, true, "").expect("memory is always there"));
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod shm {
    use std::{
        path::Path,
        sync::atomic::{AtomicU32, Ordering},
    };

    use crate::{Options, driver::Shm};

    /// A region of its own for each scenario, which destroys it at its end.
    fn open() -> Shm {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shmsync-conformance-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Shm::open(&Path::new("/dev/shm").join(name), &Options::default()).expect("a new region")
    }

    crate::conformance_tests!(super::shm::open);
}
