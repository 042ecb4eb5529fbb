#!/usr/bin/env bash
# For whoever has an NVIDIA GPU, or a Jetson, with TensorRT, and its headers for the first step: does what no machine without one can. Builds
# the engines (minutes), compares the slot tables with the installed headers, the detections with the CPU's, and measures
# latency with and without CUDA graphs and zero copy. Not part of .ci/run.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "-- the slot tables against the installed headers"
status=0
cargo run --locked --release -p hanja-tensorrt --bin hanja-slot-check || status=$?
case $status in
    0) ;;
    3) echo "SKIPPED, there are no headers: the tables stay unchecked on this machine, the rest goes on" ;;
    *) exit "$status" ;;
esac
echo "-- the machine, and its engines"
cargo build --locked --release -p hanja
for model in hanja-pico hanja-n; do
    target/release/hanja engine build --model "$model"
done
target/release/hanja doctor
echo "-- detections and latency"
cargo test --locked --release -p hanja-infer --lib on_device -- --ignored --nocapture --test-threads=1
