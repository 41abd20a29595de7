//! Which scenarios there are.

use std::fmt;

use super::Outcome;
use crate::{
    Sync,
    driver::{Capabilities, Driver},
};

/// What scenarios of large values store, and some more.
const LARGE: usize = 16 << 20;

/// Whom a scenario talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A driver, by its contract.
    Driver,
    /// A handle over it.
    Handle,
}

/// What a scenario needs beyond what every driver has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing special.
    Nothing,
    /// The gate of `exclusive`.
    Gate,
    /// Values of many megabytes.
    LargeValues,
}

impl Needs {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Gate, Self::LargeValues];

    /// Whether a driver has it.
    pub(super) fn is_met_by(self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Nothing => true,
            Self::Gate => capabilities.gate,
            Self::LargeValues => capabilities.largest_value >= LARGE,
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "basics",
            Self::Gate => "gate",
            Self::LargeValues => "values of megabytes",
        })
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Play {
    Driver(fn(&dyn Driver) -> Outcome),
    Handle(fn(&Sync) -> Outcome),
}

/// Something that must be so: a sentence, and a function that finds out.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The sentence.
    pub name: &'static str,
    /// What it needs.
    pub needs: Needs,
    pub(super) play: Play,
}

impl Scenario {
    /// Whom it talks to.
    pub fn level(&self) -> Level {
        match self.play {
            Play::Driver(_) => Level::Driver,
            Play::Handle(_) => Level::Handle,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.replace('_', " "))
    }
}

/// Every scenario, the contract's before the handle's.
pub fn scenarios() -> Vec<Scenario> {
    macro_rules! listed {
        ({} $($level:ident $module:ident $needs:ident { $($name:ident)* })*) => {
            vec![$($(Scenario {
                name: stringify!($name),
                needs: Needs::$needs,
                play: listed!(@ $level $module $name),
            },)*)*]
        };
        (@ Driver $module:ident $name:ident) => { Play::Driver(super::driver::$module::$name) };
        (@ Handle $module:ident $name:ident) => { Play::Handle(super::handle::$module::$name) };
    }
    __conformance_list! { listed {} }
}

/// A test for every scenario of both levels, on drivers made by the factory.
#[macro_export]
macro_rules! conformance_tests {
    ($factory:expr $(,)?) => {
        $crate::__conformance_list! { $crate::__conformance_tests { $factory } }
    };
}

/// A test for every scenario of the handle, on handles made by the factory.
#[macro_export]
macro_rules! handle_conformance_tests {
    ($factory:expr $(,)?) => {
        $crate::__conformance_list! { $crate::__conformance_handle_tests { $factory } }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ({ $factory:expr } $($level:ident $module:ident $needs:ident { $($name:ident)* })*) => {
        $($(
            #[test]
            fn $name() {
                $crate::conformance::driver_test(stringify!($name), $factory);
            }
        )*)*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_handle_tests {
    (
        { $factory:expr }
        $(Driver $dm:ident $dn:ident { $($d:ident)* })*
        $(Handle $module:ident $needs:ident { $($name:ident)* })*
    ) => {
        $($(
            #[test]
            fn $name() {
                $crate::conformance::handle_test(stringify!($name), $factory);
            }
        )*)*
    };
}
