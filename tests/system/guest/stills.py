"""Pictures of handwritten numerals and what is written where: drawn by the product's own hand (`synth:`), taken out of a
pipeline of its own through the tap."""

import os
import struct
import subprocess
import tempfile
from dataclasses import dataclass

import hanja_tap

from machine import run

SIZE = (640, 480)


@dataclass
class Still:
    """One picture, and the class and box of everything on it."""

    data: bytes
    truth: list


def _capture(directory, source):
    return subprocess.Popen(("hanja", "capture", f"--runtime-dir={directory}", f"--source={source}"),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def drawn(seed, fourcc):
    """One picture of this seed, uncompressed, with its truth."""
    with tempfile.TemporaryDirectory() as directory:
        source = f"synth:?size={SIZE[0]}x{SIZE[1]}&fps=4&seed={seed}&glyphs=3&format={fourcc}&truth=1"
        with _capture(directory, source) as process:
            try:
                with hanja_tap.frames(runtime_dir=directory, newest=False, timeout=60) as frames, \
                        hanja_tap.truth(runtime_dir=directory, timeout=60) as truths:
                    frame, truth = next(frames), next(truths)
                    while frame.seq != truth.frame_seq:
                        if frame.seq < truth.frame_seq:
                            frame = next(frames)
                        else:
                            truth = next(truths)
            finally:
                process.terminate()
        return Still(bytes(frame.data), [(d.class_number, d.box) for d in truth.detections])


def compressed(seed):
    """The same as a JPEG."""
    still = drawn(seed, "RGB3")
    with tempfile.TemporaryDirectory() as directory:
        pictures = os.path.join(directory, "pictures")
        os.mkdir(pictures)
        with open(os.path.join(pictures, "still.bmp"), "wb") as file:
            file.write(_bmp(still.data, *SIZE))
        with _capture(directory, f"dir:{pictures}?fps=5") as process:
            try:
                done = run("hanja", "tap", "frames", "--format=jpeg", "--count=1", f"--runtime-dir={directory}",
                           text=False)
            finally:
                process.terminate()
    assert done.stdout[:2] == b"\xff\xd8", "not a JPEG"
    return Still(done.stdout, still.truth)


def _bmp(rgb, width, height):
    """A picture file in a dozen lines: a header, and the lines from the bottom up, blue first."""
    rows = [rgb[at:at + width * 3] for at in range(0, len(rgb), width * 3)]
    body = bytearray(b"".join(reversed(rows)))
    body[0::3], body[2::3] = body[2::3], body[0::3]
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + len(body), 0, 0, 54, 40, width, height, 1, 24, 0, len(body),
                       2835, 2835, 0, 0)
    return head + bytes(body)


def _overlap(a, b):
    """Intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def right(record, still):
    """Every numeral found where it is, with its class, and nothing else."""
    found = [(d["class"], d["box"]) for d in record["detections"]]
    return len(found) == len(still.truth) and all(
        any(number == wanted and _overlap(box, place) > 0.5 for number, box in found) for wanted, place in still.truth)
