"""From an exported ONNX file back to a network that can be trained on, for `fit --init hanja-n.onnx`.

The file holds what a checkpoint does, but for batch normalisation, which export folded into the convolutions: it is
unfolded again, by letting real pictures through and taking their statistics. The result computes what the file does,
and is normalised as training wants it.
"""
import torch
from torch import nn

from .model import ANCHORS_PER_LEVEL, STRIDES, Conv

ANCHOR_SHAPE = (1, ANCHORS_PER_LEVEL, 1, 1, 2)


def load(path):
    """The ONNX model of a file; weights that are only stored in fp16 (``hanja-model half --storage``) are f32 again."""
    import onnx  # training from a checkpoint or from nothing does without
    from onnx import numpy_helper

    model = onnx.load(path)
    stored = {t.name: t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    for node in list(model.graph.node):
        if node.op_type == "Cast" and node.input[0] in stored:
            tensor = stored[node.input[0]]
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), node.output[0]))
            model.graph.node.remove(node)
    return model


def read(path):
    """(tensors by name, anchors [level, anchor, (width, height)] in pixels) of a file written by export.py."""
    from onnx import numpy_helper

    tensors = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in load(path).graph.initializer}
    # They come in the order of the levels; the exporter gives constants names of its own.
    anchors = [t for t in tensors.values() if tuple(t.shape) == ANCHOR_SHAPE]
    if len(anchors) != len(STRIDES):
        raise SystemExit(f"{path} was not written by 'train export': it has {len(anchors)} sets of anchors")
    return tensors, torch.cat(anchors).view(len(STRIDES), ANCHORS_PER_LEVEL, 2)


def load_exported(model, path):
    """Give `model`, a fresh Yolo, the file's weights; `unfold` must be called afterwards."""
    tensors, anchors = read(path)
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if weight is None or bias is None or weight.shape != module.weight.shape:
            found = "nothing" if weight is None else f"{list(weight.shape)}"
            wanted = list(module.weight.shape)
            raise SystemExit(f"{path}: {name} is {found}, {wanted} is wanted; was it trained with another --width?")
        with torch.no_grad():
            module.weight.copy_(weight)
            if module.bias is not None:
                module.bias.copy_(bias)
    for name, module in model.named_modules():
        if isinstance(module, Conv):
            with torch.no_grad():
                module.bn.bias.copy_(tensors[f"{name}.conv.bias"])
    model.detect.anchors.copy_(anchors)


def unfold(model, pixels):
    """Batch normalisation that changes nothing on `pixels` [batch, 3, height, width]: the file's bias is in its bias.

    Each one gets the mean and deviation that reach it as its statistics, and their inverse as its factors, so what
    comes out is what the folded convolution gave. In order, since each sees what those before it let through.
    """

    def adopt(bn, inputs):
        (x,) = inputs
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        bn.running_mean.copy_(mean)
        bn.running_var.copy_(variance)
        bn.weight.data.copy_((variance + bn.eps).sqrt())
        bn.bias.data.add_(mean)

    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    handles = [bn.register_forward_pre_hook(adopt) for bn in norms]
    training = model.training
    model.eval()
    with torch.no_grad():
        model.features(pixels)
    for handle in handles:
        handle.remove()
    model.train(training)
