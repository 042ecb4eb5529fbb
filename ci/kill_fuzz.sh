#!/usr/bin/env bash
# Kills the processes around a ring for half a minute, and shows that a single wrong byte would be noticed.
# By hand, for an hour: ci/kill_fuzz.sh --long
. "$(dirname "$0")/lib.sh"
fuzz() { cargo run --release --locked --quiet -p hanja-kill-fuzz --features failpoints -- "$@"; }
cargo test --locked --quiet -p hanja-kill-fuzz --features failpoints
cargo clippy --locked -p hanja-kill-fuzz --features failpoints --all-targets -- -D warnings
if fuzz --seconds 3 --sabotage >/dev/null 2>&1; then
    echo "a spoiled frame was not noticed" >&2
    exit 1
fi
if [ "${1:-}" = --long ]; then fuzz --minutes 60; else fuzz --seconds 30; fi
