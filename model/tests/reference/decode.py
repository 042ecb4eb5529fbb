"""The product's detections against ONNX Runtime and NumPy: python3 decode.py MODEL IMAGES DETECTIONS

IMAGES are square pictures of the size that the network is given, so that nothing is resampled; DETECTIONS is what
`hanja detect --json` printed for them. Both ways, each detection must have its counterpart.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image

CONF = 0.05  # as given to `hanja detect`
IOU = 0.45  # its default
SURE = 0.06  # rounding may carry what is weaker over the threshold


def overlap(box, others):
    """Intersection over union of one box with many, by corners."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    area = lambda b: (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return both / (area(box) + area(others) - both)


def detect(session, picture):
    """(class, score, x1, y1, x2, y2) for each object, best first."""
    planes = np.asarray(picture.convert("RGB"), np.float32).transpose(2, 0, 1)[None] / 255
    [rows] = session.run(None, {session.get_inputs()[0].name: planes})[0]
    score = rows[:, 4] * rows[:, 5:].max(axis=1)
    kept = score >= CONF
    rows, score, kind = rows[kept], score[kept], rows[kept, 5:].argmax(axis=1)
    centre, half = rows[:, :2], rows[:, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    left = list(np.argsort(-score, kind="stable"))
    found = []
    while left:
        best = left.pop(0)
        found.append((int(kind[best]), score[best], *np.clip(boxes[best], 0, picture.size[0])))
        left = [i for i in left if kind[i] != kind[best] or overlap(boxes[best], boxes[i : i + 1])[0] <= IOU]
    return found


def has(wanted, among):
    """Whether a detection has a counterpart: the class, the score to 0.001, the corners to 0.02 pixels."""
    return any(
        wanted[0] == other[0]
        and abs(wanted[1] - other[1]) < 1e-3
        and np.abs(np.subtract(wanted[2:], other[2:])).max() < 0.02
        for other in among
    )


def main(model, images, detections):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    compared = 0
    for line in pathlib.Path(detections).read_text().splitlines():
        printed = json.loads(line)
        ours = [(d["class"], d["score"], *d["box"]) for d in printed["detections"]]
        name = pathlib.Path(printed["image"]).name
        theirs = detect(session, Image.open(pathlib.Path(images) / name))
        for one, many, whose in ((ours, theirs, "hanja"), (theirs, ours, "NumPy")):
            for d in one:
                if d[1] > SURE and not has(d, many):
                    sys.exit(f"{name}: only {whose} finds {d}")
                compared += d[1] > SURE
    if compared < 100:
        sys.exit(f"only {compared} detections could be compared")
    print(f"{compared} detections agree")


main(*sys.argv[1:])
