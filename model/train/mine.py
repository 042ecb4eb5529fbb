"""Hard negatives: the pictures of a data set in which a model has false positives.

Most pictures without numerals teach nothing after the first hour. Draw many, let the last model look at them with
``hanja detect --json``, and train the next one also on those it fell for.
"""
import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from .data import label_path, pixel_boxes, read_labels
from .metrics import box_iou

RIGHT_OVERLAP = 0.5
TEXTS = ("labels", "others")


def is_fooled(found, labels, confidence):
    """Whether a detection of at least `confidence` has no label of its class beneath it.

    `found` is the detections of one line of ``hanja detect --json``, `labels` [n, 5] class, x1, y1, x2, y2.
    """
    for detection in found:
        same = labels[labels[:, 0] == detection["class"], 1:]
        box = np.asarray(detection["box"], np.float32)[None]
        if detection["score"] >= confidence and not (box_iou(box, same) >= RIGHT_OVERLAP).any():
            return True
    return False


def main(argv=None):
    """Command line of ``python3 -m train mine``."""
    parser = argparse.ArgumentParser(prog="train mine", description="copy the pictures that fool a model")
    parser.add_argument("--detections", required=True, help="what hanja detect --json printed for the set's images/")
    parser.add_argument("--out", required=True, help="new data set")
    parser.add_argument("--conf", type=float, default=0.25, help="score from which a wrong detection counts")
    args = parser.parse_args(argv)
    out = Path(args.out)
    for folder in ("images", *TEXTS):
        (out / folder).mkdir(parents=True, exist_ok=True)
    seen = fooled = 0
    with open(args.detections) as lines:
        for record in map(json.loads, lines):
            image = Path(record["image"])
            labels = pixel_boxes(read_labels(image), (record["width"], record["height"]), 1.0, (0, 0))
            seen += 1
            if is_fooled(record["detections"], labels, args.conf):
                fooled += 1
                shutil.copy(image, out / "images")
                for folder in TEXTS:
                    text = label_path(image, folder)
                    if text.exists():
                        shutil.copy(text, out / folder)
    print(f"{fooled} of {seen} pictures copied to {out}")
