#!/usr/bin/env bash
# Miri over what needs no system call: the copies, the layout, the protocol, the records. The pinned stable toolchain
# has no Miri, so it is used where somebody has put it beside, and its absence is said.
. "$(dirname "$0")/lib.sh"
if ! RUSTC_BOOTSTRAP=1 cargo miri --version >/dev/null 2>&1; then
    skip "cargo-miri is not installed"
fi
# proptest wants the time and the environment; its 256 cases would take an hour.
RUSTC_BOOTSTRAP=1 PROPTEST_CASES=8 MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-disable-isolation" \
    cargo miri test --locked -p hanja-ring --lib -- words:: protocol:: layout::
RUSTC_BOOTSTRAP=1 PROPTEST_CASES=8 MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-disable-isolation" \
    cargo miri test --locked -p hanja-record --lib
