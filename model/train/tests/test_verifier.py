"""Fast checks of the second look's training: material, balance, learning, the file that is written."""
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image

from train.calibrate import apply, fit, reliability
from train.verifier import NONE, SIDE, Verifier, augment, main, probabilities, read_crops, sampler, standardise


def write_crops(folder, crops, there):
    """What ``hanja-model crops`` writes, three crops a line, two lines a sheet."""
    folder.mkdir()
    padded = np.zeros((-(-len(crops) // 6) * 6, SIDE, SIDE), np.uint8)
    padded[: len(crops)] = crops
    for index, sheet in enumerate(padded.reshape(-1, 2, 3, SIDE, SIDE)):
        pixels = sheet.swapaxes(1, 2).reshape(2 * SIDE, 3 * SIDE)
        Image.fromarray(pixels).save(folder / f"sheet-{index:04}.png")
    lines = [f"{there},{'' if i % 2 else there},{'' if i % 2 else 0.5},31.0,a.jpg" for i, there in enumerate(there)]
    (folder / "crops.csv").write_text("there,class,score,side,picture\n" + "\n".join(lines) + "\n")


def bars(count, seed=0):
    """Crops of two kinds that are easily told: one bar (class 0), or noise (none)."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(100, 140, (count, SIDE, SIDE)).astype(np.uint8)
    there = np.where(np.arange(count) % 2 == 0, 0, NONE)
    for crop in crops[there == 0]:
        crop[:] = 200
    crops[there == 0, 18:22, 6:34] = 30
    return crops, there


class Material(unittest.TestCase):
    def test_sheets_are_read_in_the_order_of_the_lines(self):
        crops, there = bars(10)
        with tempfile.TemporaryDirectory() as folder:
            write_crops(Path(folder) / "c", crops, there)
            read, classes, found, score, pictures = read_crops(Path(folder) / "c")
        np.testing.assert_array_equal(read, crops)
        np.testing.assert_array_equal(classes, there)
        self.assertEqual((found[0], found[1], score[0], score[1]), (0, -1, 0.5, 0))
        self.assertEqual(pictures, ["a.jpg"] * 10)

    def test_rare_numerals_come_as_often_as_others(self):
        there = np.array([0] * 1000 + [1] * 10 + [NONE] * 5000)
        drawn = there[sampler(there, 0.5, np.random.default_rng(1))(4000)]
        for kind, share in ((0, 0.25), (1, 0.25), (NONE, 0.5)):
            self.assertAlmostEqual((drawn == kind).mean(), share, delta=0.03)

    def test_augmentation_keeps_shape_and_sense(self):
        crops, _ = bars(8)
        changed = augment(crops, np.random.default_rng(3))
        self.assertEqual(changed.shape, (8, 1, SIDE, SIDE))
        self.assertTrue(torch.isfinite(changed).all())

    def test_crops_are_standardised_and_flat_ones_not_blown_up(self):
        x = torch.rand(3, 1, SIDE, SIDE) * 200
        x[2] = 77 + torch.rand(1, SIDE, SIDE)
        y = standardise(x)
        self.assertLess(float(y.mean((1, 2, 3)).abs().max()), 1e-4)
        self.assertAlmostEqual(float(y[0].std()), 1.0, places=2)
        self.assertLess(float(y[2].abs().max()), 0.2)


class Learning(unittest.TestCase):
    def test_it_learns_and_the_file_says_what_it_is(self):
        crops, there = bars(60)
        with tempfile.TemporaryDirectory() as folder:
            write_crops(Path(folder) / "c", crops, there)
            out = Path(folder) / "v.onnx"
            arguments = ["--crops", str(Path(folder) / "c"), "--val", str(Path(folder) / "c"), "--out", str(out)]
            arguments += ["--steps", "60", "--batch", "32", "--width", "0.5", "--log-every", "30", "--device", "cpu"]
            main(arguments + ["--calibration", "-0.5", "1.25"])
            graph = onnx.load(out)
            state = torch.load(out.with_suffix(".pt"))
        model = Verifier(state["width"])
        model.load_state_dict(state["model"])
        best = probabilities(model, crops).argmax(1)
        self.assertGreater((best == there).mean(), 0.95)
        properties = {p.key: p.value for p in graph.metadata_props}
        self.assertEqual(properties["calibration"], "-0.5000 1.2500")
        [given], [got] = graph.graph.input, graph.graph.output
        self.assertEqual([d.dim_value for d in given.type.tensor_type.shape.dim][1:], [1, SIDE, SIDE])
        self.assertEqual(got.type.tensor_type.shape.dim[1].dim_value, NONE + 1)


class Calibration(unittest.TestCase):
    def test_scores_that_promise_too_much_are_brought_down(self):
        rng = np.random.default_rng(5)
        truth = rng.uniform(0.02, 0.98, 20000)
        right = rng.random(20000) < truth
        # As a network that is too sure would score it.
        score = apply((1.0, 1.5), truth)
        calibrated = apply(fit(score, right), score)
        self.assertLess(reliability(calibrated, right)[1], 0.015)
        self.assertGreater(reliability(score, right)[1], 0.08)


if __name__ == "__main__":
    unittest.main()
