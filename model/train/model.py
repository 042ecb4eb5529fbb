"""YOLOv5 (v6/v7) written out: 6x6 stem, C3 backbone, SPPF, PANet neck, three anchors at three strides.

The layers are the published ones; only the width and depth multiples are free. The network is small enough
to be read top to bottom, which is why it is not built from a configuration file.
"""
import math

import torch
from torch import nn

STRIDES = (8, 16, 32)
"""Input pixels per cell of the three output maps."""

ANCHORS_PER_LEVEL = 3

DEFAULT_ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""YOLOv5's COCO anchors (width, height in input pixels at 640); training replaces them (anchors.py)."""


def scaled_width(channels, width):
    """Channel count of the full network times `width`, rounded up to a multiple of 8."""
    return max(8, math.ceil(channels * width / 8) * 8)


class Conv(nn.Module):
    """Convolution without bias, batch normalisation, SiLU."""

    def __init__(self, c_in, c_out, kernel=1, stride=1, padding=None):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """1x1 then 3x3 convolution, with a skip connection if asked for."""

    def __init__(self, channels, shortcut):
        super().__init__()
        self.cv1 = Conv(channels, channels, 1)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Cross-stage partial block: half of the channels pass `repeats` bottlenecks, half go straight."""

    def __init__(self, c_in, c_out, repeats, shortcut=True):
        super().__init__()
        hidden = c_out // 2
        self.cv1 = Conv(c_in, hidden, 1)
        self.cv2 = Conv(c_in, hidden, 1)
        self.cv3 = Conv(2 * hidden, c_out, 1)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(repeats)))

    def forward(self, x):
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling: three 5x5 max-pools in a row see 5, 9 and 13 cells."""

    def __init__(self, c_in, c_out):
        super().__init__()
        self.cv1 = Conv(c_in, c_in // 2, 1)
        self.cv2 = Conv(c_in * 2, c_out, 1)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x):
        x = self.cv1(x)
        y1 = self.pool(x)
        y2 = self.pool(y1)
        return self.cv2(torch.cat((x, y1, y2, self.pool(y2)), 1))


class Detect(nn.Module):
    """Three 1x1 convolutions to raw predictions, and their decoding to boxes in input pixels."""

    def __init__(self, classes, channels):
        super().__init__()
        self.outputs = 5 + classes
        self.margin = 0.0  # pixels by which decoded boxes grow on every side; set at export (README, "Box margin")
        self.m = nn.ModuleList(nn.Conv2d(c, self.outputs * ANCHORS_PER_LEVEL, 1) for c in channels)
        self.register_buffer("anchors", torch.tensor(DEFAULT_ANCHORS, dtype=torch.float32))
        self._prior_bias(classes)

    def _prior_bias(self, classes):
        """Start from rare objects (about 8 in a 640-pixel image) and even classes, or early steps are wasted."""
        for conv, stride in zip(self.m, STRIDES):
            bias = conv.bias.detach().view(ANCHORS_PER_LEVEL, -1)
            bias[:, 4] += math.log(8 / (640 / stride) ** 2)
            bias[:, 5:] += math.log(0.6 / (classes - 0.99999))

    def forward(self, features):
        """Raw maps: for each level [batch, anchor, row, column, x y w h obj classes...], before the sigmoid."""
        maps = []
        for conv, x in zip(self.m, features):
            x = conv(x)
            b, _, h, w = x.shape
            maps.append(x.view(b, ANCHORS_PER_LEVEL, self.outputs, h, w).permute(0, 1, 3, 4, 2).contiguous())
        return maps

    def decode(self, maps):
        """[batch, n, 5 + classes]: centre x, centre y, width, height in input pixels, then sigmoid scores.

        x and y are done apart so that the exported graph needs two Range nodes a level and no mesh grid.
        """
        out = []
        for level, (raw, stride) in enumerate(zip(maps, STRIDES)):
            b, _, h, w, _ = raw.shape
            p = raw.sigmoid()
            columns = torch.arange(w, device=raw.device).to(raw.dtype).view(1, 1, 1, -1, 1)
            rows = torch.arange(h, device=raw.device).to(raw.dtype).view(1, 1, -1, 1, 1)
            x = (p[..., 0:1] * 2 - 0.5 + columns) * stride
            y = (p[..., 1:2] * 2 - 0.5 + rows) * stride
            wh = (p[..., 2:4] * 2) ** 2 * self.anchors[level].view(1, ANCHORS_PER_LEVEL, 1, 1, 2)
            if self.margin:
                wh = wh + 2 * self.margin
            out.append(torch.cat((x, y, wh, p[..., 4:]), -1).view(b, -1, self.outputs))
        return torch.cat(out, 1)


class Yolo(nn.Module):
    """The whole network. Input [batch, 3, height, width], RGB in 0..1, height and width multiples of 32."""

    def __init__(self, classes=10, width=0.125, depth=0.33):
        super().__init__()
        self.config = {"classes": classes, "width": width, "depth": depth}
        c64, c128, c256, c512, c1024 = (scaled_width(c, width) for c in (64, 128, 256, 512, 1024))

        def times(repeats):
            return max(1, round(repeats * depth))

        self.stem = Conv(3, c64, 6, 2, 2)
        self.down2 = Conv(c64, c128, 3, 2)
        self.stage2 = C3(c128, c128, times(3))
        self.down3 = Conv(c128, c256, 3, 2)
        self.stage3 = C3(c256, c256, times(6))
        self.down4 = Conv(c256, c512, 3, 2)
        self.stage4 = C3(c512, c512, times(9))
        self.down5 = Conv(c512, c1024, 3, 2)
        self.stage5 = C3(c1024, c1024, times(3))
        self.sppf = SPPF(c1024, c1024)

        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.lateral5 = Conv(c1024, c512, 1)
        self.fuse4 = C3(c512 * 2, c512, times(3), shortcut=False)
        self.lateral4 = Conv(c512, c256, 1)
        self.fuse3 = C3(c256 * 2, c256, times(3), shortcut=False)
        self.pan3 = Conv(c256, c256, 3, 2)
        self.pan4 = C3(c256 * 2, c512, times(3), shortcut=False)
        self.pan4_down = Conv(c512, c512, 3, 2)
        self.pan5 = C3(c512 * 2, c1024, times(3), shortcut=False)
        self.detect = Detect(classes, (c256, c512, c1024))

    def features(self, x):
        """The three input maps of the head, at strides 8, 16 and 32."""
        p3 = self.stage3(self.down3(self.stage2(self.down2(self.stem(x)))))
        p4 = self.stage4(self.down4(p3))
        p5 = self.lateral5(self.sppf(self.stage5(self.down5(p4))))
        n4 = self.lateral4(self.fuse4(torch.cat((self.up(p5), p4), 1)))
        out3 = self.fuse3(torch.cat((self.up(n4), p3), 1))
        out4 = self.pan4(torch.cat((self.pan3(out3), n4), 1))
        out5 = self.pan5(torch.cat((self.pan4_down(out4), p5), 1))
        return out3, out4, out5

    def forward(self, x):
        """Raw maps while training, decoded predictions in evaluation mode (see Detect)."""
        maps = self.detect(self.features(x))
        return maps if self.training else self.detect.decode(maps)


def fold_batch_norm(model):
    """Merge every batch normalisation into its convolution, in place; the model must be in evaluation mode."""
    for module in model.modules():
        if isinstance(module, Conv):
            module.conv = nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    return model


def load_model(path, weights="ema"):
    """The network of a checkpoint written by train.py, in evaluation mode; `weights` is "ema" or "model"."""
    checkpoint = torch.load(path, map_location="cpu")
    model = Yolo(**checkpoint["config"])
    model.load_state_dict(checkpoint[weights])
    return model.eval()
