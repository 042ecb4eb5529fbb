"""Checks what prune and half wrote with ONNX's own checker and ONNX Runtime: python3 models.py ORIGINAL FOLDER IMAGES

FOLDER holds pruned.onnx, pattern.onnx (2:4), half.onnx and both.onnx (half of pruned); IMAGES are square pictures.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from PIL import Image


def run(path, pictures):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    assert given.type == "tensor(float)", given.type
    return np.concatenate([session.run(None, {given.name: p})[0][0] for p in pictures])


def difference(a, b, sure=0.3):
    """Largest difference of corners (pixels) and of scores (0..1), over the rows with a score that counts."""
    rows = (a[:, 4] > sure) & (b[:, 4] > sure)
    assert rows.sum() > 100, f"only {rows.sum()} rows say something"
    centre, half = np.abs(a[rows, :2] - b[rows, :2]), np.abs(a[rows, 2:4] - b[rows, 2:4]) / 2
    return (centre + half).max(), np.abs(a[rows, 4:] - b[rows, 4:]).max()


def weights(model):
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def pattern(model):
    """TensorRT's check of a convolution's weights: at most two of each four input channels."""
    checked = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            w = weights(model)[node.input[1]]
            if w.shape[1] % 4 == 0:
                groups = w.reshape(w.shape[0], -1, 4, *w.shape[2:])
                assert np.count_nonzero(groups, axis=2).max() <= 2, node.name
                checked += 1
    return checked


def main(original, folder, images):
    folder, load = pathlib.Path(folder), lambda path: onnx.load(str(path))
    files = sorted(pathlib.Path(images).iterdir())[:12]
    planes = lambda file: np.asarray(Image.open(file).convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255
    pictures = [planes(file) for file in files]
    models = {name: load(folder / f"{name}.onnx") for name in ("pruned", "pattern", "half", "both")}
    before = load(original)
    for name, model in models.items():
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import == before.opset_import, name
        assert list(model.metadata_props) == list(before.metadata_props), name
        assert list(model.graph.input) == list(before.graph.input), name
        assert list(model.graph.output) == list(before.graph.output), name
    print(f"2:4 holds in {pattern(models['pattern'])} convolutions")

    # By NumPy: what is gone is the smallest 5 % of each tensor, what is left is untouched.
    now = weights(models["pruned"])
    for name, was in weights(before).items():
        if was.ndim < 2:
            assert (now[name] == was).all(), name
            continue
        order = np.argsort(np.abs(was), axis=None, kind="stable")
        want = was.flatten()
        want[order[: int(0.05 * was.size)]] = 0
        assert (now[name].flatten() == want).all(), name
    for node in models["half"].graph.node:
        if node.op_type == "Conv":
            kinds = {i.data_type for i in models["half"].graph.initializer if i.name in node.input}
            assert kinds == {TensorProto.FLOAT16}, node.name

    outputs = {name: run(folder / f"{name}.onnx", pictures) for name in ("pruned", "half", "both")}
    for name, reference in (("half", run(original, pictures)), ("both", outputs["pruned"])):
        box, score = difference(reference, outputs[name])
        print(f"{name}: corners to {box:.3f} pixels, scores to {score:.4f}")
        assert box < 0.5 and score < 0.02, name

    # ONNX Runtime's CPU kernels widen fp16 to f32. The reference evaluator computes in NumPy's float16, sums included,
    # which is worse than any GPU.
    evaluator = ReferenceEvaluator(models["half"])
    [given], few = evaluator.input_names, pictures[:4]
    with np.errstate(over="ignore", invalid="ignore"):  # its sigmoid takes the exponential of both signs
        narrow = np.concatenate([evaluator.run(None, {given: p})[0][0] for p in few])
    box, score = difference(run(original, few), narrow)
    print(f"half, computed in fp16: corners to {box:.3f} pixels, scores to {score:.4f}")
    assert box < 0.5 and score < 0.02


main(*sys.argv[1:])
