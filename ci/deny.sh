#!/usr/bin/env bash
# Licences, sources and advisories of everything in Cargo.lock; the rules and their reasons are in deny.toml.
. "$(dirname "$0")/lib.sh"
cargo_tool cargo-deny
cargo deny --locked check bans licenses sources
# The advisory database is a git repository; a machine that reaches only package registries cannot fetch it.
if cargo deny --locked fetch db 2>/dev/null; then
    cargo deny --locked check advisories
else
    not_checked "advisories: their database cannot be reached"
fi
