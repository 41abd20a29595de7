//! What the world around a store can do to it: no room, no descriptors, no addresses, signals, strangers, pauses.
//!
//! Children do what would harm the test itself: limits, namespaces, closed descriptors. Where the test may not mount or
//! make namespaces, it says so and passes.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "modules of one test")]

#[path = "../common/mod.rs"]
mod common;
mod crowds;
mod descriptors;
mod holders;
mod limits;
mod namespaces;
mod pauses;
mod room;

use crowds::crowd;
use descriptors::{close_some_and_go_on, few_descriptors, open_and_close};
use holders::{hold_and_abort, hold_as_first_process};
use limits::{little_memory, short_files, signal_storm};
use namespaces::{live_at_another_time, live_in_two_namespaces};
use pauses::change_all_the_time;
use room::{copy_sparsely, fill_small_file_systems};

roles!(
    crowd,
    close_some_and_go_on,
    few_descriptors,
    open_and_close,
    little_memory,
    short_files,
    signal_storm,
    hold_and_abort,
    hold_as_first_process,
    live_at_another_time,
    live_in_two_namespaces,
    change_all_the_time,
    copy_sparsely,
    fill_small_file_systems,
);
