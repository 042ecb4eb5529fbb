#!/usr/bin/env bash
# The tree is formatted as rustfmt.toml says.
. "$(dirname "$0")/lib.sh"
cargo fmt --all --check
