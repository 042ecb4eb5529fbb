#!/usr/bin/env bash
# `hanja top` on a terminal that tmux plays, over the real pipeline with the synthetic source.
. "$(dirname "$0")/lib.sh"
need tmux
cargo test --workspace --locked --test blackbox -- --include-ignored --test-threads 1 top::
