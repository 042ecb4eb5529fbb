#!/usr/bin/env bash
# The service under a real systemd, in a systemd-nspawn container: native speed, all cores, a second to boot; no camera
# and, on most machines, no memory limits: those are uml.sh's. Needs root. Without arguments everything, in two boots;
# with names, such as test_access or test_recovery.Recovery.test_all_three, only those. With --probe nothing is tested:
# the exit status says whether such a container can be had here.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || fail "systemd-nspawn needs root"
# In a mount namespace of its own: whatever ends this, nothing stays mounted.
[ -n "${HANJA_SYSTEM_INSIDE:-}" ] || HANJA_SYSTEM_INSIDE=1 exec unshare -m bash "$0" "$@"
need systemd-container dpkg-dev
limit=${HANJA_SYSTEM_TIMEOUT:-1500}

# A control group of its own, so that the container's services do not land in this machine's. Where systemd runs,
# systemd-nspawn asks it for one.
groups=()
if [ ! -d /run/systemd/system ]; then
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
        [ -e "$hierarchy/cgroup.procs" ] && mkdir "$hierarchy/hanja-system.$$" && groups+=("$hierarchy/hanja-system.$$")
    done
    own=(--register=no --keep-unit)
else
    own=(--register=no)
fi

work=$(mktemp -d)
clean() {
    umount -R "$work/machine" 2>/dev/null || true
    rm -rf "$work"
    for group in "${groups[@]}"; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
}
trap clean EXIT

image=$(bash "$system_dir/image.sh")
mkdir "$work/share" "$work/machine"

# The image stays as it is: what the machine changes is in memory, and is kept from one boot to the next.
mount -t tmpfs tmpfs "$work/machine"
mkdir "$work"/machine/{upper,work,root}
mount -t overlay overlay "$work/machine/root" \
    -o "lowerdir=$image/root,upperdir=$work/machine/upper,workdir=$work/machine/work"

# container OPTIONS...: of systemd-nspawn, and what to run.
container() (
    for group in "${groups[@]}"; do echo "$BASHPID" >"$group/cgroup.procs"; done
    exec timeout --kill-after=20 "$limit" systemd-nspawn -q "${own[@]}" --link-journal=no --console=pipe \
        -D "$work/machine/root" -M "hanja-$$" "$@"
)
if [ "${1:-}" = --probe ]; then
    container /bin/true </dev/null
    exit
fi
share "$work/share"
start() { container -b --bind="$work/share:/host"; }

slack=$(slack)
environment=
tests=("$@")
logs=${HANJA_SYSTEM_LOGS:-$cache/log}/nspawn
rm -rf "$logs"
status=0
if ((${#tests[@]})); then
    boot "$work/share" "$logs" start || status=$?
else
    tests=(test_package test_service test_access test_config test_recovery test_operations)
    boot "$work/share" "$logs/1" start || status=$?
    tests=(test_boot)
    boot "$work/share" "$logs/2" start || status=$?
fi
exit "$status"
