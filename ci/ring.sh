#!/usr/bin/env bash
# The ring stays a library of its own: it is packed and compiled by itself, and depends on nothing here. libhanja_tap
# depends on ring and record alone: no configuration, no logging.
. "$(dirname "$0")/lib.sh"
cargo package --quiet --locked --allow-dirty -p hanja-ring --target-dir target/package-ring
ours() { cargo tree --locked --prefix none --edges normal -p "$1" | awk '$1 ~ /^hanja-/ { print $1 }' | sort -u | xargs; }
bad=0
depends() { # PACKAGE, and what of this workspace it may contain, itself included
    local found
    found=$(ours "$1")
    if [ "$found" != "$2" ]; then
        echo "$1 contains $found instead of $2" >&2
        bad=1
    fi
    echo "$1: $(cargo tree --locked --prefix none --edges normal,build -p "$1" | awk '{ print $1 }' | sort -u | wc -l) packages"
}
depends hanja-ring "hanja-ring"
depends hanja-record "hanja-record hanja-ring"
depends hanja-tap "hanja-record hanja-ring hanja-tap"
exit $bad
