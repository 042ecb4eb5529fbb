#!/usr/bin/env bash
# The installed package under a real systemd (tests/system): in a container, and where the user-mode kernel is in the
# cache already or HANJA_SYSTEM_UML=1 asks for it to be built, with cameras and memory limits as well. Where a machine
# cannot do it, that is said; with HANJA_SYSTEM_REQUIRED=1 it is a failure.
. "$(dirname "$0")/lib.sh"

required() { [ "${HANJA_SYSTEM_REQUIRED:-0}" = 1 ]; }

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    required && exit 1
    skip "needs root and apt"
fi
if ! said=$(bash tests/system/nspawn.sh --probe 2>&1); then
    required && exit 1
    skip "no container can be had here ($(echo "$said" | tail -n 1))"
fi

if [ -z "${HANJA_SYSTEM_DEB:-}" ]; then
    rm -f target/debian/hanja-pipeline_*.deb
    bash packaging/deb.sh
    HANJA_SYSTEM_DEB=$(echo "$PWD"/target/debian/hanja-pipeline_*.deb)
    export HANJA_SYSTEM_DEB
fi

bash tests/system/nspawn.sh
if [ "${HANJA_SYSTEM_UML:-0}" = 1 ] || bash tests/system/kernel.sh --cached >/dev/null; then
    bash tests/system/uml.sh
else
    not_checked "cameras and memory limits (no user-mode kernel in the cache; HANJA_SYSTEM_UML=1 builds one)"
    ! required
fi
