#!/usr/bin/env bash
# Under systemd the stages log to the journal with fields, and those are what docs/logs.md says: tests/journal.py. Needs
# root, for a mount namespace with a /run/systemd/journal of its own.
. "$(dirname "$0")/lib.sh"
need python3 util-linux
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
    skip "no mount namespace to be had"
fi
debug_executables
exec unshare -m python3 tests/journal.py "${CARGO_TARGET_DIR:-target}/debug/hanja" docs/logs.md
