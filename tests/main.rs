//! The black-box tests: the real executable from outside, by its command line, sockets, shared memory, pages and
//! signals. One module a subject; `harness` starts things, waits for them and leaves nothing behind. A subject alone:
//! `cargo test --test blackbox -- liveness::`.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    missing_debug_implementations,
    reason = "helpers of tests"
)]

mod harness;

mod abi;
mod bad_input;
mod bindings_c;
mod engine;
mod engine_built;
mod exports;
mod hostile;
mod liveness;
mod old_kernel;
mod pipeline;
mod service;
mod tensorrt;
mod timeline;
mod tools;
mod top;
