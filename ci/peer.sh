#!/usr/bin/env bash
# The comparison with iceoryx2 still compiles. It is run by hand: cd benches/peer && cargo run --release
. "$(dirname "$0")/lib.sh"
cargo check --locked --manifest-path benches/peer/Cargo.toml
