#!/usr/bin/env bash
# `hanja engine` on stand-ins for TensorRT 8, 10, 11 and TensorRT-RTX that a C++ compiler lays out from NVIDIA's headers:
# built once, found again, built anew when damaged; two builds at once; a killed one. Needs a C++ compiler and the crate
# registry, and fails without them.
#
# HANJA_TEST_TENSORRT_RTX=1 also builds engines with NVIDIA's real TensorRT-RTX 1.7, which needs no GPU for that. It is
# downloaded from PyPI (89 MB) for this run; HANJA_TENSORRT_LIB, the directory that has it, saves that. The library is
# under NVIDIA's licence, which is yours to accept or not.
. "$(dirname "$0")/lib.sh"
command -v "${CXX:-c++}" >/dev/null || need g++
env -u HANJA_TENSORRT_LIB cargo test --workspace --locked --test blackbox -- \
    --ignored engine_built:: --skip the_real_tensorrt_rtx --test-threads=2
[ "${HANJA_TEST_TENSORRT_RTX:-}" = 1 ] || exit 0

if [ -z "${HANJA_TENSORRT_LIB:-}" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" download --quiet --no-deps --dest "$work" tensorrt-rtx-cu12-libs==1.7.1.116
    python3 -m zipfile -e "$work"/tensorrt_rtx_cu12_libs-*.whl "$work/wheel"
    export HANJA_TENSORRT_LIB="$work/wheel/tensorrt_rtx_libs"
fi
cargo test --workspace --locked --test blackbox -- --ignored --nocapture engine_built::the_real_tensorrt_rtx
