"""Anchor boxes fitted to a data set: k-means over label sizes, then a short random search.

YOLOv5 lets an anchor answer for a box when no side differs by more than RATIO, so what counts is that every
label has an anchor within RATIO and, better, a close one.
"""
import numpy as np

from .model import ANCHORS_PER_LEVEL, STRIDES

RATIO = 4.0
"""A box and an anchor match when width and height each differ by less than this factor."""

ENOUGH = 0.98
"""Share of the labels within reach from which anchors are kept as they are, YOLOv5's bound."""


def worst_side(sizes, anchors):
    """[labels, anchors]: how well the worse side fits, 1 = equal, 1 / RATIO = just outside."""
    ratio = sizes[:, None] / anchors[None]
    return np.minimum(ratio, 1 / ratio).min(2)


def fitness(sizes, anchors):
    """Mean closeness of each label's best anchor, counted as 0 where nothing is within RATIO."""
    best = worst_side(sizes, anchors).max(1)
    return float((best * (best > 1 / RATIO)).mean())


def recall(sizes, anchors):
    """Share of labels that match some anchor."""
    return float((worst_side(sizes, anchors).max(1) > 1 / RATIO).mean())


def kmeans(points, count, rng, rounds=30):
    """Plain Lloyd iterations from random points; empty clusters keep their centre."""
    centres = points[rng.choice(len(points), count, replace=False)]
    for _ in range(rounds):
        nearest = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
        for k in range(count):
            members = points[nearest == k]
            if len(members):
                centres[k] = members.mean(0)
    return centres


def even_out(sizes, rng, most=10_000):
    """At most so many of `sizes`, rare ones more often than they come.

    One page of small characters has more labels than thirty pictures of a large one. Left alone, all anchors would be
    small, and large boxes at the end of what an anchor can be stretched to. An octave of sizes with 4 times as many
    labels is drawn twice as often.
    """
    if not len(sizes):
        return sizes
    octave = np.log2(sizes.max(1)).astype(int)
    weights = 1 / np.sqrt(np.bincount(octave)[octave])
    return sizes[rng.choice(len(sizes), most, p=weights / weights.sum())]


def fit(sizes, seed=0, rounds=600):
    """Anchors [level, anchor, (width, height)] in pixels for label `sizes` [labels, 2] in pixels.

    Clusters are formed on log sizes, since matching goes by ratios. Sorted by area, the smallest three serve
    stride 8 and so on.
    """
    rng = np.random.default_rng(seed)
    sizes = np.asarray(sizes, np.float64)
    sizes = sizes[(sizes >= 2).all(1)]
    count = ANCHORS_PER_LEVEL * len(STRIDES)
    if len(sizes) < count:
        raise ValueError(f"{len(sizes)} labels of 2 pixels and more: too few to fit {count} anchors")
    sizes = even_out(sizes, rng)
    anchors = np.exp(kmeans(np.log(sizes), count, rng))
    best = fitness(sizes, anchors)
    for _ in range(rounds):
        mutation = np.exp(rng.normal(0, 0.1, anchors.shape) * (rng.random(anchors.shape) < 0.5))
        candidate = np.maximum(anchors * mutation, 2)
        score = fitness(sizes, candidate)
        if score > best:
            anchors, best = candidate, score
    order = anchors.prod(1).argsort()
    return anchors[order].reshape(len(STRIDES), ANCHORS_PER_LEVEL, 2).astype(np.float32)
