#!/usr/bin/env bash
# TensorRT's call layer against stand-ins that a C++ compiler lays out from NVIDIA's headers, and its slot tables against
# those headers; then the whole pipeline on such a stand-in and a fake GPU, with a model whose answer is known. Needs C
# and C++ compilers and the crate registry, and fails without them.
#
# HANJA_TEST_TENSORRT_RTX=1 also runs it against NVIDIA's real TensorRT-RTX 1.7, downloaded from PyPI (89 MB) for this
# run: it builds engines without a GPU. The library is under NVIDIA's licence, which is yours to accept or not.
. "$(dirname "$0")/lib.sh"
command -v "${CXX:-c++}" >/dev/null || need g++
cargo test --workspace --locked --test fake --test without_parser --test slot_check -- --ignored
cargo test --workspace --locked --lib runner::tensorrt::tests -- --ignored
cargo test --workspace --locked --test blackbox -- --ignored --test-threads=2 tensorrt::
[ "${HANJA_TEST_TENSORRT_RTX:-}" = 1 ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" download --quiet --no-deps --dest "$work" tensorrt-rtx-cu12-libs==1.7.1.116
python3 -m zipfile -e "$work"/tensorrt_rtx_cu12_libs-*.whl "$work/wheel"
target/debug/hanja-model half model/weights/hanja-n.onnx "$work/half.onnx"
HANJA_TENSORRT_LIB="$work/wheel/tensorrt_rtx_libs" \
    HANJA_TEST_FP16_ONNX="$work/half.onnx" HANJA_TEST_FP32_ONNX="$PWD/model/weights/hanja-n.onnx" \
    cargo test --workspace --locked --test rtx -- --ignored --nocapture --test-threads=1
