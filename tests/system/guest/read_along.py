"""Detections through the Python module, in the words of `hanja tap detections --json`: one JSON object a line."""

import json
import sys

import hanja_tap

for record in hanja_tap.detections(runtime_dir=sys.argv[1]):
    print(json.dumps({
        "seq": record.seq,
        "generation": record.generation,
        "frame": {"generation": record.frame_generation, "seq": record.frame_seq, "width": record.width,
                  "height": record.height},
        "status": record.status,
        "detections": [{"class": d.class_number, "score": d.score, "box": d.box} for d in record.detections],
        "times_ns": {"detections_published": record.times.detections_published},
    }))
