#!/usr/bin/env bash
# The onnxruntime backend with the library of PyPI's wheel: it passes every test of detector and stage that rten passes,
# finds the same boxes in drawn pictures, and is found and taken without being asked for. Needs PyPI.
#
#     ci/onnxruntime.sh [FOLDER...]      real pictures to compare as well, which lie in the folder itself
. "$(dirname "$0")/lib.sh"
need python3 python3-venv
debug_executables

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime
library=$(echo "$work"/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*)
hanja=$PWD/target/debug/hanja
unset ORT_DYLIB_PATH VIRTUAL_ENV

echo "-- detector and stage on ${library##*/}"
ORT_DYLIB_PATH=$library HANJA_TEST_BACKEND=onnxruntime cargo test --workspace --locked --lib -- detector:: stage::

# Both backends on the same pictures: agree MODEL CONF FOLDER...
agree() {
    for backend in rten onnxruntime; do
        ORT_DYLIB_PATH=$library "$hanja" detect --json --backend "$backend" --model "$1" --conf "$2" "${@:3}" \
            >"$work/$backend.json"
    done
    echo -n "$1, threshold $2: "
    python3 ci/agree.py "$2" "$work/rten.json" "$work/onnxruntime.json"
}

echo "-- the same boxes as rten"
target/debug/hanja-model synth --out "$work/set" --count 40 --seed 11 2>/dev/null
target/debug/hanja-model half model/weights/hanja-pico.onnx "$work/half.onnx" >/dev/null
for pictures in "$work/set/images" "$@"; do
    for model in hanja-pico hanja-n; do
        agree "$model" 0.5 "$pictures"
        agree "$model" 0.1 "$pictures"
    done
done
# rten widens fp16 files, onnxruntime computes parts of them in fp16: only that it runs can be asked.
ORT_DYLIB_PATH=$library "$hanja" detect --json --backend onnxruntime --model "$work/half.onnx" "$work/set/images" |
    grep -q '"label"'

echo "-- found in an active virtual environment, taken by auto, and said everywhere"
export PATH=$work/venv/bin:$PATH
"$hanja" doctor --json >"$work/doctor.json"
"$hanja" run --source 'synth:?size=320x240' --http off --duration 5s --summary "$work/summary.json" \
    --runtime-dir "$work/run" 2>"$work/log" &
pipeline=$!
"$hanja" tap stats --json --count 6 --runtime-dir "$work/run" 2>/dev/null >"$work/stats.json" || true
wait "$pipeline"
python3 - "$work" <<'PYTHON'
import json, re, sys
work = sys.argv[1]
read = lambda name: open(f"{work}/{name}", encoding="utf-8").read()
said = re.compile(r"onnxruntime 1\.\d+\.\d+; not tensorrt: .+")
checks = {check["name"]: check for check in json.loads(read("doctor.json"))["checks"]}
assert checks["onnxruntime"]["ok"] and "libonnxruntime.so" in checks["onnxruntime"]["found"], checks
assert said.fullmatch(checks["backend"]["found"]), checks
summary = json.loads(read("summary.json"))
assert summary["backend"] == "onnxruntime" and said.fullmatch(summary["backend_choice"]), summary
assert summary["frames"]["inferred"] > 0, summary
infer = [s for s in map(json.loads, read("stats.json").splitlines()) if s["stage"] == "infer"]
assert infer and all(s["backend"] == "onnxruntime" and said.fullmatch(s["backend_choice"]) for s in infer), infer
assert re.search(r"onnxruntime 1\..*backend tensorrt not taken: ", read("log"), re.S), read("log")
print(summary["backend_choice"])
PYTHON
