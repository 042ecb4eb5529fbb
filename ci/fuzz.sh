#!/usr/bin/env bash
# Every parser of bytes that another process wrote, under libFuzzer and AddressSanitizer: 10 seconds each from the corpus
# in the tree; by hand with --long ten minutes each. cargo-fuzz wants -Z flags; RUSTC_BOOTSTRAP lets the pinned stable compiler take them.
# A find is in tests/fuzz/artifacts; it is reproduced there with: RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir . TARGET FILE
. "$(dirname "$0")/lib.sh"
export RUSTC_BOOTSTRAP=1
seconds=10
[ "${1:-}" != --long ] || seconds=600
cargo_tool cargo-fuzz
cd tests/fuzz
cargo fetch --quiet --locked
cargo fuzz build --fuzz-dir . --sanitizer address
found=$(mktemp -d) # new inputs stay out of the tree
trap 'rm -rf "$found"' EXIT
for target in $(cargo fuzz list --fuzz-dir .); do
    mkdir "$found/$target"
    # Reading another process's bytes is cheap: what takes more than 5 s or 1 GB is a find too.
    cargo fuzz run --fuzz-dir . --sanitizer address "$target" "$found/$target" "corpus/$target" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=5 -rss_limit_mb=1024 \
        -print_final_stats=1 >"$found/log" 2>&1 || { cat "$found/log" && exit 1; }
    awk -v target="$target" '/number_of_executed_units|peak_rss_mb/ { printf "%s%s", sep, $2; sep = " executions, " }
        END { print " MB peak: " target }' "$found/log"
done
