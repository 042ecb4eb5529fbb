#!/usr/bin/env bash
# ThreadSanitizer over the tests of the ring between threads and across its control sockets, on the pinned stable compiler.
#
# It sees: plain accesses that race with anything, among them reads of leased bytes against the writer's next frame
# (`threads`): weakening RELEASE or SCAN is reported, PUBLISH or CHECK is not, since ANNOUNCE and NEWEST order the
# same there. And the control thread against the writer.
# It cannot see: fences, which it does not model (loom does, ci/loom.sh; acquire loads are given to it as such, not as
# loads with a fence); a ring between two mappings, which for it is
# two memories (the kill fuzz does); the wide copy, which is inline assembly; and the standard library, which comes
# compiled without it. The last is why there are suppressions, and why tests with proptest are left out: its
# configuration is made under a `Once` of the standard library.
. "$(dirname "$0")/lib.sh"
host=$(rustc -vV | sed -n 's/^host: //p')
suppressions=$(mktemp)
trap 'rm -f "$suppressions"' EXIT
cat >"$suppressions" <<'END'
# Dropping the last Arc: the standard library uses a fence there, unless it is built for the sanitizer itself.
race:library/alloc/src/sync.rs
# The channel on which the test harness reports results: inside the standard library, partly inlined into it.
race:std::sync::mpmc::
END
# --target: build scripts and macros are built without it.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target/tsan TSAN_OPTIONS="suppressions=$suppressions halt_on_error=1"
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg hanja_tsan"
cargo test --locked --target "$host" -p hanja-ring --lib -- threads::
# One test after the other: rings are mapped by system calls that the sanitizer does not see, so one test's memory at the
# address of another's, unmapped meanwhile, would be a race between the two.
cargo test --locked --target "$host" -p hanja-ring --test server -- --test-threads=1
