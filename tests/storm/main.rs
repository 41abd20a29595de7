//! The storm: processes that do everything are killed, stopped and continued at random, and everything must still hold.
//!
//! ```text
//! cargo test --test storm                          short: a minute
//! cargo test --release --test storm -- --kills 1000000
//! cargo test --test storm -- --seconds 600 --seed 7 --round full
//! ```
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
