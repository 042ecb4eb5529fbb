#!/usr/bin/env bash
# For whoever has a GPU for some minutes at a time: trains as much as fits into them and goes on at the next call.
# Usage: on-device.sh RUN MINUTES DATA… [-- further options of `train fit`]
# RUN holds the checkpoint between calls: bring back RUN/last.pt and put it there again. Weights and checkpoints of
# width 0.5 and below stay under 16 MB (the optimiser's state is left out of what is brought back as ONNX).
set -euo pipefail
run=$(realpath -m "${1:?folder of the run}")
minutes=${2:?minutes}
shift 2
data=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    data+=("$(realpath "$1")")
    shift
done
[ $# -gt 0 ] && shift
cd "$(dirname "$0")/.."
python3 -c 'import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")'
# The whole schedule is set by the first call; each call ends by itself a minute before its time, saved every half minute.
status=0
timeout --signal=TERM "$((minutes * 60 - 60))" \
    python3 -m train fit --data "${data[@]}" --run "$run" --save-minutes 0.5 "$@" || status=$?
case $status in
    0) echo "the run is complete" ;;
    124) echo "time is up; the same call goes on from $run/last.pt" ;;
    *) exit "$status" ;;
esac
python3 -m train export --checkpoint "$run/last.pt" --out "$run/last.onnx"
