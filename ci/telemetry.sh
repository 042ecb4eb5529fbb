#!/usr/bin/env bash
# Telemetry costs next to nothing: the calls that infer makes stay below a thousandth of a core, whatever the machine's mood;
# pipelines with and without are interleaved, within bounds that leave room for neighbours. Wanted is 1 %, which
# `hanja bench telemetry` shows on a machine without any.
. "$(dirname "$0")/lib.sh"
need jq
release_executables
report=$(target/release/hanja bench telemetry --rounds "${TELEMETRY_ROUNDS:-3}" --json)
echo "$report" | jq -r '"fps \(.fps_ratio) \(.fps_ratios), CPU \(.cpu_ratio) \(.cpu_ratios)", (.calls | tostring)'
echo "$report" | jq -e '
    .calls.ns_per_frame * .on.fps / 1e9 + .calls.us_per_second / 1e6 < 0.001
    and .fps_ratio > 0.9 and .cpu_ratio < 1.1
' >/dev/null || { echo "telemetry costs too much" >&2; exit 1; }
