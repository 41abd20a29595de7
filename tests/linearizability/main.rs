//! Linearizability: real processes record what they ask a store for, when, and what it answers, while some of them are
//! stopped and killed; a checker then looks for one order of everything that a simple model agrees with.
//!
//! ```text
//! cargo test --test linearizability                        short: half a minute; with --all-features also broken builds
//! cargo test --release --test linearizability -- --long    ten minutes
//! cargo test --test linearizability -- --seconds 600 --seed 7 --only accounts
//! ```
//!
//! | file | what |
//! |---|---|
//! | `operation.rs` | what a process asks for, and what the store answers |
//! | `log.rs` | where processes write that down, so that nothing is lost when they are killed |
//! | `worker.rs` | a process that is recorded |
//! | `overtaken.rs` | processes of which each overtakes the others in the middle of something |
//! | `setting.rs` | what is recorded |
//! | `recording.rs` | starts, stops, kills them; makes a history of what they wrote |
//! | `model.rs` | what a register, an integer, … does, if one thing happens after another |
//! | `holder.rs` | what a lock or a leader does so |
//! | `turns.rs` | workers that take turns under one |
//! | `checker.rs` | whether some order explains a history |
//! | `window.rs` | the smallest part of a history that none explains |
//! | `bad.rs` | histories that no order explains, written by hand |
//! | `defects.rs` | broken builds, and how each is found |
#![allow(unreachable_pub, reason = "a program of several files")]

// Other systems have no regions, and nothing to kill processes by.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[path = "program.rs"]
mod program;

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn main() {}
