#!/usr/bin/env bash
# The comparison with iceoryx2 still compiles. It is run by hand: cd tests/bench/peer && cargo run --release
. "$(dirname "$0")/lib.sh"
cargo check --locked --manifest-path tests/bench/peer/Cargo.toml
