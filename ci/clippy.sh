#!/usr/bin/env bash
# No compiler or clippy warning in libraries, executables, tests, benches.
. "$(dirname "$0")/lib.sh"
cargo clippy --workspace --all-targets --locked -- -D warnings
