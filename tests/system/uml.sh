#!/usr/bin/env bash
# The service with real cameras and real memory limits: a user-mode Linux machine, its kernel built from Debian's source
# (kernel.sh), with Linux's test camera vivid and v4l2loopback. Native speed, one processor, three seconds to boot. The
# image needs root to be built; running it does not. Without arguments everything, in two boots; with names, such as
# test_camera.Camera.test_device_busy, only those.
. "$(dirname "$0")/lib.sh"
need dpkg-dev
limit=${HANJA_SYSTEM_TIMEOUT:-1500}

kernel=$(bash "$system_dir/kernel.sh")
image=$(bash "$system_dir/image.sh" --ext4)
work=$(mktemp -d)
# A guest that hangs does not hear a polite signal, and has processes here for those in there.
trap 'pkill -KILL -f "ubd0=$work/" || true; rm -rf "$work"' EXIT
mkdir "$work/share"
share "$work/share"

# Guest memory is a sparse file where TMPDIR says. The image stays as it is: changes go to a file of their own, which is
# kept from one boot to the next.
machine() {
    TMPDIR=/dev/shm timeout --foreground --kill-after=20 "$limit" "$kernel/linux" mem=1024M \
        "ubd0=$work/changes,$image/root.ext4" root=/dev/ubda rw rootfstype=ext4 \
        con=null con0=null,fd:1 con1=null quiet systemd.show_status=0 \
        init=/usr/local/sbin/hanja-test-init "share=$work/share" "modules=$kernel/modules/lib/modules"
}

# One processor, without the time-keeping of a real one: more patience, and a slower stand-in for a camera.
slack=$(awk -v slack="$(slack)" 'BEGIN {print 2 * slack}')
environment='HANJA_SYSTEM_SYNTH="synth:?size=640x480&fps=5&seed=1&glyphs=3"'
tests=("$@")
logs=${HANJA_SYSTEM_LOGS:-$cache/log}/uml
rm -rf "$logs"
status=0
if ((${#tests[@]})); then
    boot "$work/share" "$logs" machine || status=$?
else
    tests=(test_camera test_limits)
    boot "$work/share" "$logs/1" machine || status=$?
    tests=(test_boot)
    boot "$work/share" "$logs/2" machine || status=$?
fi
exit "$status"
