"""Fast checks of the parts that fail silently: matching, boxes, decoding, scoring, resuming.

Run from model/: ``python3 -m unittest discover -s train/tests -t .``
"""
import os
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import nn

from train import anchors
from train.augment import augment, fitting_zoom, place
from train.average import main as average
from train.average import mix
from train.data import OTHER, Batches, Cache, letterbox, pixel_boxes, read_labels, read_targets
from train.evaluate import rectangle
from train.export import export
from train.exported import load_exported, unfold
from train.exported import read as read_exported
from train.loss import Loss, ciou, match
from train.metrics import match_detections, mean_average_precision, nms
from train.mine import is_fooled
from train.model import STRIDES, Yolo, fold_batch_norm
from train.train import Trainer, parse, starting_anchors


def small_model(seed=0):
    """A narrow network whose normalisation has seen some data, so that folding is really tested."""
    torch.manual_seed(seed)
    model = Yolo(width=0.125).train()
    model(torch.rand(4, 3, 64, 64))
    return model.eval()


def options():
    """What `Batches` reads of the command line."""
    return SimpleNamespace(batch=3, steps=10, seed=7, size=64, final_size=96, zoom=(0.6, 2.5), mosaic=0.6, label_margin=0.0)


class Matching(unittest.TestCase):
    def test_label_gets_its_cell_and_the_two_nearest(self):
        labels = torch.tensor([[0.0, 3.0, 5.3, 7.8, 2.0, 2.0]])
        where, boxes, classes = match(labels, torch.tensor([[2.0, 2.0]]), 10, 10)
        cells = set(zip(where[3].tolist(), where[2].tolist()))
        self.assertEqual(cells, {(5, 7), (4, 7), (5, 8)})
        self.assertEqual(classes.tolist(), [3, 3, 3])
        # Whatever the cell, it points at the same centre, and within reach of 2 * sigmoid - 0.5.
        centres = boxes[:, :2] + torch.stack((where[3], where[2]), 1)
        torch.testing.assert_close(centres, torch.tensor([[5.3, 7.8]]).expand(3, 2))
        self.assertTrue(((boxes[:, :2] > -0.5) & (boxes[:, :2] < 1.5)).all())

    def test_cells_outside_the_map_are_not_used(self):
        labels = torch.tensor([[0.0, 0.0, 0.3, 0.3, 2.0, 2.0], [0.0, 0.0, 9.8, 9.8, 2.0, 2.0]])
        where, _, _ = match(labels, torch.tensor([[2.0, 2.0]]), 10, 10)
        self.assertEqual(set(zip(where[3].tolist(), where[2].tolist())), {(0, 0), (9, 9)})

    def test_anchor_must_be_within_the_ratio(self):
        labels = torch.tensor([[0.0, 0.0, 5.5, 5.5, 7.9, 2.0]])
        self.assertGreater(len(match(labels, torch.tensor([[2.0, 2.0]]), 10, 10)[2]), 0)
        labels[0, 4] = 8.1
        self.assertEqual(len(match(labels, torch.tensor([[2.0, 2.0]]), 10, 10)[2]), 0)

    def test_no_labels_is_no_match(self):
        self.assertEqual(len(match(torch.zeros(0, 6), torch.tensor([[2.0, 2.0]]), 10, 10)[2]), 0)


class LossValue(unittest.TestCase):
    def test_ciou_of_equal_boxes_is_one_and_falls_with_distance(self):
        box = torch.tensor([[10.0, 10.0, 4.0, 6.0]])
        self.assertAlmostEqual(float(ciou(box, box)), 1.0, places=5)
        near, far = box + torch.tensor([[6.0, 0, 0, 0]]), box + torch.tensor([[60.0, 0, 0, 0]])
        self.assertGreater(float(ciou(box, near)), float(ciou(box, far)))
        self.assertLess(float(ciou(box, far)), 0)

    def test_learns_one_picture_and_empty_batches_have_gradients(self):
        torch.manual_seed(0)
        model = Yolo(width=0.125).train()
        loss = Loss(model.detect.anchors, 10)
        optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
        images = torch.rand(2, 3, 64, 64)
        labels = torch.tensor([[0.0, 4, 30, 30, 20, 24], [1.0, 7, 40, 20, 16, 30]])
        history = []
        for _ in range(25):
            total, parts = loss(model(images), labels)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            history.append(float(total))
            self.assertAlmostEqual(float(total), float(parts.sum()), places=5)
        self.assertLess(history[-1], 0.7 * history[0])
        total, _ = loss(model(images), torch.zeros(0, 6))
        total.backward()
        self.assertTrue(torch.isfinite(total))

    def test_other_characters_teach_the_classes_and_nothing_else(self):
        torch.manual_seed(0)
        raw = [torch.randn(1, 3, 64 // stride, 64 // stride, 15, requires_grad=True) for stride in STRIDES]
        loss = Loss(Yolo(width=0.125).detect.anchors, 10)
        none = torch.zeros(0, 6)
        other = torch.tensor([[0.0, OTHER, 30, 30, 20, 24]])
        _, without = loss(raw, none)
        total, parts = loss(raw, other)
        self.assertEqual(parts[:2].tolist(), without[:2].tolist())
        self.assertEqual(float(without[2]), 0)
        total.backward()
        pushed = torch.cat([level.grad[..., 5:].reshape(-1, 10) for level in raw])
        pushed = pushed[pushed.abs().sum(1) > 0]
        # Down, unless a class is below the smoothed target already.
        self.assertGreater(len(pushed), 0)
        self.assertGreater(float(pushed.sum()), 0)
        ours, _ = loss(raw, torch.cat((other, torch.tensor([[0.0, 4, 12, 12, 16, 16]]))))
        self.assertTrue(torch.isfinite(ours))


class Decoding(unittest.TestCase):
    def test_raw_zero_is_the_cell_centre_and_the_anchor(self):
        detect = Yolo(width=0.125).detect
        maps = [torch.zeros(1, 3, 64 // s, 96 // s, 15) for s in STRIDES]
        out = detect.decode(maps)
        cells = sum((64 // s) * (96 // s) for s in STRIDES) * 3
        self.assertEqual(tuple(out.shape), (1, cells, 15))
        # Level 0, anchor 0, row 1, column 2: index 1 * 12 + 2.
        width, height = detect.anchors[0, 0].tolist()
        self.assertEqual(out[0, 14, :5].tolist(), [2.5 * 8, 1.5 * 8, width, height, 0.5])

    def test_decode_undoes_what_the_loss_aims_at(self):
        detect = Yolo(width=0.125).detect
        labels = torch.tensor([[0.0, 2.0, 45.0, 37.0, 30.0, 40.0]])
        level, stride = 1, STRIDES[1]
        scaled = labels.clone()
        scaled[:, 2:] /= stride
        where, boxes, _ = match(scaled, detect.anchors[level] / stride, 6, 4)
        maps = [torch.zeros(1, 3, 64 // s, 96 // s, 15) for s in STRIDES]
        ratio = boxes[:, 2:] / (detect.anchors[level] / stride)[where[1]]
        raw = torch.cat((((boxes[:, :2] + 0.5) / 2).logit(), (ratio.sqrt() / 2).logit()), 1)
        maps[level][where[0], where[1], where[2], where[3], :4] = raw
        maps[level][where[0], where[1], where[2], where[3], 4] = 9.0
        out = detect.decode(maps)[0]
        answers = out[out[:, 4] > 0.9]
        self.assertEqual(len(answers), len(boxes))
        torch.testing.assert_close(answers[:, :4], labels[:, 2:].expand(len(boxes), 4), rtol=0, atol=1e-3)

    def test_margin_grows_boxes_and_nothing_else(self):
        model = small_model()
        image = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            plain = model(image)
            model.detect.margin = 0.5
            grown = model(image)
        torch.testing.assert_close(grown[..., 2:4], plain[..., 2:4] + 1)
        torch.testing.assert_close(grown[..., [0, 1, 4, 14]], plain[..., [0, 1, 4, 14]])

    def test_folding_changes_nothing(self):
        model = small_model()
        image = torch.rand(1, 3, 64, 96)
        with torch.no_grad():
            before = model(image)
            after = fold_batch_norm(model)(image)
        torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)
        self.assertFalse([m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)])


class Exported(unittest.TestCase):
    def test_an_exported_file_is_trained_on_from_where_it_was(self):
        model = small_model()
        for bn in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.uniform_(bn.running_mean, -0.5, 0.5)
            nn.init.uniform_(bn.running_var, 0.5, 2)
            nn.init.uniform_(bn.weight, 0.5, 1.5)
            nn.init.uniform_(bn.bias, -0.5, 0.5)
        model.detect.anchors.mul_(0.5)
        pixels = torch.rand(8, 3, 96, 96)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.onnx")
            export(model.eval(), path)
            fresh = small_model(seed=1)
            load_exported(fresh, path)
            wide = Yolo(10, width=0.25)
            self.assertRaisesRegex(SystemExit, "--width", load_exported, wide, path)
        unfold(fresh, pixels)
        with torch.no_grad():
            expected = model.eval()(pixels)
            torch.testing.assert_close(fresh.eval()(pixels), expected, rtol=1e-3, atol=1e-3)
            # Statistics of the batch and those taken over must agree, or the first step would undo the weights.
            maps, trained = fresh.detect(fresh.features(pixels)), fresh.train().detect(fresh.features(pixels))
        for before, after in zip(maps, trained):
            torch.testing.assert_close(before, after, rtol=1e-2, atol=1e-2)


class Averaging(unittest.TestCase):
    def test_ends_are_the_checkpoints_and_the_middle_runs(self):
        first, second = small_model(0), small_model(1)
        second.detect.anchors *= 4
        ends = [mix(first.state_dict(), second.state_dict(), share) for share in (0.0, 1.0)]
        for mixed, model in zip(ends, (first, second)):
            for name, value in model.state_dict().items():
                torch.testing.assert_close(mixed[name], value, msg=name)
        middle = mix(first.state_dict(), second.state_dict(), 0.5)
        torch.testing.assert_close(middle["detect.anchors"], 2 * first.detect.anchors)
        first.load_state_dict(middle)
        self.assertTrue(torch.isfinite(first(torch.rand(1, 3, 64, 64))).all())


    def test_exported_files_are_averaged_like_checkpoints(self):
        first, second = small_model(seed=1), small_model(seed=2)
        second.detect.anchors.mul_(4)
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("a.onnx", "b.onnx", "mean.onnx")]
            export(first, paths[0])
            export(second, paths[1])
            average(["--checkpoints", *paths[:2], "--out", paths[2]])
            got, anchors_got = read_exported(paths[2])
            ends = [read_exported(path)[0]["stem.conv.weight"] for path in paths[:2]]
        torch.testing.assert_close(got["stem.conv.weight"], sum(ends) / 2)
        torch.testing.assert_close(anchors_got, first.detect.anchors * 2)


class Pictures(unittest.TestCase):
    def test_letterbox_and_boxes_agree(self):
        image = np.zeros((240, 640, 3), np.uint8)
        image[60:120, 160:320] = 255
        out, scale, offset = letterbox(image, 320, 320)
        self.assertEqual((out.shape, scale, offset), ((320, 320, 3), 0.5, (0, 100)))
        self.assertEqual(out[50, 10].tolist(), [114] * 3)
        box = pixel_boxes(np.array([[1, 0.375, 0.375, 0.25, 0.25]], np.float32), (640, 240), scale, offset)
        self.assertEqual(box[0].tolist(), [1, 80, 130, 160, 160])
        self.assertGreater(out[131:159, 81:159].min(), 250)
        self.assertEqual(out[101:128, 0:319].max(), 0)

    def test_rectangle_is_the_smallest_multiple_of_32(self):
        self.assertEqual(rectangle((640, 480), 416), (416, 320))
        self.assertEqual(rectangle((480, 640), 320), (256, 320))
        self.assertEqual(rectangle((100, 100), 320), (320, 320))

    def test_placed_boxes_stay_on_their_ink(self):
        rng = np.random.default_rng(0)
        image = np.full((100, 100, 3), 255, np.uint8)
        image[20:40, 50:80] = 0
        boxes = np.array([[2, 50, 20, 80, 40]], np.float32)
        seen = 0
        for _ in range(50):
            canvas = np.full((90, 90, 3), 255, np.uint8)
            scale = rng.uniform(0.5, 1.5, 2)
            kept = place(canvas, image, boxes, (10, 5, 85, 80), scale, rng.uniform(-30, 30, 2))
            ink = np.argwhere(canvas[..., 0] < 100)
            if len(kept):
                seen += 1
                y1, x1 = ink.min(0)
                y2, x2 = ink.max(0) + 1
                np.testing.assert_allclose(kept[0, 1:], (x1, y1, x2, y2), atol=1.6)
            else:
                self.assertEqual(len(ink), 0, "a character cut away must leave no ink behind")
        self.assertGreater(seen, 10)

    def test_large_characters_are_not_zoomed_out_of_the_picture(self):
        boxes = np.array([[0, 10, 10, 260, 60], [0, 300, 300, 310, 310]], np.float32)
        self.assertEqual(fitting_zoom((0.6, 2.5), boxes[1:], 350), (0.6, 2.5))
        self.assertEqual(fitting_zoom((0.6, 2.5), boxes, 350), (0.6, 350 / 250))
        self.assertEqual(fitting_zoom((0.6, 2.5), boxes, 100), (100 / 250, 100 / 250))
        self.assertEqual(fitting_zoom((0.6, 2.5), boxes[:0], 350), (0.6, 2.5))

    def test_augmentation_depends_on_the_generator_only(self):
        image = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        samples = [(image, np.array([[0, 10, 10, 30, 30]], np.float32))] * 4
        for is_mosaic in (False, True):
            first = augment(samples, 64, np.random.default_rng(5), (0.8, 2), is_mosaic)
            again = augment(samples, 64, np.random.default_rng(5), (0.8, 2), is_mosaic)
            np.testing.assert_array_equal(first[0], again[0])
            np.testing.assert_array_equal(first[1], again[1])
            self.assertTrue(((first[1][:, 1:] >= 0) & (first[1][:, 1:] <= 64)).all())


class DataSet(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        root = Path(self.folder.name)
        (root / "images").mkdir()
        (root / "labels").mkdir()
        for i in range(5):
            Image.new("RGB", (80, 60), (50 * i, 100, 100)).save(root / "images" / f"{i}.png")
        (root / "labels" / "0.txt").write_text("9 0.5 0.5 0.25 0.25\n")
        (root / "labels" / "1.txt").write_text("")
        self.root = root

    def test_batches_are_a_function_of_the_step(self):
        cache = Cache([self.root], 64, self.root / "cache")
        again = Cache([self.root], 64, self.root / "cache")
        self.assertEqual(len(cache), 5)
        first, second = Batches(cache, options()), Batches(again, options())
        expected = [first.make(step) for step in range(4)]
        images, labels = second.make(3)
        np.testing.assert_array_equal(images, expected[3][0])
        np.testing.assert_array_equal(labels, expected[3][1])
        self.assertEqual(first.mosaic_probability(9), 0)
        self.assertEqual(first.sizes(4).shape[1], 2)
        self.assertEqual((images.shape[1], first.make(9)[0].shape[1]), (64, 96))

    def test_an_epoch_shows_every_picture_once(self):
        batches = Batches(Cache([self.root], 64, self.root / "cache"), options())
        self.assertEqual(sorted(batches.index(p) for p in range(5, 10)), [0, 1, 2, 3, 4])

    def test_other_characters_are_targets_but_no_labels(self):
        (self.root / "others").mkdir()
        (self.root / "others" / "0.txt").write_text("0.25 0.25 0.1 0.1\n")
        path = self.root / "images" / "0.png"
        self.assertEqual(read_labels(path)[:, 0].tolist(), [9])
        self.assertEqual(read_targets(path)[:, 0].tolist(), [9, OTHER])
        np.testing.assert_allclose(read_targets(path)[1, 1:], [0.25, 0.25, 0.1, 0.1])
        cache = Cache([self.root], 64, self.root / "cache")
        self.assertEqual(cache.sample(0)[1][:, 0].tolist(), [9, OTHER])
        # Changed labels make another cache.
        (self.root / "others" / "0.txt").write_text("")
        self.assertEqual(Cache([self.root], 64, self.root / "cache").sample(0)[1][:, 0].tolist(), [9])
        # Anchors answer for numerals only.
        (self.root / "others" / "1.txt").write_text("0.5 0.5 0.3 0.3\n")
        (self.root / "labels" / "0.txt").write_text("")
        others_only = Batches(Cache([self.root], 64, self.root / "cache"), options())
        self.assertEqual(len(others_only.sizes(4)), 0)

    def test_bad_labels_name_the_file(self):
        path = self.root / "labels" / "2.txt"
        path.write_text("1 0.5 0.5 1.5 0.2\n")
        with self.assertRaisesRegex(ValueError, "2.txt"):
            read_labels(self.root / "images" / "2.png")


class Anchors(unittest.TestCase):
    def test_fit_covers_the_labels_and_is_ordered(self):
        rng = np.random.default_rng(0)
        sizes = np.exp(rng.normal(3.5, 0.5, (500, 2)))
        fitted = anchors.fit(sizes, rounds=100)
        self.assertEqual(fitted.shape, (3, 3, 2))
        self.assertGreater(anchors.recall(sizes, fitted.reshape(-1, 2)), 0.99)
        areas = fitted.reshape(-1, 2).prod(1)
        self.assertTrue((np.diff(areas) >= 0).all())

    def test_too_few_labels_is_said(self):
        with self.assertRaisesRegex(ValueError, "too few"):
            anchors.fit(np.ones((3, 2)) * 20)

    def test_those_of_a_checkpoint_stay_if_they_reach_and_are_not_to_be_fitted(self):
        sizes = np.exp(np.random.default_rng(3).uniform(2, 5, (400, 2)))
        known = np.geomspace(8, 140, 9, dtype=np.float32)[:, None].repeat(2, 1).reshape(3, 3, 2)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "last.pt")
            torch.save({"ema": {"detect.anchors": torch.from_numpy(known)}}, path)
            common = ["--data", "x", "--run", "y", "--init", path]
            np.testing.assert_array_equal(starting_anchors(parse(common), sizes), known)
            fitted = starting_anchors(parse([*common, "--refit-anchors"]), sizes)
            closeness = [anchors.fitness(sizes, a.reshape(-1, 2)) for a in (known, fitted)]
            self.assertLess(*closeness)
            # Out of reach of every label, they are of no use.
            out_of_reach = starting_anchors(parse(common), sizes * 50)
            self.assertGreater(anchors.recall(sizes * 50, out_of_reach.reshape(-1, 2)), anchors.ENOUGH)


class Scoring(unittest.TestCase):
    def test_perfect_missed_and_wrong(self):
        labels = np.array([[0, 0, 0, 10, 10], [1, 20, 20, 40, 40]], np.float32)
        found = np.array([[0, 0, 10, 10, 0.9, 0], [20, 20, 40, 40, 0.8, 1]], np.float32)

        def map50(found):
            right = match_detections(found, labels)
            by_class = mean_average_precision(right, found[:, 4], found[:, 5], labels[:, 0])
            return np.mean([ap[0] for ap in by_class.values()])

        # 0.995 is what YOLOv5's way of reading the curve gives a perfect answer.
        self.assertAlmostEqual(map50(found), 0.995, places=3)
        self.assertAlmostEqual(map50(found[:1]), 0.4975, places=3)
        self.assertEqual(map50(found[:0]), 0.0)
        swapped = found.copy()
        swapped[:, 5] = [1, 0]
        self.assertEqual(map50(swapped), 0.0)

    def test_a_label_counts_once(self):
        labels = np.array([[0, 0, 0, 10, 10]], np.float32)
        found = np.array([[0, 0, 10, 10, 0.9, 0], [0, 0, 10, 9, 0.8, 0]], np.float32)
        self.assertEqual(match_detections(found, labels)[:, 0].tolist(), [True, False])

    def test_nms_keeps_the_best_of_each_class(self):
        prediction = np.zeros((3, 7), np.float32)
        prediction[:, :4] = [[10, 10, 8, 8], [10.5, 10, 8, 8], [10, 10, 8, 8]]
        prediction[:, 4] = [0.9, 0.8, 0.7]
        prediction[[0, 1], 5] = 1.0
        prediction[2, 6] = 1.0
        found = nms(prediction, 0.25)
        self.assertEqual(found[:, 5].tolist(), [0, 1])
        np.testing.assert_allclose(found[0, :4], [6, 6, 14, 14])


class Resuming(unittest.TestCase):
    def test_a_run_cut_off_goes_on_as_if_it_had_not_been(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "images").mkdir()
            (root / "labels").mkdir()
            for i in range(4):
                Image.new("RGB", (64, 64), (60 * i, 100, 100)).save(root / "images" / f"{i}.png")
                (root / "labels" / f"{i}.txt").write_text(f"{i} 0.5 0.5 0.4 0.3\n")
            options = ["--data", folder, "--run", folder, "--width", "0.125", "--size", "64", "--batch", "2"]
            args = parse([*options, "--steps", "4", "--final-size", "96"])
            cache = Cache(args.data, 64, root / "cache")
            sizes = np.tile([[20, 20], [30, 10], [26, 19]], (4, 1)) + np.arange(12)[:, None]

            def trainer():
                torch.manual_seed(0)
                return Trainer(args, cache, anchors.fit(sizes, 1))

            def advance(trainer, last):
                for step in range(trainer.step, last):
                    trainer.train_step(*trainer.batches.make(step))

            whole, cut = trainer(), trainer()
            advance(whole, 4)
            advance(cut, 2)
            cut.save(root / "last.pt")
            resumed = trainer()
            resumed.load(root / "last.pt")
            self.assertEqual(resumed.step, 2)
            advance(resumed, 4)
            for ours, theirs in ((whole.model, resumed.model), (whole.average.model, resumed.average.model)):
                expected = ours.state_dict()
                for name, value in theirs.state_dict().items():
                    torch.testing.assert_close(value, expected[name], rtol=0, atol=0, msg=name)
            args.seed = 9
            with self.assertRaisesRegex(SystemExit, "--seed 1"):
                trainer().load(root / "last.pt")


class Mining(unittest.TestCase):
    def test_what_fools_a_model(self):
        labels = np.array([[3, 10, 10, 30, 30]], np.float32)
        right = {"class": 3, "score": 0.9, "box": [11, 10, 30, 31]}
        self.assertFalse(is_fooled([right], labels, 0.25))
        self.assertTrue(is_fooled([right], labels[:0], 0.25))
        self.assertTrue(is_fooled([right, {**right, "class": 4}], labels, 0.25))
        self.assertTrue(is_fooled([{**right, "box": [25, 25, 50, 50]}], labels, 0.25))
        self.assertFalse(is_fooled([{**right, "class": 4, "score": 0.2}], labels, 0.25))


if __name__ == "__main__":
    unittest.main()
