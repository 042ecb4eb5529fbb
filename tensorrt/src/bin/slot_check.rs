//! Compares this crate's tables with an installed NvInfer.h.
fn main() {}
