#!/usr/bin/env bash
# `hanja top` on a terminal that tmux plays, over the real pipeline with the synthetic source.
. "$(dirname "$0")/lib.sh"
need tmux
cargo test --locked -p hanja --test top -- --include-ignored --test-threads 1
