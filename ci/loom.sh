#!/usr/bin/env bash
# The ring's protocol under loom: all interleavings within the bounds of common/src/ring/model.rs, and a proof that
# the model notices when any ordering is weakened. About two minutes.
. "$(dirname "$0")/lib.sh"
loom() {
    RUSTFLAGS="--cfg hanja_loom" cargo test --release --locked -p hanja-common --lib --target-dir target/loom \
        -- --test-threads=1 "$@"
}
# In a process of their own: a model that fails on purpose leaves loom in a state that eats memory afterwards.
loom ring::model::tests::broken_
loom ring::model --skip broken_
