//! The parent, as a child sees it: lines in, lines out.

use std::io::{Read, stdin};

use crate::{child::READY, failure::Outcome};

pub(crate) struct Parent;

impl Parent {
    pub(crate) fn ready(&self) {
        println!("{READY}");
    }

    pub(crate) fn tell(&self, line: impl std::fmt::Display) {
        println!("{line}");
    }

    /// A line of two moments: when to begin, when to end.
    pub(crate) fn window(&self) -> Outcome<(u64, u64)> {
        let mut line = String::new();
        stdin().read_line(&mut line)?;
        let (start, end) = line.trim_end().split_once(' ').ok_or("no window was told")?;
        Ok((start.parse()?, end.parse()?))
    }

    /// Returns when the parent closes its end.
    pub(crate) fn wait_for_the_end(&self) {
        let _ = stdin().read_to_end(&mut Vec::new());
    }
}
