# Sourced by the scripts beside it: go to the top of the tree, stop at the first failure.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=ci/need.bash
. ci/need.bash
