//! Why a scenario did not hold, as text.

use std::{fmt, panic::Location};

use crate::error::Error;

/// A scenario that did not hold: what was seen instead, and which line of the suite saw it.
pub struct Failure(String);

/// What a scenario returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that is described by `what` and happened where this is called.
    #[track_caller]
    pub fn new(what: impl fmt::Display) -> Self {
        let place = Location::caller();
        Self(format!("{what} ({}:{})", place.file(), place.line()))
    }
}

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::new(format_args!("unexpected error {error:?}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fails the scenario unless the condition holds.
macro_rules! check {
    ($condition:expr $(,)?) => {
        check!($condition, "does not hold: {}", stringify!($condition))
    };
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Failure::new(format_args!($($words)+)));
        }
    };
}

/// Fails the scenario unless both sides are equal.
macro_rules! same {
    ($left:expr, $right:expr $(,)?) => {
        match (&$left, &$right) {
            (left, right) => check!(
                *left == *right,
                "{} is {}, not {}",
                stringify!($left),
                $crate::conformance::failure::brief(left),
                $crate::conformance::failure::brief(right),
            ),
        }
    };
}

/// Fails the scenario unless the result is an error of this kind.
macro_rules! refused {
    ($kind:ident, $result:expr) => {
        match $result {
            Err(error) => check!(
                error.kind() == $crate::ErrorKind::$kind,
                "{} fails with {error:?}, not with {}",
                stringify!($result),
                stringify!($kind),
            ),
            Ok(answer) => check!(
                false,
                "{} gives {}, not the error {}",
                stringify!($result),
                $crate::conformance::failure::brief(&answer),
                stringify!($kind),
            ),
        }
    };
}

pub(super) use {check, refused, same};

/// The `Debug` form, cut where it gets long.
pub(super) fn brief(value: &impl fmt::Debug) -> String {
    let mut text = format!("{value:?}");
    if text.len() > 400 {
        let end = (0..=400).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
