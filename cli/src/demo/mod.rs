//! The demo: the main job of a store, on real files. Workers share a queue, each may be killed, nothing is lost.

mod check;
mod crew;
mod digest;
mod files;
mod lead;
mod path;
mod queue;
mod record;
mod report;
mod view;
mod worker;

pub(crate) use lead::Demo;
pub(crate) use worker::DemoWorker;
