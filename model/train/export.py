"""Checkpoint to ONNX: the file format every YOLOv5 consumer knows.

Input ``images`` f32 [1, 3, height, width], RGB 0..1, height and width multiples of 32 and free at run time.
Output ``output0`` f32 [1, n, 5 + classes], as Ultralytics' own export gives it: xywh in input pixels, objectness,
class scores. Batch normalisation is folded, only standard operators of opset 13 are used, and the metadata
carries the class names.
"""
import argparse
import copy
import os

import numpy as np
import onnx
import torch

from . import NAMES
from .model import fold_batch_norm, load_model

OPSET = 13
VERSION = "1.0"
CHECK_SIZES = ((320, 320), (320, 416), (480, 640))
"""(height, width) pairs at which the exported file is compared with PyTorch."""


def metadata(names):
    """The properties Ultralytics' exports carry, in its spelling."""
    return {
        "names": repr(dict(enumerate(names))),
        "stride": "32",
        "task": "detect",
        "author": "hanja-pipeline",
        "description": "YOLOv5 for handwritten hanja numerals",
        "license": "MIT OR Apache-2.0",
        "version": VERSION,
    }


def export(model, path, names=NAMES):
    """Write `model` to `path`; the model given is left as it is."""
    folded = fold_batch_norm(copy.deepcopy(model).cpu().eval())
    folded = folded.to(memory_format=torch.contiguous_format)
    partial = f"{path}.partial"
    torch.onnx.export(
        folded,
        torch.zeros(1, 3, 320, 320),
        partial,
        opset_version=OPSET,
        do_constant_folding=True,
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": {2: "height", 3: "width"}, "output0": {1: "anchors"}},
    )
    graph = onnx.load(partial)
    # The exporter names these two after itself although they never vary.
    output = graph.graph.output[0].type.tensor_type.shape
    output.dim[0].dim_value, output.dim[2].dim_value = 1, 5 + len(names)
    onnx.helper.set_model_props(graph, metadata(names))
    onnx.checker.check_model(graph)
    onnx.save(graph, partial)
    os.replace(partial, path)


def compare(model, path):
    """Largest |ONNX Runtime - PyTorch| over CHECK_SIZES: {(height, width): (boxes in pixels, scores)}."""
    import onnxruntime  # wanted only for the check

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = {}
    for height, width in CHECK_SIZES:
        image = np.random.default_rng(height).random((1, 3, height, width), dtype=np.float32)
        with torch.no_grad():
            expected = model(torch.from_numpy(image)).numpy()
        got = session.run(["output0"], {"images": image})[0]
        if got.shape != expected.shape:
            raise ValueError(f"{path}: output is {got.shape} at {height}x{width}, PyTorch gives {expected.shape}")
        difference = np.abs(got - expected)
        worst[height, width] = (float(difference[..., :4].max()), float(difference[..., 4:].max()))
    return worst


def main(argv=None):
    """Command line of ``python3 -m train export``."""
    parser = argparse.ArgumentParser(prog="train export", description="checkpoint to ONNX")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--box-margin", type=float, default=0.0, help="input pixels to grow boxes by, on every side")
    parser.add_argument("--check", action="store_true", help="compare with PyTorch (needs onnxruntime)")
    args = parser.parse_args(argv)
    model = load_model(args.checkpoint)
    model.detect.margin = args.box_margin
    export(model, args.out)
    print(f"{args.out}: {os.path.getsize(args.out) / 1e6:.2f} MB")
    if args.check:
        for (height, width), (boxes, scores) in compare(model, args.out).items():
            print(f"{width}x{height}: boxes within {boxes:.1e} px, scores within {scores:.1e}")
            if boxes > 1e-2 or scores > 1e-4:
                raise SystemExit(f"{args.out} does not compute what the checkpoint computes")
