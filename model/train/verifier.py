"""The verifier (second look): a classifier of 40x40 grey crops, ten numerals and "none", and its training.

Material comes from ``hanja-model crops``: what a network finds, cut by the product's own code, with what is there.
The network costs 0.9 million multiply-adds a crop, for a frame's eight places are all computed, whatever is in the
picture.
"""
import argparse
import csv
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from . import NAMES
from .train import pick_device

SIDE = 40
"""Pixels of a crop, as hanja_infer::SIDE."""

FLATTEST = 6.0
"""Deviation below which a crop counts as empty, as in infer/src/verifier/mod.rs."""

NONE = len(NAMES)
"""Class of what is no numeral."""

OPSET = 13


def read_crops(folder):
    """(u8 [n, 40, 40], class i64 [n], found class i64 [n] or -1, score f32 [n], picture names [n]) of one folder."""
    folder = Path(folder)
    with open(folder / "crops.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    tiles = []
    for sheet in sorted(folder.glob("sheet-*.png")):
        pixels = np.asarray(Image.open(sheet))
        lines, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
        tiles.append(pixels.reshape(lines, SIDE, columns, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE))
    crops = np.concatenate(tiles)[: len(rows)]
    there = np.array([int(row["there"]) for row in rows])
    found = np.array([int(row["class"] or -1) for row in rows])
    score = np.array([float(row["score"] or 0) for row in rows], np.float32)
    return crops, there, found, score, [row["picture"] for row in rows]


def conv(c_in, c_out, kernel):
    """Convolution of stride 2, normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, 2, kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    )


class Verifier(nn.Module):
    """Crops [n, 1, 40, 40] of mean 0 and deviation 1 to logits [n, 11].

    Few layers of many multiply-adds: at this size a depthwise layer costs more time than a full one, for its rows are
    five to ten pixels long (measured in rten: 1.13 ms for eight crops with four depthwise layers, 0.34 ms so).
    """

    def __init__(self, width=1.0):
        super().__init__()
        c = [int(width * n) for n in (12, 32, 64)]
        self.features = nn.Sequential(conv(1, c[0], 5), conv(c[0], c[1], 3), conv(c[1], c[2], 3))
        self.head = nn.Linear(c[2] * 25, len(NAMES) + 1)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        return self.head(self.drop(self.features(x).flatten(1)))


def augment(crops, rng):
    """f32 [n, 1, 40, 40] of 0..255 from u8 [n, 40, 40]: moved, turned, blurred, inverted, in other light and noise."""
    count = len(crops)
    x = torch.from_numpy(crops).float()[:, None]
    angle = torch.from_numpy(rng.normal(0, 0.06, count)).float()
    scale = torch.from_numpy(np.exp(rng.normal(0, 0.06, (count, 2)))).float()
    shear = torch.from_numpy(rng.normal(0, 0.06, count)).float()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = scale[:, 0] * torch.cos(angle)
    theta[:, 0, 1] = -torch.sin(angle) + shear
    theta[:, 1, 0] = torch.sin(angle)
    theta[:, 1, 1] = scale[:, 1] * torch.cos(angle)
    theta[:, :, 2] = torch.from_numpy(rng.normal(0, 0.04, (count, 2))).float()
    grid = functional.affine_grid(theta, x.shape, align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if rng.random() < 0.3:
        x = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gamma = torch.from_numpy(np.exp(rng.normal(0, 0.25, count))).float().view(-1, 1, 1, 1)
    x = (x.clamp(0, 255) / 255) ** gamma * 255
    inverted = torch.from_numpy(rng.random(count) < 0.12).view(-1, 1, 1, 1)
    x = torch.where(inverted, 255 - x, x)
    slope = torch.from_numpy(rng.normal(0, 12, (count, 2))).float()
    ramp = torch.linspace(-1, 1, SIDE)
    x = x + slope[:, 0].view(-1, 1, 1, 1) * ramp.view(1, 1, 1, -1) + slope[:, 1].view(-1, 1, 1, 1) * ramp.view(1, 1, -1, 1)
    strength = torch.from_numpy(rng.uniform(0, 8, count)).float().view(-1, 1, 1, 1)
    return x + strength * torch.randn(x.shape)


def standardise(x):
    """Mean 0, deviation 1 of each crop, as the product does it."""
    mean = x.mean((2, 3), keepdim=True)
    deviation = x.var((2, 3), unbiased=False, keepdim=True).sqrt().clamp(min=FLATTEST)
    return (x - mean) / deviation


class Exported(nn.Module):
    """With probabilities instead of logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).softmax(1)


def export(model, path, calibration=(0.0, 1.0)):
    """Write ONNX: input `crops` [n, 1, 40, 40], output `probabilities` [n, 11]."""
    partial = f"{path}.partial"
    torch.onnx.export(
        Exported(model).eval(),
        torch.zeros(2, 1, SIDE, SIDE),
        partial,
        opset_version=OPSET,
        do_constant_folding=True,
        input_names=["crops"],
        output_names=["probabilities"],
        dynamic_axes={"crops": {0: "n"}, "probabilities": {0: "n"}},
    )
    graph = onnx.load(partial)
    properties = {
        "names": repr(dict(enumerate(NAMES))),
        "task": "classify",
        "description": "second look at handwritten hanja numerals: ten classes, then none",
        "author": "hanja-pipeline",
        "license": "MIT OR Apache-2.0",
        "calibration": "{:.4f} {:.4f}".format(*calibration),
    }
    onnx.helper.set_model_props(graph, properties)
    onnx.checker.check_model(graph)
    onnx.save(graph, partial)
    os.replace(partial, path)


@torch.no_grad()
def probabilities(model, crops, batch=1024):
    """f32 [n, 11] of u8 crops [n, 40, 40]."""
    model.eval()
    parts = [crops[i : i + batch] for i in range(0, len(crops), batch)]
    device = next(model.parameters()).device
    run = [model(standardise(torch.from_numpy(part).to(device).float()[:, None])).softmax(1) for part in parts]
    return torch.cat(run).cpu().numpy()


def verdict(model, crops, there):
    """One line: how many of each kind are classified right."""
    best = probabilities(model, crops).argmax(1)
    numeral = there != NONE
    return f"numerals {100 * (best == there)[numeral].mean():.2f} %, others {100 * (best == there)[~numeral].mean():.2f} %"


def sampler(there, share_none, rng):
    """Endless indices: every numeral as often as any other, `share_none` of all from what is none."""
    by_class = [np.flatnonzero(there == c) for c in range(NONE + 1)]
    filled = [c for c in range(NONE) if len(by_class[c])]

    def draw(count):
        none = rng.random(count) < share_none
        pick = rng.integers(len(filled), size=count)
        chosen = [by_class[NONE] if n else by_class[filled[p]] for n, p in zip(none, pick)]
        return np.array([indices[rng.integers(len(indices))] for indices in chosen])

    return draw


def averaged(old, new, updates):
    """Exponential moving average; early steps move further, since the first weights are worth little."""
    keep = min(0.999, (1 + int(updates)) / (10 + int(updates)))
    return keep * old + (1 - keep) * new


def fit(args):
    """Train; returns the network."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    sets = [read_crops(folder) for folder in args.crops]
    crops, there = np.concatenate([s[0] for s in sets]), np.concatenate([s[1] for s in sets])
    print(f"{len(crops)} crops, by class {np.bincount(there, minlength=NONE + 1).tolist()}", flush=True)
    held = read_crops(args.val)[:2] if args.val else None
    device = pick_device(args.device)
    model = Verifier(args.width).to(device, memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    average = torch.optim.swa_utils.AveragedModel(model, avg_fn=averaged)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.02)
    draw = sampler(there, args.share_none, rng)
    started, window = time.monotonic(), []
    for step in range(args.steps):
        warm, progress = min(1.0, (step + 1) / 200), step / args.steps
        lr = args.lr * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = lr
        indices = draw(args.batch)
        x = standardise(augment(crops[indices], rng)).contiguous(memory_format=torch.channels_last)
        model.train()
        wanted = torch.from_numpy(there[indices]).to(device)
        loss = functional.cross_entropy(model(x.to(device)), wanted, label_smoothing=0.02)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update_parameters(model)
        window.append(loss.item())
        if (step + 1) % args.log_every == 0 or step + 1 == args.steps:
            spent = (time.monotonic() - started) / 60
            text = f"step {step + 1}/{args.steps} loss {np.mean(window):.4f}, {spent:.1f} min"
            print(text + (f", {verdict(model, *held)}" if held else ""), flush=True)
            window = []
    # The averaged weights need statistics of their own.
    final = average.module
    final.train()
    for module in final.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        for _ in range(50):
            final(standardise(augment(crops[draw(args.batch)], rng)).to(device))
    final.eval().cpu()
    if held:
        print(f"mean of the weights: {verdict(final, *held)}", flush=True)
    return final


def main(argv=None):
    """Command line of ``python3 -m train verifier``."""
    parser = argparse.ArgumentParser(prog="train verifier", description="train the second look on crops")
    parser.add_argument("--crops", nargs="+", required=True, help="folders made by hanja-model crops")
    parser.add_argument("--val", help="one more, by other writers, to watch")
    parser.add_argument("--out", required=True, help="ONNX file to write; the checkpoint goes beside it")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--share-none", type=float, default=0.5, help="share of what is no numeral")
    parser.add_argument("--calibration", type=float, nargs=2, default=(0.0, 1.0), metavar=("OFFSET", "SLOPE"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto: the GPU if there is one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--log-every", type=int, default=500)
    args = parser.parse_args(argv)
    model = fit(args)
    torch.save({"width": args.width, "model": model.state_dict()}, Path(args.out).with_suffix(".pt"))
    export(model, args.out, args.calibration)
    print(json.dumps({"out": args.out, "bytes": os.path.getsize(args.out)}))
