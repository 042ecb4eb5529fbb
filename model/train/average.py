"""Two stages of one network to one: the mean of their weights.

A second stage learns the new pictures and forgets a little of what the first could do elsewhere. Half-way between the
two sets of weights often lies a network that keeps both ("Robust fine-tuning of zero-shot models", Wortsman et al.,
CVPR 2022). It works only for stages that grew out of one another; the score says whether it did.
"""
import argparse

import numpy as np
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


def mix_exported(first, second, share):
    """The same for two exported files, whose weights have batch normalisation in them: the second, mixed in place."""
    from onnx import numpy_helper

    from .exported import ANCHOR_SHAPE

    before = {t.name: numpy_helper.to_array(t) for t in first.graph.initializer}
    # Exporters name constants as they please; anchors come in the order of the levels.
    anchors = iter([value for value in before.values() if value.shape == ANCHOR_SHAPE])
    for tensor in second.graph.initializer:
        value, other = numpy_helper.to_array(tensor), before.get(tensor.name)
        if value.shape == ANCHOR_SHAPE:
            other = next(anchors, None)
        elif not tensor.name.endswith((".weight", ".bias")):
            continue
        if other is None or other.shape != value.shape:
            raise SystemExit(f"the two are not stages of one network: {tensor.name} differs")
        if value.shape == ANCHOR_SHAPE:
            mixed = np.exp((1 - share) * np.log(other) + share * np.log(value))
        elif value.dtype == np.float32:
            mixed = (1 - share) * other + share * value
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(mixed.astype(value.dtype), tensor.name))
    return second


def main(argv=None):
    """Command line of ``python3 -m train average``."""
    parser = argparse.ArgumentParser(prog="train average", description="mix the weights of two stages of a network")
    parser.add_argument(
        "--checkpoints", required=True, nargs=2, help="last.pt, or exported .onnx, of the earlier and of the later stage"
    )
    parser.add_argument("--share", type=float, default=0.5, help="0 is the first, 1 the second")
    parser.add_argument("--out", required=True, help="checkpoint for fit --init, eval and export; or .onnx")
    args = parser.parse_args(argv)
    if all(path.endswith(".onnx") for path in (*args.checkpoints, args.out)):
        import onnx

        from .exported import load

        first, second = (load(path) for path in args.checkpoints)
        onnx.save(mix_exported(first, second, args.share), args.out)
        return
    first, second = (torch.load(path, map_location="cpu") for path in args.checkpoints)
    if first["config"] != second["config"]:
        raise SystemExit(f"{args.checkpoints[1]} is another network ({second['config']}) than {args.checkpoints[0]}")
    torch.save({**second, "ema": mix(first["ema"], second["ema"], args.share)}, args.out)
