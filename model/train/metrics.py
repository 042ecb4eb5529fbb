"""Non-maximum suppression and mean average precision, in numpy."""
import numpy as np

IOU_THRESHOLDS = np.arange(0.5, 1.0, 0.05)


def box_iou(a, b):
    """IoU of every box of `a` [n, 4] with every box of `b` [m, 4], corners x1, y1, x2, y2: [n, m]."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    opposite = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    overlap = (opposite - corner).clip(0).prod(2)
    area_a = (a[:, 2:4] - a[:, :2]).prod(1)
    area_b = (b[:, 2:4] - b[:, :2]).prod(1)
    return overlap / (area_a[:, None] + area_b[None] - overlap + 1e-9)


def nms(prediction, confidence, iou_limit=0.45, most=300, multi_label=True):
    """Decoded predictions [n, 5 + classes] of one picture to detections [k, 6]: x1, y1, x2, y2, score, class.

    `multi_label` keeps every class above `confidence` of a box, as scoring wants; without it only the best
    class counts, as live use has it.
    """
    scores = prediction[:, 4:5] * prediction[:, 5:]
    if multi_label:
        rows, classes = np.nonzero(scores > confidence)
    else:
        rows, classes = np.arange(len(scores)), scores.argmax(1)
        strong = scores[rows, classes] > confidence
        rows, classes = rows[strong], classes[strong]
    scores = scores[rows, classes]
    order = scores.argsort(kind="stable")[::-1][:4096]
    rows, classes, scores = rows[order], classes[order], scores[order]
    centre, half = prediction[rows, :2], prediction[rows, 2:4] / 2
    boxes = np.concatenate((centre - half, centre + half), 1)
    # Shifting each class to a place of its own makes one suppression do for all of them.
    shifted = boxes + classes[:, None] * 10_000.0
    overlap = box_iou(shifted, shifted) > iou_limit
    alive = np.ones(len(boxes), bool)
    for i in range(len(boxes)):
        if alive[i]:
            alive[i + 1 :] &= ~overlap[i, i + 1 :]
    found = np.concatenate((boxes, scores[:, None], classes[:, None]), 1)
    return found[alive][:most]


def match_detections(found, labels):
    """Which detections are right at each IoU threshold [k, 10]; `labels` [n, 5] of class, x1, y1, x2, y2.

    As YOLOv5 scores: pairs of equal class are taken in falling order of IoU, each label and detection once.
    """
    right = np.zeros((len(found), len(IOU_THRESHOLDS)), bool)
    if not len(found) or not len(labels):
        return right
    iou = box_iou(labels[:, 1:], found[:, :4]) * (labels[:, :1] == found[None, :, 5])
    for column, threshold in enumerate(IOU_THRESHOLDS):
        pairs = np.argwhere(iou >= threshold)
        pairs = pairs[iou[tuple(pairs.T)].argsort(kind="stable")[::-1]]
        used_labels, used_found = set(), set()
        for label, detection in pairs:
            if label not in used_labels and detection not in used_found:
                used_labels.add(label)
                used_found.add(detection)
                right[detection, column] = True
    return right


def average_precision(recall, precision):
    """Area under the falling envelope of the curve, read at 101 recalls; 0 when nothing was found."""
    if not len(recall) or recall[-1] == 0:
        return 0.0
    recall = np.concatenate(([0.0], recall, [1.0]))
    precision = np.concatenate(([1.0], precision, [0.0]))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    points = np.linspace(0, 1, 101)
    values = np.interp(points, recall, precision)
    return float(((values[1:] + values[:-1]) / 2).sum() / 100)


def mean_average_precision(right, scores, classes, label_classes):
    """{class: AP at each IoU threshold [10]} for the classes that have labels."""
    order = np.argsort(-scores, kind="stable")
    right, classes = right[order], classes[order]
    result = {}
    for cls in np.unique(label_classes):
        wanted = int((label_classes == cls).sum())
        hits = right[classes == cls].cumsum(0)
        ranks = np.arange(1, len(hits) + 1)[:, None]
        recall, precision = hits / wanted, hits / ranks
        result[int(cls)] = np.array(
            [average_precision(recall[:, t], precision[:, t]) for t in range(len(IOU_THRESHOLDS))]
        )
    return result
