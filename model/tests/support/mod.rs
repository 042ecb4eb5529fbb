//! The models of hanja-onnx's tests, and the command.

#![allow(dead_code, unused_imports, clippy::unwrap_used)]

#[path = "../../onnx/tests/support/mod.rs"]
mod models;

pub(crate) use models::*;

use std::process::Command;

/// Runs `hanja-model`: exit code, standard output, standard error.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_hanja-model"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (run.status.code(), text(run.stdout), text(run.stderr))
}
