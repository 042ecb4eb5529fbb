"""The scores that pycocotools computes for a data set and detections: python3 coco.py DATA DETECTIONS

DATA is a folder with images/ and labels/ (YOLO), DETECTIONS the output of `hanja detect --json`. Prints JSON with the
same names as `hanja-model eval --json`. Exits with 77 where pycocotools is not installed.
"""

import contextlib
import io
import json
import pathlib
import sys

try:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ImportError:
    sys.exit(77)

CLASSES = 10


def truth(data, pictures):
    """COCO's annotations for the label files beside the pictures."""
    annotations = []
    for image_id, (stem, width, height) in enumerate(pictures, 1):
        file = data / "labels" / f"{stem}.txt"
        for line in file.read_text().splitlines() if file.exists() else []:
            name, *shares = line.split()
            cx, cy, w, h = map(float, shares)
            box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(name),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    images = [{"id": i, "width": w, "height": h} for i, (_, w, h) in enumerate(pictures, 1)]
    categories = [{"id": c, "name": str(c)} for c in range(CLASSES)]
    coco = COCO()
    coco.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    coco.createIndex()
    return coco


def main(data, detections):
    found = [json.loads(line) for line in pathlib.Path(detections).read_text().splitlines()]
    found.sort(key=lambda picture: picture["image"])
    pictures = [(pathlib.Path(p["image"]).stem, p["width"], p["height"]) for p in found]
    results = [
        {
            "image_id": image_id,
            "category_id": d["class"],
            "bbox": [d["box"][0], d["box"][1], d["box"][2] - d["box"][0], d["box"][3] - d["box"][1]],
            "score": d["score"],
        }
        for image_id, picture in enumerate(found, 1)
        for d in picture["detections"]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = truth(pathlib.Path(data), pictures)
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.params.maxDets = [1, 10, 300]
        run.evaluate()
        run.accumulate()
    # IoU threshold, recall, class; all sizes, at most 300 detections. -1 where a class has no labels.
    precision = run.eval["precision"][:, :, :, 0, 2]
    by_class = [precision[:, :, c] for c in range(CLASSES)]
    print(
        json.dumps(
            {
                "map50": precision[0][precision[0] > -1].mean(),
                "map50_95": precision[precision > -1].mean(),
                "classes": [
                    {"ap50": float(max(p[0].mean(), 0)), "ap50_95": float(max(p.mean(), 0))} for p in by_class
                ],
            }
        )
    )


main(*sys.argv[1:])
