#!/usr/bin/env python3
"""Two outputs of `hanja detect --json` say the same: every box of one has a box of the other within 0.5 pixels and
0.001 in score. A detection that is not in the other must have a score within 0.001 of the threshold.

    agree.py CONF A.json B.json
"""
import json
import sys

PIXELS, SCORE = 0.5, 1e-3


def pictures(path: str) -> dict[str, list[dict]]:
    with open(path, encoding="utf-8") as file:
        return {line["image"]: line["detections"] for line in map(json.loads, file)}


def main() -> int:
    conf, (ours, theirs) = float(sys.argv[1]), map(pictures, sys.argv[2:4])
    if ours.keys() != theirs.keys() or not ours:
        sys.exit(f"{len(ours)} and {len(theirs)} pictures, the same are expected")
    pairs = off = score = 0
    lonely = []
    for image, here in ours.items():
        rest = list(theirs[image])
        for found in here:
            same = [(max(abs(a - b) for a, b in zip(found["box"], other["box"])), at)
                    for at, other in enumerate(rest) if other["class"] == found["class"]]
            distance, at = min(same, default=(float("inf"), -1))
            if distance > PIXELS:
                lonely.append((image, found))
                continue
            pairs, off = pairs + 1, max(off, distance)
            score = max(score, abs(found["score"] - rest.pop(at)["score"]))
        lonely += [(image, found) for found in rest]
    wrong = [(image, found) for image, found in lonely if found["score"] - conf > SCORE]
    print(f"{len(ours)} pictures, {pairs} pairs of boxes: at most {off:.4f} pixels and {score:.6f} in score apart; "
          f"{len(lonely)} at the threshold in one only")
    for image, found in wrong:
        print(f"{image}: only one backend has {found}", file=sys.stderr)
    if pairs == 0:
        sys.exit("nothing was found, so nothing was compared")
    return bool(wrong) or score > SCORE


sys.exit(main())
