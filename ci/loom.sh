#!/usr/bin/env bash
# The ring's protocol under loom: all interleavings within the bounds of common/ring/src/model.rs, and a proof that
# the model notices when any ordering is weakened. About two minutes.
. "$(dirname "$0")/lib.sh"
loom() {
    RUSTFLAGS="--cfg hanja_loom" cargo test --release --locked -p hanja-ring --lib --target-dir target/loom \
        -- --test-threads=1 "$@"
}
# In a process of their own: a model that fails on purpose leaves loom in a state that eats memory afterwards.
loom model::tests::broken_
loom model --skip broken_
