#!/usr/bin/env bash
# The web view in headless Chromium, and a shorter round in Firefox where it is installed, over the real pipeline with the
# synthetic source. SHOTS=FOLDER keeps screenshots; an argument runs only the tests whose names contain it.
. "$(dirname "$0")/lib.sh"
need chromium
command -v node >/dev/null || need nodejs npm
release_executables
cd tests/browser
npm install --no-audit --no-fund --silent
export HANJA="$PWD/../../target/release/hanja"
node web_view.mjs "$@"
if [ $# = 0 ]; then
    if command -v firefox-esr firefox >/dev/null; then node firefox.mjs; else not_checked "Firefox is not installed"; fi
fi
