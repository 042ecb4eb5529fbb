"""Two stages of one network to one: the mean of their weights.

A second stage learns the new pictures and forgets a little of what the first could do elsewhere. Half-way between the
two sets of weights often lies a network that keeps both ("Robust fine-tuning of zero-shot models", Wortsman et al.,
CVPR 2022). It works only for stages that grew out of one another; the score says whether it did.
"""
import argparse

import torch


def mix(first, second, share):
    """Weights between two state dictionaries, `share` of the way from the first to the second.

    Anchors are sizes, and answers are factors of them: their logarithms are mixed. Counters are the second's.
    """
    mixed = {}
    for name, value in second.items():
        other = first[name]
        if not value.dtype.is_floating_point:
            mixed[name] = value
        elif name.endswith("anchors"):
            mixed[name] = torch.exp((1 - share) * other.log() + share * value.log())
        else:
            mixed[name] = (1 - share) * other + share * value
    return mixed


def main(argv=None):
    """Command line of ``python3 -m train average``."""
    parser = argparse.ArgumentParser(prog="train average", description="mix the weights of two stages of a network")
    parser.add_argument("--checkpoints", required=True, nargs=2, help="last.pt of the earlier and of the later stage")
    parser.add_argument("--share", type=float, default=0.5, help="0 is the first, 1 the second")
    parser.add_argument("--out", required=True, help="checkpoint for fit --init, eval and export")
    args = parser.parse_args(argv)
    first, second = (torch.load(path, map_location="cpu") for path in args.checkpoints)
    if first["config"] != second["config"]:
        raise SystemExit(f"{args.checkpoints[1]} is another network ({second['config']}) than {args.checkpoints[0]}")
    torch.save({**second, "ema": mix(first["ema"], second["ema"], args.share)}, args.out)
