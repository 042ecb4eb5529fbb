# Sourced by the scripts beside it: where things are cached and how the cache knows that they are out of date.
# shellcheck shell=bash
set -euo pipefail
system_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$system_dir/../.." && pwd)
# shellcheck source=ci/need.bash
. "$repo/ci/need.bash"
cache=${HANJA_SYSTEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hanja-pipeline-system}

say() { echo "system: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# The name of the cache entry that the given files and words make: another content, another entry.
key() { cat "$@" | sha256sum | cut -c1-16; }

# A package's file, fetched and unpacked into a directory, never installed.
unpack_package() {
    local package=$1 to=$2 from
    from=$(mktemp -d)
    chmod 755 "$from"
    (cd "$from" && apt-get download "$package" >/dev/null 2>&1) || fail "cannot fetch the package $package"
    dpkg-deb -x "$from"/*.deb "$to"
    rm -rf "$from"
}

# How much more patience the tests have here: a machine that others use gives its time to them.
slack() {
    echo "${HANJA_SYSTEM_SLACK:-$(awk -v cores="$(nproc)" '{printf "%.1f", 1 + $1 / cores}' /proc/loadavg)}"
}

# The package under test, and the same as a later version for the upgrade.
packages() {
    local to=$1 deb=${HANJA_SYSTEM_DEB:-} version
    if [ -z "$deb" ]; then
        rm -f "$repo"/target/debian/hanja-pipeline_*.deb
        bash "$repo/packaging/deb.sh" >&2 || fail "packaging/deb.sh failed"
        deb=$(echo "$repo"/target/debian/hanja-pipeline_*.deb)
    fi
    mkdir -p "$to/1" "$to/2"
    cp "$deb" "$to/1/"
    version=$(dpkg-deb -f "$deb" Version)+later1
    dpkg-deb -R "$deb" "$to/tree"
    sed -i "s/^Version: .*/Version: $version/" "$to/tree/DEBIAN/control"
    dpkg-deb --root-owner-group -Znone -b "$to/tree" "$to/2/hanja-pipeline_later.deb" >/dev/null
    rm -rf "$to/tree"
}

# What the machine sees as /host: share DIR; it must be readable for the users in there.
share() {
    local to=$1
    chmod 755 "$to"
    mkdir -p "$to/tests" "$to/log"
    cp "$system_dir"/guest/*.py "$to/tests/"
    cp "$system_dir/guest/run-tests" "$repo/docs/operations.md" "$to/"
    packages "$to/packages"
}

# One boot: boot SHARE LOGS COMMAND..., where COMMAND starts the machine and returns when it is off. The tests to run
# are in the array `tests`. Prints their output as it comes; the status is theirs, 124 for too late, 125 for a machine
# that died.
boot() {
    local share=$1 logs=$2 status=0 tail
    shift 2
    rm -rf "$share/log"
    mkdir -p "$share/log"
    : >"$share/log/output.txt"
    {
        echo "HANJA_SYSTEM_SLACK=$slack HANJA_SYSTEM_ROUNDS=${HANJA_SYSTEM_ROUNDS:-20} $environment"
        echo "export HANJA_SYSTEM_SLACK HANJA_SYSTEM_ROUNDS HANJA_SYSTEM_SYNTH"
    } >"$share/environment"
    printf 'exec sh /host/run-tests %s\n' "${tests[*]}" >"$share/start"
    say "booting for ${tests[*]} (patience x$slack)"
    tail -n +1 -f "$share/log/output.txt" --pid=$$ 2>/dev/null &
    tail=$!
    "$@" >"$share/log/console.txt" 2>&1 </dev/null || status=$?
    sleep 0.3
    kill "$tail" 2>/dev/null || true
    wait "$tail" 2>/dev/null || true
    mkdir -p "$logs"
    cp -r "$share/log/." "$logs/"
    if [ -s "$logs/status" ]; then
        status=$(cat "$logs/status")
    elif [ "$status" != 124 ]; then
        tail -n 5 "$logs/console.txt" >&2
        status=125
    fi
    [ "$status" = 0 ] || say "exit $status; the logs and the journal are in $logs"
    return "$status"
}
