"""The YOLOv5 loss: which cells are matched to which label, and how far off each prediction is.

A label is given to every anchor of similar shape, in its own cell and in the two neighbouring cells whose
centres are nearest. Those answers are scored by CIoU and class cross-entropy; every cell is scored for
objectness, whose target is the IoU reached, so that the score tells how good a box is.

Characters of class OTHER are matched to cells as labels are, and there every class is wrong: without that, the
classes learn from numerals alone, and 千 is as good a 十 as any. They have no box to find and no objectness.
"""
import math

import torch
from torch import nn

from .anchors import RATIO
from .data import OTHER
from .model import STRIDES

OBJECTNESS_BALANCE = (4.0, 1.0, 0.4)
"""Weight of the objectness loss per level: the fine map has most cells and fewest objects in each."""

BOX_GAIN = 0.08
OBJECTNESS_GAIN = 0.5
CLASS_GAIN = 0.2
"""Relative weights. YOLOv5's defaults scaled to ten classes and 320 pixels would be 0.05, 0.25 and 0.0625; the
class weight is raised because numerals differ by single strokes, the objectness because false alarms hurt, the box
because two pixels are half of a thin 一."""

LABEL_SMOOTHING = 0.02


def ciou(a, b, eps=1e-7):
    """Complete IoU of boxes [n, 4] given as centre x, centre y, width, height: IoU less distance and shape terms."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = a.unbind(1), b.unbind(1)
    overlap_w = (torch.minimum(ax + aw / 2, bx + bw / 2) - torch.maximum(ax - aw / 2, bx - bw / 2)).clamp(0)
    overlap_h = (torch.minimum(ay + ah / 2, by + bh / 2) - torch.maximum(ay - ah / 2, by - bh / 2)).clamp(0)
    overlap = overlap_w * overlap_h
    iou = overlap / (aw * ah + bw * bh - overlap + eps)
    hull_w = torch.maximum(ax + aw / 2, bx + bw / 2) - torch.minimum(ax - aw / 2, bx - bw / 2)
    hull_h = torch.maximum(ay + ah / 2, by + bh / 2) - torch.minimum(ay - ah / 2, by - bh / 2)
    distance = ((ax - bx) ** 2 + (ay - by) ** 2) / (hull_w ** 2 + hull_h ** 2 + eps)
    shape = (4 / math.pi ** 2) * (torch.atan(bw / (bh + eps)) - torch.atan(aw / (ah + eps))) ** 2
    with torch.no_grad():
        weight = shape / (shape - iou + 1 + eps)
    return iou - distance - weight * shape


def match(labels, anchors, grid_w, grid_h):
    """Assign labels to cells of one level.

    `labels` [n, 6]: image, class, centre x, centre y, width, height, all lengths in cells of this level.
    `anchors` [a, 2] in cells. Returns (image, anchor, row, column) index vectors, boxes [m, 4] relative to
    their cell, and classes [m].
    """
    count = len(anchors)
    which_anchor = torch.arange(count, device=labels.device).view(-1, 1).expand(-1, len(labels))
    candidates = labels.unsqueeze(0).expand(count, -1, -1)
    ratio = candidates[..., 4:6] / anchors[:, None]
    fits = torch.maximum(ratio, 1 / ratio).amax(2) < RATIO
    candidates, which_anchor = candidates[fits], which_anchor[fits]

    # The fraction within the cell says which horizontal and which vertical neighbour is nearer; cells outside
    # the map do not exist.
    x, y = candidates[:, 2], candidates[:, 3]
    fx, fy = x % 1, y % 1
    here = torch.ones_like(x, dtype=torch.bool)
    choices = (
        (here, 0, 0),
        ((fx < 0.5) & (x > 1), -1, 0),
        ((fy < 0.5) & (y > 1), 0, -1),
        ((fx > 0.5) & (x < grid_w - 1), 1, 0),
        ((fy > 0.5) & (y < grid_h - 1), 0, 1),
    )
    chosen = torch.cat([candidates[mask] for mask, _, _ in choices])
    anchor = torch.cat([which_anchor[mask] for mask, _, _ in choices])
    column = torch.cat([x[mask].long() + dx for mask, dx, _ in choices]).clamp(0, grid_w - 1)
    row = torch.cat([y[mask].long() + dy for mask, _, dy in choices]).clamp(0, grid_h - 1)
    image, classes = chosen[:, 0].long(), chosen[:, 1].long()
    boxes = torch.stack((chosen[:, 2] - column, chosen[:, 3] - row, chosen[:, 4], chosen[:, 5]), 1)
    return (image, anchor, row, column), boxes, classes


class Loss:
    """Computes the loss of a batch; `anchors` [level, anchor, 2] in input pixels."""

    def __init__(self, anchors, classes, box_gain=BOX_GAIN):
        self.box_gain = box_gain
        self.anchors = [anchors[level] / stride for level, stride in enumerate(STRIDES)]
        self.negative = 0.5 * LABEL_SMOOTHING
        self.positive = 1 - self.negative
        self.classes = classes
        self.bce = nn.BCEWithLogitsLoss()

    @staticmethod
    def quality(answer, boxes, anchors):
        """CIoU of raw answers [n, 4...] of cells, decoded with their anchors, and boxes relative to the cells."""
        xy = answer[:, 0:2].sigmoid() * 2 - 0.5
        wh = (answer[:, 2:4].sigmoid() * 2) ** 2 * anchors
        return ciou(torch.cat((xy, wh), 1), boxes)

    def __call__(self, maps, labels):
        """Raw maps of the network and labels [n, 6] (image, class, xywh in input pixels) to (loss, parts).

        The loss has a gradient; parts is a detached tensor (box, objectness, class), weighted.
        """
        box = maps[0].new_zeros(())
        obj = maps[0].new_zeros(())
        cls = maps[0].new_zeros(())
        for level, raw in enumerate(maps):
            scaled = labels.clone()
            scaled[:, 2:] /= STRIDES[level]
            where, boxes, classes = match(scaled, self.anchors[level], raw.shape[3], raw.shape[2])
            target = torch.zeros_like(raw[..., 4])
            if len(classes):
                answer = raw[where]
                wanted = torch.full_like(answer[:, 5:], self.negative)
                ours = (classes != OTHER).nonzero()[:, 0]
                wanted[ours, classes[ours]] = self.positive
                cls = cls + self.bce(answer[:, 5:], wanted)
                if len(ours):
                    cells = tuple(index[ours] for index in where)
                    quality = self.quality(answer[ours], boxes[ours], self.anchors[level][cells[1]])
                    box = box + (1 - quality).mean()
                    # A cell claimed by several labels aims at the best of them, whatever their order.
                    reached = quality.detach().clamp(0)
                    order = reached.argsort()
                    target[tuple(index[order] for index in cells)] = reached[order]
            obj = obj + self.bce(raw[..., 4], target) * OBJECTNESS_BALANCE[level]
        parts = torch.stack((box * self.box_gain, obj * OBJECTNESS_GAIN, cls * CLASS_GAIN))
        return parts.sum(), parts.detach()
