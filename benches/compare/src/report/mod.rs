//! What is told: on the terminal, in a file, in the README.

mod json;
mod lines;
mod machine;
mod readme;
mod text;

pub(crate) use self::{
    json::json,
    lines::Report,
    machine::{Machine, commit},
    readme::{check_readme, write_readme},
};
