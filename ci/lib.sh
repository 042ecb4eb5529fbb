# Sourced by the scripts beside it: go to the top of the tree, stop at the first failure.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=ci/need.bash
. ci/need.bash

# One build of each kind for all checks. `-p` would choose other features and compile every dependency once more, which
# for a dozen checks is most of an hour: debug executables are those of `cargo test --workspace`, release ones those of
# the package.
debug_executables() { cargo test --workspace --locked --no-run --quiet; }
release_executables() { cargo build --release --locked -p hanja -p hanja-model; }
# A check that cannot run here, or a part of one: said, and said again by .ci/run at the end.
not_checked() {
    local what
    what="$(basename "$0" .sh): $*"
    echo "NOT checked: $what" >&2
    [ -z "${HANJA_CI_NOT_CHECKED:-}" ] || echo "$what" >>"$HANJA_CI_NOT_CHECKED"
}
# The whole check: 77 is what automake's tests say for it.
skip() {
    not_checked "$@"
    exit 77
}
# Cargo's own tools are used once: compiling them takes longer than what a faster one would save.
cargo_tool() { command -v "$1" >/dev/null || cargo install --locked --quiet --debug "$1"; }
