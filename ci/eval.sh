#!/usr/bin/env bash
# hanja-model against what others wrote: eval against pycocotools, the product's decoding and suppression against NumPy
# and ONNX Runtime, half and prune against ONNX's own checker and ONNX Runtime. From PyPI, in an environment of its own.
. "$(dirname "$0")/lib.sh"
need python3 python3-venv
debug_executables
environment=target/eval-venv
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
"$environment/bin/pip" install --quiet --disable-pip-version-check -r model/tests/reference/requirements.txt
PYTHON=$PWD/$environment/bin/python
export PYTHON PYCOCOTOOLS_REQUIRED=1

echo "-- eval and pycocotools on the same files"
cargo test --workspace --locked --test pycocotools

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# 320x320 is what the network sees: nothing is resampled on the way.
target/debug/hanja-model synth --out "$work/set" --count 24 --seed 3 --format png 2>/dev/null

echo "-- the product's detections and those of NumPy and ONNX Runtime"
target/debug/hanja detect --json --conf 0.05 --size 320 --coarse-size=0 --verify=false --agnostic=false \
    "$work/set/images" >"$work/found.json"
"$PYTHON" model/tests/reference/decode.py model/weights/hanja-pico.onnx "$work/set/images" "$work/found.json"

echo "-- prune and half: valid models that compute what they should"
target/debug/hanja-model prune model/weights/hanja-pico.onnx "$work/pruned.onnx" >/dev/null
target/debug/hanja-model prune model/weights/hanja-pico.onnx "$work/pattern.onnx" --pattern 2:4 >/dev/null
target/debug/hanja-model half model/weights/hanja-pico.onnx "$work/half.onnx" >/dev/null
target/debug/hanja-model half "$work/pruned.onnx" "$work/both.onnx" >/dev/null
"$PYTHON" model/tests/reference/models.py model/weights/hanja-pico.onnx "$work" "$work/set/images"
