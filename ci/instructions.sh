#!/usr/bin/env bash
# What must not become slower, in instructions, which no neighbour on the machine changes: publish, lease, tap, the input
# tensor of each format, decoding, suppression, a crop. valgrind counts each with 2 and with 12 repetitions; a tenth of
# the difference is compared with docs/instructions.tsv. More than 3 % above fails; more than 3 % below says so. The
# counts are those of the pinned compiler on x86-64 with AVX2.
#
#     ci/instructions.sh --record        writes docs/instructions.tsv
. "$(dirname "$0")/lib.sh"
need valgrind
[ "$(uname -m)" = x86_64 ] && grep -qw avx2 /proc/cpuinfo || skip "the recorded counts are for x86-64 with AVX2"
table=docs/instructions.tsv
# With the packages of the release executables, so that dependencies are compiled once.
cargo build --release --locked -p hanja -p hanja-model -p hanja-bench --features hanja-bench/counts
counter=target/release/hanja-instructions
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

count() { # SCENE TIMES
    RAYON_NUM_THREADS=1 valgrind --tool=callgrind --callgrind-out-file="$work/out" "$counter" "$1" "$2" 2>"$work/log" ||
        { cat "$work/log" >&2 && return 1; }
    sed -n 's/^summary: \|^totals: //p' "$work/out" | head -n 1
}

"$counter" | while read -r scene; do
    few=$(count "$scene" 2)
    many=$(count "$scene" 12)
    printf '%s\t%s\n' "$scene" $(((many - few) / 10))
done >"$work/now"

if [ "${1:-}" = --record ]; then
    cp "$work/now" "$table"
    cat "$table"
    exit
fi
awk -F '\t' '
    NR == FNR { before[$1] = $2; next }
    {
        seen[$1] = 1
        if (!($1 in before)) { print $1 ": not recorded; ci/instructions.sh --record"; bad = 1; next }
        ratio = $2 / before[$1]
        printf "%-24s %12d %12d %.3f\n", $1, before[$1], $2, ratio
        if (ratio > 1.03) { print "  more than 3 % above what it was"; bad = 1 }
        if (ratio < 0.97) print "  less than it was: record it"
    }
    END {
        for (scene in before) if (!(scene in seen)) { print scene ": recorded, and gone"; bad = 1 }
        exit bad
    }' "$table" "$work/now"
