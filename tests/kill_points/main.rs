//! Every kill point: a child performs one operation under ptrace, step by step, and is killed after instruction k.
//!
//! ```text
//! cargo test --test kill_points                     short: at most 400 points of each operation, one operation left out
//! cargo test --test kill_points -- remove           operations whose name contains that
//! cargo test --test kill_points -- --all            a kill after every instruction
//! cargo test --test kill_points -- --long           more random kills, recovery killed everywhere
//! cargo test --test kill_points -- --seed 7
//! ```
//!
//! It is a test without the usual harness: each operation is explored by forked children of a process with one thread,
//! on one processor, of which there is one for each, and the output is a table.
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
