#!/usr/bin/env bash
# The training package: losses, letterbox, metrics, export. Debian's PyTorch, no GPU.
. "$(dirname "$0")/lib.sh"
need python3-torch python3-numpy python3-pil python3-onnx
cd model
/usr/bin/python3 -m unittest discover -s train/tests -t .
