"""Scores of a checkpoint on YOLO data sets: mAP50, mAP50-95, precision and recall, false alarms per picture.

For watching training. The scores that count are those of the shipped file in the real pipeline
(``hanja-model eval``).
"""
import argparse
import fnmatch

import numpy as np
import torch

from . import NAMES
from .data import letterbox, list_images, pixel_boxes, read_image, read_labels
from .metrics import match_detections, mean_average_precision, nms
from .model import load_model

WORKING_CONFIDENCE = 0.5
"""Score from which a detection counts as shown, for precision, recall and false alarms."""


def rectangle(image_size, long_side):
    """Input (width, height), multiples of 32, that hold a picture (width, height) scaled to `long_side`."""
    scale = long_side / max(image_size)
    return tuple(max(32, int(np.ceil(round(side * scale) / 32)) * 32) for side in image_size)


@torch.no_grad()
def predict(model, image, long_side):
    """Decoded predictions [n, 5 + classes] of a u8 RGB picture, and its letterbox (scale, offset)."""
    width, height = rectangle((image.shape[1], image.shape[0]), long_side)
    boxed, scale, offset = letterbox(image, width, height)
    tensor = torch.from_numpy(boxed).permute(2, 0, 1)[None].float() / 255
    tensor = tensor.to(next(model.parameters()).device)
    return model(tensor)[0].cpu().numpy(), scale, offset


def score(model, folder, long_side, pattern="*", limit=None):
    """Scores over a data set folder: a dictionary, see the keys at the end.

    `pattern` picks pictures by file name; `limit` takes at most so many, evenly spread.
    """
    paths = [p for p in list_images(folder) if fnmatch.fnmatch(p.name, pattern)]
    if not paths:
        raise FileNotFoundError(f"no picture in {folder} is named like {pattern}")
    if limit and len(paths) > limit:
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, limit).astype(int)]
    right, scores, classes, label_classes = [], [], [], []
    for path in paths:
        image = read_image(path)
        prediction, scale, offset = predict(model, image, long_side)
        labels = pixel_boxes(read_labels(path), (image.shape[1], image.shape[0]), scale, offset)
        found = nms(prediction, 0.001)
        right.append(match_detections(found, labels))
        scores.append(found[:, 4])
        classes.append(found[:, 5])
        label_classes.append(labels[:, 0])
    right, scores = np.concatenate(right), np.concatenate(scores)
    classes, label_classes = np.concatenate(classes), np.concatenate(label_classes)
    by_class = mean_average_precision(right, scores, classes, label_classes)
    shown = scores >= WORKING_CONFIDENCE
    hits = int(right[shown, 0].sum())
    return {
        "pictures": len(paths),
        "labels": len(label_classes),
        "map50": float(np.mean([ap[0] for ap in by_class.values()])) if by_class else 0.0,
        "map50_95": float(np.mean([ap.mean() for ap in by_class.values()])) if by_class else 0.0,
        "precision": hits / max(1, int(shown.sum())),
        "recall": hits / max(1, len(label_classes)),
        "by_class": {cls: float(ap[0]) for cls, ap in by_class.items()},
    }


def false_alarms(model, folder, long_side, pattern="*", confidences=(0.25, 0.4, 0.6)):
    """Detections per picture, at each confidence, over pictures that hold none of the characters."""
    paths = [p for p in list_images(folder) if fnmatch.fnmatch(p.name, pattern)]
    counts = dict.fromkeys(confidences, 0)
    for path in paths:
        prediction, _, _ = predict(model, read_image(path), long_side)
        found = nms(prediction, min(confidences), multi_label=False)
        for confidence in confidences:
            counts[confidence] += int((found[:, 4] >= confidence).sum())
    return {confidence: count / max(1, len(paths)) for confidence, count in counts.items()}


def line(name, long_side, result):
    """One line of text for a `score` result."""
    return (
        f"{name:<28} {long_side:>4}  mAP50 {100 * result['map50']:5.1f}  mAP50-95 {100 * result['map50_95']:5.1f}"
        f"  at {WORKING_CONFIDENCE}: P {100 * result['precision']:5.1f} R {100 * result['recall']:5.1f}"
        f"  ({result['pictures']} pictures, {result['labels']} labels)"
    )


def main(argv=None):
    """Command line of ``python3 -m train eval``."""
    parser = argparse.ArgumentParser(prog="train eval", description="score a checkpoint on YOLO data sets")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", action="append", default=[], help="data set folder, or FOLDER:PATTERN; repeatable")
    parser.add_argument("--negatives", action="append", default=[], help="folder of pictures without characters")
    parser.add_argument("--sizes", type=int, nargs="+", default=[416], help="long sides in pixels")
    parser.add_argument("--weights", choices=("ema", "model"), default="ema")
    parser.add_argument("--limit", type=int, help="at most so many pictures of each set")
    parser.add_argument("--by-class", action="store_true")
    args = parser.parse_args(argv)
    model = load_model(args.checkpoint, args.weights)
    for size in args.sizes:
        for spec in args.data:
            folder, _, pattern = spec.partition(":")
            result = score(model, folder, size, pattern or "*", args.limit)
            print(line(spec[-28:], size, result), flush=True)
            if args.by_class:
                print("   " + "  ".join(f"{NAMES[c]} {100 * ap:.1f}" for c, ap in result["by_class"].items()))
        for spec in args.negatives:
            folder, _, pattern = spec.partition(":")
            alarms = false_alarms(model, folder, size, pattern or "*")
            text = "  ".join(f">={c}: {n:.2f}" for c, n in alarms.items())
            print(f"{spec[-28:]:<28} {size:>4}  false alarms a picture  {text}", flush=True)
