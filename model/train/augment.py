"""Augmentation in numpy and Pillow: crops at random scale, mosaics, light and noise.

Nothing is ever mirrored or turned by much: characters have an upright form. Every function takes its random
generator, so that a sample depends only on the seed and the step.
"""
import numpy as np
from PIL import Image, ImageFilter

KEEP_VISIBLE = 0.85
"""A character cut below this share of its box is painted over: two strokes left of 三 are a perfect 二."""

MIN_SIDE = 2.0
"""Boxes whose longer side is below this many pixels are no use as targets."""

FINAL_ZOOM = (0.65, 2.5)
"""Smallest and largest enlargement of a picture at the end of training; before, `fit --zoom` says."""

MOSAIC_ZOOM = 0.85
"""Pictures in a mosaic are so much smaller."""

FITTING = 0.95
"""Share of the canvas that the largest character may take."""


def place(canvas, image, boxes, region, scale, offset):
    """Draw `image`, scaled by (sx, sy) and shifted by `offset` (x, y), into the `region` of `canvas`.

    `canvas` and `image` are u8 [height, width, 3]; `boxes` [n, 5] holds class, x1, y1, x2, y2 in pixels of
    `image`; `region` is x1, y1, x2, y2 in pixels of the canvas and clips. Returns the boxes that remain, in
    canvas pixels. What the image does not cover keeps the canvas's colour.
    """
    height, width = image.shape[:2]
    (sx, sy), (ox, oy) = scale, offset
    x1, y1 = max(region[0], int(np.ceil(ox))), max(region[1], int(np.ceil(oy)))
    x2, y2 = min(region[2], int(ox + width * sx)), min(region[3], int(oy + height * sy))
    if x2 - x1 < 2 or y2 - y1 < 2:
        return np.zeros((0, 5), np.float32)
    source = [(x1 - ox) / sx, (y1 - oy) / sy, (x2 - ox) / sx, (y2 - oy) / sy]
    source = np.clip(source, 0, [width, height, width, height])
    # Resizing takes a box with fractions, but converting the whole image first would cost more than the rest.
    left, top = int(source[0]), int(source[1])
    right, bottom = int(np.ceil(source[2])), int(np.ceil(source[3]))
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    box = (source[0] - left, source[1] - top, source[2] - left, source[3] - top)
    view = canvas[y1:y2, x1:x2]
    view[:] = np.asarray(part.resize((x2 - x1, y2 - y1), Image.BILINEAR, box=box))
    return clip_boxes(view, boxes, (sx, sy), (ox, oy), (x1, y1, x2, y2))


def clip_boxes(view, boxes, scale, offset, visible):
    """Boxes of an image after `place`; characters cut too much are painted over in `view` and dropped."""
    moved = boxes.astype(np.float32, copy=True)
    moved[:, [1, 3]] = moved[:, [1, 3]] * scale[0] + offset[0]
    moved[:, [2, 4]] = moved[:, [2, 4]] * scale[1] + offset[1]
    x1, y1, x2, y2 = visible
    clipped = moved.copy()
    clipped[:, [1, 3]] = clipped[:, [1, 3]].clip(x1, x2)
    clipped[:, [2, 4]] = clipped[:, [2, 4]].clip(y1, y2)
    before = np.maximum(moved[:, 3:] - moved[:, 1:3], 1e-3)
    after = clipped[:, 3:] - clipped[:, 1:3]
    share = (after / before).prod(1)
    keep = (share >= KEEP_VISIBLE) & (after.max(1, initial=0) >= MIN_SIDE)
    for box in clipped[~keep & (share > 0)]:
        paint_over(view, box[1:] - np.array((x1, y1, x1, y1), np.float32))
    return clipped[keep]


def paint_over(view, box, margin=2):
    """Fill `box` (x1, y1, x2, y2) of `view` with the median colour of the frame around it."""
    height, width = view.shape[:2]
    x1, y1 = max(int(box[0]) - margin, 0), max(int(box[1]) - margin, 0)
    x2, y2 = min(int(np.ceil(box[2])) + margin, width), min(int(np.ceil(box[3])) + margin, height)
    if x1 >= x2 or y1 >= y2:
        return
    patch = view[y1:y2, x1:x2]
    frame = np.concatenate((patch[0], patch[-1], patch[:, 0], patch[:, -1]))
    patch[:] = np.median(frame, 0).astype(np.uint8)


def blank(size, rng):
    """A canvas of one random greyish colour, for what no image covers."""
    colour = np.clip(rng.uniform(60, 230) + rng.normal(0, 8, 3), 0, 255).astype(np.uint8)
    return np.broadcast_to(colour, (size, size, 3)).copy()


def random_scale(rng, low, high, stretch=0.12):
    """(sx, sy): log-uniform between `low` and `high`, with up to `stretch` of it only in one direction."""
    scale = np.exp(rng.uniform(np.log(low), np.log(high)))
    aspect = np.exp(rng.uniform(-stretch, stretch))
    return scale * aspect, scale / aspect


def random_offset(rng, room):
    """Shift along one axis; `room` is canvas minus image: inside the image if it is larger, else inside the canvas."""
    return rng.uniform(min(room, 0), max(room, 0))


def fitting_zoom(zoom, boxes, room):
    """`zoom` (lowest, highest), lowered so that the largest of `boxes` [n, 5] fits into `room` pixels.

    Else large characters would nearly always be cut, and painted over, and the network would never see any.
    """
    largest = (boxes[:, 3:] - boxes[:, 1:3]).max(initial=1)
    return min(zoom[0], room / largest), min(zoom[1], room / largest)


def single(sample, size, rng, zoom):
    """One image at a random scale and place: (u8 [size, size, 3], boxes)."""
    image, boxes = sample
    canvas = blank(size, rng)
    sx, sy = random_scale(rng, *fitting_zoom(zoom, boxes, FITTING * size))
    offset = (
        random_offset(rng, size - image.shape[1] * sx),
        random_offset(rng, size - image.shape[0] * sy),
    )
    return canvas, place(canvas, image, boxes, (0, 0, size, size), (sx, sy), offset)


def mosaic(samples, size, rng, zoom):
    """Four images around a random centre: (u8 [size, size, 3], boxes). Shows small characters and many grounds."""
    canvas = blank(size, rng)
    cx, cy = (int(v) for v in rng.uniform(0.3 * size, 0.7 * size, 2))
    regions = ((0, 0, cx, cy), (cx, 0, size, cy), (0, cy, cx, size), (cx, cy, size, size))
    kept = []
    for (image, boxes), region in zip(samples, regions):
        room = FITTING * max(region[2] - region[0], region[3] - region[1])
        sx, sy = random_scale(rng, *fitting_zoom((MOSAIC_ZOOM * zoom[0], MOSAIC_ZOOM * zoom[1]), boxes, room))
        offset = (
            region[0] + random_offset(rng, region[2] - region[0] - image.shape[1] * sx),
            region[1] + random_offset(rng, region[3] - region[1] - image.shape[0] * sy),
        )
        kept.append(place(canvas, image, boxes, region, (sx, sy), offset))
    return canvas, np.concatenate(kept)


def light(image, rng):
    """Contrast, brightness, gamma and tint by one table per channel; sometimes grey."""
    ramp = np.linspace(0, 1, 256)
    gain, gamma = rng.uniform(0.75, 1.2), np.exp(rng.uniform(-0.35, 0.35))
    lift = rng.uniform(-0.08, 0.10)
    tint = 1 + rng.normal(0, 0.05, 3)
    table = (ramp[:, None] ** gamma * gain + lift) * tint
    table = (table.clip(0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.25:
        grey = np.asarray(Image.fromarray(image).convert("L"))
        return table[grey, 0][..., None].repeat(3, 2)
    picture = Image.fromarray(image).point(table.T.ravel().tolist())
    return np.asarray(picture)


def grain(image, rng):
    """Blur or sensor noise, as cheap cameras in dim rooms give."""
    if rng.random() < 0.15:
        picture = Image.fromarray(image).filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.2)))
        image = np.asarray(picture)
    if rng.random() < 0.25:
        strength = rng.uniform(2, 9)
        tile = rng.normal(0, strength, (64, image.shape[1], 3)).astype(np.int16)
        # One tile of noise, shifted anew for each band: normal deviates for the whole picture cost too much.
        bands = -(-image.shape[0] // len(tile))
        rows = np.concatenate([np.roll(tile, int(rng.integers(image.shape[1])), 1) for _ in range(bands)])
        image = (image + rows[: image.shape[0]]).clip(0, 255).astype(np.uint8)
    return image


def augment(samples, size, rng, zoom, is_mosaic):
    """A training picture from one sample, or from four: (u8 [size, size, 3], boxes [n, 5])."""
    image, boxes = mosaic(samples, size, rng, zoom) if is_mosaic else single(samples[0], size, rng, zoom)
    return grain(light(image, rng), rng), boxes
