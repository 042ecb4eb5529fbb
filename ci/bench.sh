#!/usr/bin/env bash
# The ring's ratios have not gone to pieces. Sides are interleaved, so that the machine's mood hits both; the bounds are
# far from the figures of a quiet machine (docs/ring-figures.md), since CI has neighbours.
. "$(dirname "$0")/lib.sh"
need jq
release_executables
report=$(target/release/hanja bench ring --rounds 3 --json)
echo "$report" | jq -r '.machine, (.rows[] | "\(.bytes)\t\(.p50_us)\t\(.name)\t\(.against // [] | map(tostring) | join(" x "))")'
echo "$report" | jq -e '
    def ratios(name): [.rows[] | select(.name | startswith(name)) | .against[1]];
    def below(name; bound): ratios(name) | length > 0 and all(. <= bound);
    below("ring, polled"; 12)
    and below("ring, woken"; 1.5)
    and below("tap'"'"'s copy"; 1.4)
    and below("publish at 240 fps, "; 3)
    and .ring_bytes_8x921600 == 7409664
' >/dev/null || { echo "a ratio is out of bounds" >&2; exit 1; }
