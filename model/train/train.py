"""The training loop: AdamW, warm-up and cosine schedule, moving average of the weights, resumable anywhere."""
import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import NAMES, anchors
from .data import Batches, Cache, prefetch
from .evaluate import line, score
from .exported import load_exported, unfold
from .exported import read as read_exported
from .loss import BOX_GAIN, Loss
from .model import Yolo
from .runlog import Log, plot


UNFOLDING_BATCHES = 8
"""Batches whose statistics stand in for those that an exported file has lost."""


class Average:
    """Exponential moving average of a model's weights; the averaged model is what gets exported."""

    def __init__(self, model, decay=0.999, ramp=200):
        self.model = copy.deepcopy(model).eval()
        self.decay, self.ramp = decay, ramp
        for p in self.model.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model, step):
        """Move towards `model`; early steps move further, since the first weights are worth little."""
        keep = self.decay * (1 - math.exp(-(step + 1) / self.ramp))
        current = model.state_dict()
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                value.mul_(keep).add_(current[name], alpha=1 - keep)
            else:
                value.copy_(current[name])


def pick_device(name):
    """The device of that name; for "auto" the GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def as_pixels(images, device="cpu"):
    """Pictures u8 [batch, height, width, 3] as the network wants them: f32 [batch, 3, height, width], 0..1."""
    # Seen as [batch, 3, height, width] this is the channels-last layout already.
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div_(255)


def make_optimizer(model, lr, decay):
    """AdamW; biases and normalisation weights are not decayed."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))


def learning_rate(step, steps, peak, warmup, final=0.01):
    """Linear warm-up to `peak`, then half a cosine down to `final` * peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Trainer:
    """One run in one folder; everything that changes is in the checkpoint."""

    def __init__(self, args, cache, fitted):
        self.args = args
        self.device = pick_device(args.device)
        self.started = time.monotonic()
        self.spent = 0.0
        self.step = 0
        self.model = Yolo(len(NAMES), args.width, args.depth).to(memory_format=torch.channels_last)
        self.batches = Batches(cache, args)
        if args.init:
            self.start_from(args.init)
        self.model.detect.anchors.copy_(torch.from_numpy(fitted))
        self.model.to(self.device)
        self.average = Average(self.model)
        self.optimizer = make_optimizer(self.model, args.lr, args.weight_decay)
        self.loss = Loss(self.model.detect.anchors, len(NAMES), args.box_gain)

    def start_from(self, path):
        """Take over the weights of a checkpoint or of an exported file."""
        if not path.endswith(".onnx"):
            self.model.load_state_dict(torch.load(path, map_location="cpu")["ema"])
            return
        load_exported(self.model, path)
        images = [self.batches.make(step)[0] for step in range(UNFOLDING_BATCHES)]
        unfold(self.model, as_pixels(np.concatenate(images)))

    def seconds(self):
        """Training time so far, over all sessions of the run."""
        return self.spent + time.monotonic() - self.started

    def save(self, path):
        """Write the checkpoint beside `path`, then rename: a kill leaves the old one or the new one."""
        state = {
            "config": self.model.config,
            "model": self.model.state_dict(),
            "ema": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "step": self.step,
            "seconds": self.seconds(),
            "args": vars(self.args),
            "names": list(NAMES),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path):
        """Continue from a checkpoint; its schedule must be the one asked for now."""
        state = torch.load(path, map_location="cpu")
        for key in ("steps", "batch", "size", "final_size", "seed", "lr", "width", "depth"):
            before = state["args"].get(key)
            if before != getattr(self.args, key):
                option = key.replace("_", "-")
                raise SystemExit(f"{path} was trained with --{option} {before}; give the same, or start in another folder")
        self.model.load_state_dict(state["model"])
        self.loss = Loss(self.model.detect.anchors, len(NAMES), self.args.box_gain)
        self.average.model.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["torch_rng"])
        self.step, self.spent = state["step"], state["seconds"]

    def train_step(self, images, labels):
        """One batch; returns the weighted loss parts (box, objectness, class)."""
        lr = learning_rate(self.step, self.args.steps, self.args.lr, self.args.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        pixels = as_pixels(images, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.bf16):
            features = self.model.features(pixels)
        # Boxes and scores stay f32: eight bits would round a centre to a thirtieth of a cell.
        maps = self.model.detect([feature.float() for feature in features])
        total, parts = self.loss(maps, torch.from_numpy(labels).to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        (total * self.args.batch).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.average.update(self.model, self.step)
        self.step += 1
        return parts.cpu().numpy(), lr


def is_milestone(step, steps, count):
    """Whether `step` is the first past one of `count` equal parts of `steps`; the last step always is."""
    return step * count // steps > (step - 1) * count // steps


def measure_steps(args, cache, fitted):
    """How many steps fit into --time-budget: a few real steps of a throw-away trainer, then arithmetic."""
    trial = Trainer(args, cache, fitted)
    for step in range(2):
        trial.train_step(*trial.batches.make(step))
    start = time.monotonic()
    for step in range(2, 8):
        trial.train_step(*trial.batches.make(step))
    per_step = (time.monotonic() - start) / 6
    steps = max(100, int(args.time_budget * 60 / per_step))
    print(f"{1e3 * per_step / args.batch:.1f} ms an image: {steps} steps in {args.time_budget} minutes", flush=True)
    return steps


def report(trainer, log, window, ms_per_image, lr, result):
    """One row in the log and one line on the screen: the mean of the `window` of loss parts, and a score if any."""
    args, mean = trainer.args, np.mean(window, 0)
    log.write(
        {
            "step": trainer.step,
            "images": trainer.step * args.batch,
            "minutes": f"{trainer.seconds() / 60:.2f}",
            "lr": f"{lr:.3e}",
            "loss": f"{mean.sum():.5f}",
            "box": f"{mean[0]:.5f}",
            "objectness": f"{mean[1]:.5f}",
            "class": f"{mean[2]:.5f}",
            "ms_per_image": f"{ms_per_image:.1f}",
            "map50": f"{result['map50']:.4f}" if result else "",
            "map50_95": f"{result['map50_95']:.4f}" if result else "",
        }
    )
    left = (args.steps - trainer.step) * args.batch * ms_per_image / 6e4
    print(
        f"step {trainer.step}/{args.steps} loss {mean.sum():.4f} = box {mean[0]:.4f} + obj {mean[1]:.4f}"
        f" + cls {mean[2]:.4f}, lr {lr:.1e}, {ms_per_image:.1f} ms/image, {left:.0f} min left",
        flush=True,
    )


def run(trainer, out):
    """From the trainer's step to the last one: logs, validates and saves on the way."""
    args = trainer.args
    log = Log(out / "log.csv", trainer.step)
    saved_at = window_at = time.monotonic()
    window = []
    for images, labels in prefetch(trainer.batches, trainer.step, args.steps):
        parts, lr = trainer.train_step(images, labels)
        window.append(parts)
        if not np.isfinite(parts).all():
            raise SystemExit(f"the loss is not finite at step {trainer.step}: lower --lr and resume from last.pt")
        validate = is_milestone(trainer.step, args.steps, args.validations)
        if trainer.step % args.log_every == 0 or validate:
            ms_per_image = 1e3 * (time.monotonic() - window_at) / (len(window) * args.batch)
            result = None
            if validate and args.val:
                result = score(trainer.average.model, args.val, args.final_size, limit=args.val_limit)
                print(line("validation", args.final_size, result), flush=True)
            report(trainer, log, window, ms_per_image, lr, result)
            window, window_at = [], time.monotonic()
        if time.monotonic() - saved_at > args.save_minutes * 60 or validate:
            trainer.save(out / "last.pt")
            saved_at = time.monotonic()
    trainer.save(out / "last.pt")
    plot([out / "log.csv"], out / "log.png")


def parse(argv):
    """Command line of ``python3 -m train fit``."""
    parser = argparse.ArgumentParser(prog="train fit", description="train on a YOLO data set")
    parser.add_argument(
        "--data", required=True, nargs="+", help="training sets: folders with images/ and labels/, all used alike"
    )
    parser.add_argument("--val", help="validation set, of the same form")
    parser.add_argument("--run", required=True, help="folder of the run; an existing last.pt in it is resumed")
    parser.add_argument("--cache", help="folder for decoded pictures (default: RUN/cache)")
    parser.add_argument("--init", help="checkpoint (its averaged weights) or exported .onnx to start from")
    parser.add_argument(
        "--refit-anchors", action="store_true", help="fit anchors to the data although those of --init reach its labels"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, default=5700)
    length.add_argument("--time-budget", type=float, metavar="MINUTES", help="choose --steps to fit, by measuring")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=320, help="side of the square training pictures")
    parser.add_argument("--final-size", type=int, help="the same for the last steps (default: --size)")
    parser.add_argument("--stored-size", type=int, default=416, help="side at which the pictures of the set are kept")
    parser.add_argument(
        "--bf16", action="store_true", help="compute in bfloat16: 1.5 times faster with torch 2 and AVX512-BF16"
    )
    parser.add_argument("--width", type=float, default=0.125, help="YOLOv5n is 0.25")
    parser.add_argument("--depth", type=float, default=0.33)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--warmup", type=int, default=150, help="steps")
    parser.add_argument("--box-gain", type=float, default=BOX_GAIN, help="weight of the box loss")
    parser.add_argument("--mosaic", type=float, default=0.6, help="share of mosaics at the start")
    parser.add_argument(
        "--zoom", type=float, nargs=2, default=(0.6, 2.5), metavar=("LOW", "HIGH"), help="enlargement of the pictures"
    )
    parser.add_argument("--label-margin", type=float, default=0.0, help="pixels to grow labels by, on every side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto: the GPU if there is one")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-minutes", type=float, default=2)
    parser.add_argument("--log-every", type=int, default=50, help="steps")
    parser.add_argument("--validations", type=int, default=9, help="how often to score the validation set")
    parser.add_argument("--val-limit", type=int, default=300, help="pictures of the validation set to score")
    args = parser.parse_args(argv)
    args.final_size = args.final_size or args.size
    return args


def starting_anchors(args, sizes):
    """Those of --init as long as they reach the labels: its weights are factors of them. Else fitted to `sizes`."""
    if args.init and not args.refit_anchors:
        if args.init.endswith(".onnx"):
            known = read_exported(args.init)[1]
        else:
            known = torch.load(args.init, map_location="cpu")["ema"]["detect.anchors"]
        if anchors.recall(sizes, known.numpy().reshape(-1, 2)) >= anchors.ENOUGH:
            return known.numpy()
    return anchors.fit(sizes, args.seed)


def main(argv=None):
    """Train, or go on with a run that was cut off."""
    args = parse(argv)
    out = Path(args.run)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    start = time.monotonic()
    cache = Cache(args.data, args.stored_size, args.cache or out / "cache")
    # Anchors are matched to labels as augmented, not as drawn.
    sizes = Batches(cache, args).sizes()
    fitted = starting_anchors(args, sizes)
    fit_share = anchors.recall(sizes, fitted.reshape(-1, 2))
    print(f"{len(cache)} pictures ready in {time.monotonic() - start:.0f} s", flush=True)
    print(f"label sizes, long side: {np.percentile(sizes.max(1), (5, 25, 50, 75, 95)).round()} px", flush=True)
    print(f"anchors {fitted.round(1).tolist()}, within reach of {100 * fit_share:.1f} % of labels", flush=True)
    checkpoint = out / "last.pt"
    if args.time_budget and checkpoint.exists():
        args.steps = torch.load(checkpoint)["args"]["steps"]
    elif args.time_budget:
        args.steps = measure_steps(args, cache, fitted)
        torch.manual_seed(args.seed)
    trainer = Trainer(args, cache, fitted)
    if checkpoint.exists():
        trainer.load(checkpoint)
        print(f"resuming at step {trainer.step}", flush=True)
    (out / "args.json").write_text(json.dumps(vars(args), indent=1) + "\n")
    run(trainer, out)
    print(f"done: {trainer.step} steps in {trainer.seconds() / 60:.1f} minutes", flush=True)
