#!/usr/bin/env bash
# The doors for other languages: C library (gcc and clang, all warnings, C++, pkg-config, valgrind), Python module (both
# ways to read, types, pip), shell (ffmpeg, jq), and the examples of the documentation. Nothing is skipped.
. "$(dirname "$0")/lib.sh"
need gcc g++ clang valgrind ffmpeg jq pkg-config python3 python3-venv
debug_executables

# The same backend on every machine, whatever is installed there.
export ORT_DYLIB_PATH=/nowhere/libonnxruntime.so
work=$(mktemp -d)
pipeline=
finish() {
    [ -z "$pipeline" ] || kill "$pipeline" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap finish EXIT

echo "-- C: install, compile against what pkg-config says, run"
DESTDIR=$work/stage PREFIX=/opt/hanja bindings/c/install.sh
export PKG_CONFIG_SYSROOT_DIR=$work/stage PKG_CONFIG_PATH=$work/stage/opt/hanja/lib/pkgconfig
export LD_LIBRARY_PATH=$work/stage/opt/hanja/lib
read -ra flags < <(pkg-config --cflags --libs hanja_tap)
warnings=(-Wall -Wextra -Wpedantic -Wconversion -Werror)
echo '#include <hanja_tap.h>' >"$work/header.c"
for standard in c++11 c++20; do
    g++ "-std=$standard" "${warnings[@]}" -x c++ -c "$work/header.c" "${flags[@]}" -o "$work/header.o"
    clang++ "-std=$standard" "${warnings[@]}" -x c++ -c "$work/header.c" "${flags[0]}" -o "$work/header.o"
done
target/debug/hanja run --source 'synth:?size=320x240' --http off --runtime-dir "$work/run" >"$work/log" 2>&1 &
pipeline=$!
for _ in $(seq 100); do
    grep -q 'first detection' "$work/log" && break
    sleep 0.1
done
for compiler in gcc clang; do
    for source in bindings/c/example.c bindings/c/tests/api.c bindings/c/tests/raw.c; do
        "$compiler" -std=c11 "${warnings[@]}" "$source" "${flags[@]}" -o "$work/$(basename "$source" .c)"
    done
    "$work/api" alone "$work/nowhere"
    "$work/api" live "$work/run"
    "$work/raw" "$work/run"
    "$work/example" --runtime-dir "$work/run" --count 5 | tee "$work/printed"
    [ "$(grep -cE '^[0-9]+ [一二三四五六七八九十] [01]\.[0-9]{2} [0-9]+,[0-9]+,[0-9]+,[0-9]+$' "$work/printed")" = 5 ]
done
for run in "api alone $work/nowhere" "api live $work/run" "example --runtime-dir $work/run --count 5"; do
    read -ra words <<<"$run"
    valgrind --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=definite,indirect,possible \
        "$work/${words[0]}" "${words[@]:1}"
done
kill "$pipeline"
wait "$pipeline"
pipeline=

echo "-- Python: types, pip, tests on both ways to read"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check mypy ./bindings/python
rm -rf bindings/python/build bindings/python/*.egg-info
(cd "$work" && venv/bin/python -c 'import hanja_tap; assert "venv" in hanja_tap.__file__')
"$work/venv/bin/mypy" --strict --python-executable "$(command -v python3)" bindings/python/hanja_tap.py
export HANJA_TAP_TEST_LIBRARY=$LD_LIBRARY_PATH/libhanja_tap.so
python3 -m unittest discover -s bindings/python/tests

echo "-- Shell, and the examples of the documentation"
python3 tests/test_guide.py
