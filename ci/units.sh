#!/usr/bin/env bash
# The systemd units: systemd finds nothing to complain about, no exposure score is above what it was, every drop-in
# among the examples still fits, and what the rest of the product relies on is in them.
. "$(dirname "$0")/lib.sh"
need systemd
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

# As installed, but for the executable and the manual page, which are not there.
units="$place/etc/systemd/system"
mkdir -p "$units"
for unit in systemd/hanja-*.service systemd/hanja-*.socket; do
    sed 's|/usr/bin/hanja|/bin/true|; /^Documentation=/d' "$unit" >"$units/${unit##*/}"
done
said=$(systemd-analyze verify --man=no "$units"/hanja-* 2>&1 | grep hanja || true)
if [ -n "$said" ]; then
    echo "systemd-analyze verify: $said" >&2
    exit 1
fi

# Highest score allowed, in tenths. It may be lowered, and is to be when a unit gets better.
score() { # UNIT TENTHS
    if ! systemd-analyze security --offline=true --threshold="$2" --no-pager --root="$place" "$1" >"$place/score"; then
        grep -v ✓ "$place/score" >&2
        echo "$1 is more exposed than $2 tenths" >&2
        exit 1
    fi
    echo "$1: $(tail -n 1 "$place/score" | sed 's/.*: //') (limit ${2} tenths)"
}
score hanja-capture.service 4
score hanja-infer.service 2
score hanja-render.service 10
score hanja-pipeline.service 7

# The limits are no wider than needed: with any of these lines gone, the check above has to fail.
for line in NoNewPrivileges=yes PrivateNetwork=yes ProtectSystem=strict "SystemCallFilter=@system-service" User=hanja-capture; do
    grep -v "^$line" systemd/hanja-capture.service >"$units/hanja-capture.service"
    if (score hanja-capture.service 4) >/dev/null 2>&1; then
        echo "nobody would notice the loss of $line" >&2
        exit 1
    fi
done
cp systemd/hanja-capture.service "$units/"

# Drop-ins: each alone on its unit.
dropin() { # FILE UNIT TENTHS
    mkdir "$units/$2.d"
    cp "systemd/examples/$1" "$units/$2.d/"
    said=$(SYSTEMD_UNIT_PATH="$units:" systemd-analyze verify --man=no "$units/$2" 2>&1 | grep "$1" || true)
    [ -z "$said" ] || { echo "$1: $said" >&2; exit 1; }
    echo -n "with $1, "
    score "$2" "$3"
    rm -r "$units/$2.d"
}
dropin infer-cuda.conf hanja-infer.service 7
dropin realtime.conf hanja-capture.service 4
dropin affinity.conf hanja-infer.service 2
dropin render-network.conf hanja-render.service 10

# What others rely on and no score knows of.
has() { # FILE LINE...
    local file=$1 line
    shift
    for line in "$@"; do
        grep -qxF -- "$line" "systemd/$file" || { echo "systemd/$file lacks: $line" >&2; exit 1; }
    done
}
for stage in capture infer render; do
    has "hanja-$stage.service" Type=notify Restart=always RestartSec=100ms StartLimitIntervalSec=0 \
        "RestartPreventExitStatus=2 78" PartOf=hanja-pipeline.service "User=hanja-$stage" Group=hanja \
        "Sockets=hanja-$stage.socket hanja-$stage-tap.socket"
    grep -q '^WatchdogSec=' "systemd/hanja-$stage.service"
    grep -q '^MemoryMax=' "systemd/hanja-$stage.service"
    has "hanja-$stage.socket" "ListenSequentialPacket=/run/hanja/$stage.sock" FileDescriptorName=lease \
        "SocketUser=hanja-$stage" SocketGroup=hanja SocketMode=0660 RemoveOnStop=yes StopWhenUnneeded=yes \
        PartOf=hanja-pipeline.service StartLimitIntervalSec=0 TriggerLimitIntervalSec=0
    has "hanja-$stage-tap.socket" "ListenSequentialPacket=/run/hanja/$stage-tap.sock" FileDescriptorName=tap \
        "SocketUser=hanja-$stage" SocketGroup=hanja-tap SocketMode=0660 RemoveOnStop=yes StopWhenUnneeded=yes \
        PartOf=hanja-pipeline.service "Service=hanja-$stage.service" StartLimitIntervalSec=0 TriggerLimitIntervalSec=0
done
has hanja-pipeline.service Type=oneshot RemainAfterExit=yes \
    "Wants=hanja-capture.service hanja-infer.service hanja-render.service"
# Nothing essential that the systemd of JetPack 4.6 (237) lacks. What it does not know, it warns of and passes over.
newer='^(Type=(notify-reload|exec)|ExecCondition|RestartMode|ExitType|LoadCredential|SetCredential|OpenFile|RestartSteps)'
if grep -nE "$newer" systemd/hanja-*; then
    echo "systemd 237 cannot do this" >&2
    exit 1
fi

# Users, groups, the directory.
systemd-sysusers --root="$place" - <systemd/sysusers.conf 2>/dev/null
for user in capture infer render; do
    grep -q "^hanja-$user:.*:/nonexistent:.*/nologin$" "$place/etc/passwd" ||
        { echo "hanja-$user can log in, or has a home" >&2; exit 1; }
    grep "^hanja:" "$place/etc/group" | cut -d: -f4 | tr , '\n' | grep -qx "hanja-$user" ||
        { echo "hanja-$user is not of the group hanja" >&2; exit 1; }
done
if grep -nE '^u \S+ \S*:|^u .*/nonexistent .' systemd/sysusers.conf; then
    echo "systemd 237 knows neither a group by name nor a shell in a line of a user" >&2
    exit 1
fi
systemd-tmpfiles --root="$place" --create - <systemd/tmpfiles.conf
[ "$(stat -c '%a %u' "$place/run/hanja")" = "755 0" ]
echo "units, drop-ins, users and directories are in order"
