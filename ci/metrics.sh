#!/usr/bin/env bash
# /metrics as Prometheus reads it: promtool finds nothing to say about the names of a running pipeline, and Prometheus
# itself, scraping that pipeline, has an answer to every question of the dashboard and the alerts.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || need python3
# The programs alone: the package would start a service.
if ! command -v promtool >/dev/null || ! command -v prometheus >/dev/null; then
    tools=$PWD/target/ci/prometheus
    if [ ! -x "$tools/usr/bin/promtool" ]; then
        mkdir -p "$tools"
        cd "$tools"
        apt-get download -qq prometheus 2>/dev/null || { apt-get update -qq && apt-get download -qq prometheus; }
        dpkg-deb -x prometheus_*.deb .
        rm prometheus_*.deb
        cd - >/dev/null
    fi
    PATH=$tools/usr/bin:$PATH
fi
if [ -z "${HANJA:-}" ]; then
    release_executables
    HANJA=$PWD/target/release/hanja
fi
HANJA=$HANJA python3 tests/metrics/check.py
