#!/usr/bin/env bash
# The web view, driven in headless Chromium over the real pipeline with the synthetic source.
. "$(dirname "$0")/lib.sh"
need chromium
command -v node >/dev/null || need nodejs npm
cargo build --release --locked -p hanja
cd tests/browser
npm install --no-audit --no-fund --silent
HANJA="$PWD/../../target/release/hanja" node web_view.mjs
