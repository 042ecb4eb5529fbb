"""A YOLO data set on disk to batches of training pictures.

All pictures are decoded once into one file of raw pixels, mapped into memory, so that a step costs no JPEG
decoding. One worker process prepares batches ahead. Batch number N is a pure function of the seed and N, which
is what makes a run resumable at any step without saving the loader's state.
"""
import collections
import concurrent.futures
import hashlib
import multiprocessing
import os
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from .augment import FINAL_ZOOM, augment

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
PAD = 114
"""Grey of letterbox borders, as YOLOv5 pads."""

OTHER = -1
"""Class of a character that is none of ours: nothing to find, but something to tell apart."""


def list_images(folder):
    """Pictures of a YOLO data set folder (`images/` in it), sorted by name."""
    images = Path(folder) / "images"
    found = sorted(p for p in images.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"no pictures in {images}; a YOLO data set has images/ and labels/")
    return found


def label_path(image_path, folder="labels"):
    """Where the labels of a picture stand: in `folder` beside the nearest `images/` above it."""
    parts = list(image_path.parts)
    index = len(parts) - 1 - parts[::-1].index("images")
    parts[index] = folder
    return Path(*parts).with_suffix(".txt")


def _read_rows(path, columns, wanted):
    """f32 [n, columns] of a text file, of which the last four are boxes; none if there is no such file."""
    if not path.exists() or not path.stat().st_size:
        return np.zeros((0, columns), np.float32)
    rows = np.loadtxt(path, dtype=np.float32, ndmin=2)
    if rows.size and (rows.shape[1] != columns or (rows[:, -4:] < 0).any() or (rows[:, -4:] > 1).any()):
        raise ValueError(f"{path}: each line must be {wanted} in 0..1")
    return rows.reshape(-1, columns)


def read_labels(image_path):
    """Labels beside a picture: f32 [n, 5] of class, centre x, centre y, width, height in 0..1; none if no file."""
    return _read_rows(label_path(image_path), 5, "a class and four numbers")


def read_targets(image_path):
    """What to train on: the labels, and as class OTHER the boxes of other characters from `others/`, if any."""
    boxes = _read_rows(label_path(image_path, "others"), 4, "four numbers")
    others = np.concatenate((np.full((len(boxes), 1), OTHER, np.float32), boxes), 1)
    return np.concatenate((read_labels(image_path), others))


def read_image(path):
    """u8 [height, width, 3] RGB."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def letterbox(image, width, height):
    """Fit `image` into width x height, centred, on grey: (u8 [height, width, 3], scale, (left, top))."""
    scale = min(width / image.shape[1], height / image.shape[0])
    new_w = min(width, round(image.shape[1] * scale))
    new_h = min(height, round(image.shape[0] * scale))
    left, top = (width - new_w) // 2, (height - new_h) // 2
    out = np.full((height, width, 3), PAD, np.uint8)
    if (new_w, new_h) != (image.shape[1], image.shape[0]):
        image = np.asarray(Image.fromarray(image).resize((new_w, new_h), Image.BILINEAR))
    out[top : top + new_h, left : left + new_w] = image
    return out, scale, (left, top)


def pixel_boxes(labels, image_size, scale, offset):
    """Labels in 0..1 of a picture (width, height) to class, x1, y1, x2, y2 in pixels of its letterbox."""
    width, height = image_size[0] * scale, image_size[1] * scale
    boxes = np.empty((len(labels), 5), np.float32)
    boxes[:, 0] = labels[:, 0]
    boxes[:, 1] = (labels[:, 1] - labels[:, 3] / 2) * width + offset[0]
    boxes[:, 2] = (labels[:, 2] - labels[:, 4] / 2) * height + offset[1]
    boxes[:, 3] = (labels[:, 1] + labels[:, 3] / 2) * width + offset[0]
    boxes[:, 4] = (labels[:, 2] + labels[:, 4] / 2) * height + offset[1]
    return boxes


def _load(job):
    path, size = job
    image = read_image(path)
    square, scale, offset = letterbox(image, size, size)
    return square, pixel_boxes(read_targets(path), (image.shape[1], image.shape[0]), scale, offset)


class Cache:
    """All pictures of data sets as one u8 array [count, size, size, 3], and their boxes in pixels."""

    def __init__(self, folders, size, cache_dir):
        paths = [path for folder in folders for path in list_images(folder)]
        key = hashlib.sha256()
        for path in paths:
            for file in (path, label_path(path), label_path(path, "others")):
                if file.exists():
                    stat = file.stat()
                    key.update(f"{file}|{stat.st_size}|{stat.st_mtime_ns}|{size}\n".encode())
        self.key = key.hexdigest()[:16]
        base = Path(cache_dir) / f"{size}-{self.key}"
        self.pixels_path, self.boxes_path = base.with_suffix(".npy"), base.with_suffix(".npz")
        if not self.boxes_path.exists():
            self._decode(paths, size)
        self.pixels = np.load(self.pixels_path, mmap_mode="r")
        with np.load(self.boxes_path) as stored:
            self.boxes = np.split(stored["boxes"], np.cumsum(stored["counts"])[:-1])

    def _decode(self, paths, size):
        self.pixels_path.parent.mkdir(parents=True, exist_ok=True)
        shape = (len(paths), size, size, 3)
        pixels = np.lib.format.open_memmap(self.pixels_path, "w+", np.uint8, shape)
        boxes = []
        with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
            jobs = ((path, size) for path in paths)
            for index, (image, found) in enumerate(pool.map(_load, jobs, chunksize=32)):
                pixels[index] = image
                boxes.append(found)
        pixels.flush()
        # The boxes come last: their file says that the pixels are complete.
        partial = self.boxes_path.with_suffix(".partial.npz")
        np.savez(partial, boxes=np.concatenate(boxes), counts=[len(b) for b in boxes])
        os.replace(partial, self.boxes_path)

    def __len__(self):
        return len(self.pixels)

    def sample(self, index):
        """(u8 [size, size, 3], boxes [n, 5]) of one picture."""
        return self.pixels[index], self.boxes[index]


class Batches:
    """Makes batch `step`: pictures in an order shuffled anew each epoch, augmented.

    The share of mosaics falls from `mosaic` to half of it. The last `plain_share` of `steps` has none, and pictures of
    `final_size` instead of `size`, so that the network ends on pictures as they will be. Boxes are drawn `margin`
    pixels wider on every side.
    """

    plain_share = 0.15

    def __init__(self, cache, args):
        self.cache, self.batch, self.steps, self.seed = cache, args.batch, args.steps, args.seed
        self.size, self.final_size = args.size, args.final_size
        self.zoom, self.mosaic, self.margin = args.zoom, args.mosaic, args.label_margin
        self.epoch, self.order = -1, None

    def is_final(self, step):
        """Whether batch `step` is one of the last, plain ones."""
        return step >= (1 - self.plain_share) * self.steps

    def mosaic_probability(self, step):
        """Chance that a picture of batch `step` is a mosaic."""
        if self.is_final(step):
            return 0.0
        progress = step / max(1, self.steps)
        return self.mosaic * (1 - 0.5 * progress / (1 - self.plain_share))

    def index(self, position):
        """Which picture comes at `position` of the endless, shuffled sequence."""
        epoch, place = divmod(position, len(self.cache))
        if epoch != self.epoch:
            self.epoch = epoch
            self.order = np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.cache))
        return self.order[place]

    def make(self, step):
        """(u8 [batch, size, size, 3], labels f32 [n, 6]: image, class, centre x, centre y, width, height in pixels)."""
        rng = np.random.default_rng((self.seed, 2, step))
        size, zoom = (self.final_size, FINAL_ZOOM) if self.is_final(step) else (self.size, self.zoom)
        images = np.empty((self.batch, size, size, 3), np.uint8)
        labels = []
        for slot in range(self.batch):
            picks = [self.index(step * self.batch + slot)]
            is_mosaic = rng.random() < self.mosaic_probability(step)
            if is_mosaic:
                picks += list(rng.integers(len(self.cache), size=3))
            images[slot], boxes = augment([self.cache.sample(i) for i in picks], size, rng, zoom, is_mosaic)
            rows = np.empty((len(boxes), 6), np.float32)
            rows[:, 0], rows[:, 1] = slot, boxes[:, 0]
            rows[:, 2:4] = (boxes[:, 1:3] + boxes[:, 3:]) / 2
            rows[:, 4:6] = boxes[:, 3:] - boxes[:, 1:3] + 2 * self.margin
            labels.append(rows)
        return images, np.concatenate(labels)

    def sizes(self, count=60):
        """Widths and heights in pixels [n, 2] of the labels of `count` batches spread over the run, as trained on."""
        steps = np.linspace(0, self.steps - 1, count).astype(int)
        labels = np.concatenate([self.make(step)[1] for step in steps])
        return labels[labels[:, 1] != OTHER, 4:]


_batches = None


def _start_worker(batches):
    global _batches
    _batches = batches
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent):
    """A killed trainer cannot stop its worker, which would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def _make(step):
    return _batches.make(step)


def prefetch(batches, first, last, ahead=4):
    """Yield batches `first`..`last` (without `last`), prepared by one other process, `ahead` of their use.

    The process is forked, and uses numpy and Pillow only: torch's threads do not survive a fork.
    """
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, context, _start_worker, (batches,)) as pool:
        waiting = collections.deque(pool.submit(_make, step) for step in range(first, min(last, first + ahead)))
        for step in range(first, last):
            batch = waiting.popleft().result()
            if step + ahead < last:
                waiting.append(pool.submit(_make, step + ahead))
            yield batch
