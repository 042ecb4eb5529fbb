"""Calibrates scores: of the detections with a score of 0.8, eight in ten are right.

From what ``hanja detect --json --conf 0.02`` says of data sets that no network was trained on: whether each detection is
right, and the logistic function of its score that tells this best. It goes into the verifier's file, as what the product
does with the joint score at the end.
"""
import argparse
import json
import os
from pathlib import Path

import numpy as np
import onnx

from .data import pixel_boxes, read_labels
from .metrics import box_iou

RIGHT_OVERLAP = 0.5
EDGES = np.linspace(0, 1, 11)


def scored(records):
    """(score, right) of each detection of lines of ``hanja detect --json``; one label makes one detection right."""
    score, right = [], []
    for record in records:
        labels = pixel_boxes(read_labels(Path(record["image"])), (record["width"], record["height"]), 1.0, (0, 0))
        free = np.ones(len(labels), bool)
        for detection in sorted(record["detections"], key=lambda d: -d["score"]):
            overlap = box_iou(np.asarray(detection["box"], np.float32)[None], labels[:, 1:])[0]
            fits = free & (labels[:, 0] == detection["class"]) & (overlap >= RIGHT_OVERLAP)
            score.append(detection["score"])
            right.append(bool(fits.any()))
            if fits.any():
                free[np.argmax(np.where(fits, overlap, -1))] = False
    return np.array(score), np.array(right, bool)


def logit(p):
    """Of probabilities, away from 0 and 1."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def fit(score, right, steps=60):
    """(offset, slope) of the logistic regression of `right` on the logit of `score`, by Newton's method."""
    x = np.stack((np.ones_like(score), logit(score)), 1)
    w = np.array([0.0, 1.0])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        w += np.linalg.solve(hessian, x.T @ (right - p))
    return float(w[0]), float(w[1])


def apply(calibration, score):
    """Calibrated scores."""
    return 1 / (1 + np.exp(-(calibration[0] + calibration[1] * logit(score))))


def reliability(score, right):
    """Rows (from, to, detections, mean score, share right), and the expected calibration error."""
    rows, error = [], 0.0
    for low, high in zip(EDGES, EDGES[1:]):
        inside = (score >= low) & ((score < high) | (high == 1))
        if inside.any():
            rows.append((low, high, int(inside.sum()), score[inside].mean(), right[inside].mean()))
            error += inside.mean() * abs(score[inside].mean() - right[inside].mean())
    return rows, error


def main(argv=None):
    """Command line of ``python3 -m train calibrate``."""
    parser = argparse.ArgumentParser(prog="train calibrate", description="fit scores to how often they are right")
    parser.add_argument("--detections", nargs="+", required=True, help="what hanja detect --json --conf 0.02 printed")
    parser.add_argument("--into", help="verifier that those were made with; its calibration is replaced")
    args = parser.parse_args(argv)
    records = [json.loads(line) for name in args.detections for line in open(name)]
    score, right = scored(records)
    calibration = fit(score, right)
    for name, scores in (("before", score), ("after", apply(calibration, score))):
        rows, error = reliability(scores, right)
        print(f"{name}: {len(scores)} detections, expected calibration error {error:.4f}")
        for low, high, count, mean, share in rows:
            print(f"  {low:.1f} to {high:.1f}: {count:6} of mean score {mean:.3f}, right {share:.3f}")
    offset, slope = calibration
    if args.into:
        graph = onnx.load(args.into)
        properties = {p.key: p.value for p in graph.metadata_props}
        before = [float(v) for v in properties.get("calibration", "0 1").split()]
        offset, slope = offset + slope * before[0], slope * before[1]
        properties["calibration"] = f"{offset:.4f} {slope:.4f}"
        onnx.helper.set_model_props(graph, properties)
        onnx.save(graph, f"{args.into}.partial")
        os.replace(f"{args.into}.partial", args.into)
    print(f"calibration {offset:.4f} {slope:.4f}")


if __name__ == "__main__":
    main()
