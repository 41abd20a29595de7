//! Command lines: words, one a line. Each is understood or refused in one line; nothing is done.
#![no_main]
#![allow(dead_code, reason = "only the parsing is used")]

#[path = "../../cli/src/archive.rs"]
mod archive;
#[path = "../../cli/src/args.rs"]
mod args;
#[path = "../../cli/src/config.rs"]
mod config;
#[path = "../../cli/src/context.rs"]
mod context;
#[path = "../../cli/src/demo/mod.rs"]
mod demo;
#[path = "../../cli/src/duration.rs"]
mod duration;
#[path = "../../cli/src/failure.rs"]
mod failure;
#[path = "../../cli/src/json.rs"]
mod json;
#[path = "../../cli/src/output.rs"]
mod output;
#[path = "../../cli/src/size.rs"]
mod size;
#[path = "../../cli/src/verb/mod.rs"]
mod verb;

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use clap::Parser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == b'\n').map(OsStr::from_bytes);
    if let Err(error) = args::Cli::try_parse_from(std::iter::once(OsStr::new("shmsync")).chain(words))
        && error.use_stderr()
    {
        let line = args::one_line(&error);
        assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = duration::parse(text);
        let _ = duration::parse_lasting(text);
        let _ = size::parse(text);
        let _ = size::parse_mode(text);
        let _ = json::parse_or_string(text);
    }
});
