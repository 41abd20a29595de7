//! The driver for clusters, on an etcd that each test starts itself.
#![cfg(target_os = "linux")]

mod bad_input;
#[path = "../common/mod.rs"]
mod common;
mod conformance;
mod histories;
mod linear;
mod members;
mod proxy;
mod raw;
mod runtimes;
mod server;
mod sessions;
mod tls;
mod unanswered;
mod watching;

use sessions::holder;

roles!(holder);
