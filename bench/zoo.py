"""The usual convolutional networks, small and with random weights, to be exported by other tools: what their graphs are
made of is what counts here."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(i: int, o: int, k: int = 3, s: int = 1, g: int = 1, act: nn.Module | None = None) -> nn.Sequential:
    """Convolution, batch norm with statistics that are not the fresh ones, activation."""
    norm = nn.BatchNorm2d(o)
    nn.init.uniform_(norm.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
    nn.init.uniform_(norm.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), norm, act or nn.ReLU())


def alexnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 11, 4, 2), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2), nn.Conv2d(16, 32, 5, 1, 2),
        nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2), nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(32, 64), nn.ReLU(), nn.Dropout(),
        nn.Linear(64, 10))


def vgg() -> nn.Module:
    parts: list[nn.Module] = []
    for i, o in ((3, 16), (16, 32), (32, 64)):
        parts += [nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Dropout(),
                         nn.Linear(64, 10))


class Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None, after: nn.Module | None = None):
        super().__init__()
        self.body, self.shortcut, self.after = body, shortcut or nn.Identity(), after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.after(self.body(x) + self.shortcut(x))
        return y


def head(channels: int, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def resnet() -> nn.Module:
    def block(i: int, o: int, s: int) -> nn.Module:
        skip = None if i == o and s == 1 else conv(i, o, 1, s, act=nn.Identity())
        return Residual(nn.Sequential(conv(i, o, 3, s), conv(o, o, act=nn.Identity())), skip, nn.ReLU())

    return nn.Sequential(conv(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1), block(16, 16, 1), block(16, 32, 2),
                         block(32, 64, 2), head(64))


def resnext() -> nn.Module:
    def block(i: int, o: int, s: int) -> nn.Module:
        body = nn.Sequential(conv(i, o // 2, 1), conv(o // 2, o // 2, 3, s, 4), conv(o // 2, o, 1, act=nn.Identity()))
        return Residual(body, conv(i, o, 1, s, act=nn.Identity()), nn.ReLU())

    return nn.Sequential(conv(3, 16, 3, 2), block(16, 32, 1), block(32, 64, 2), head(64))


class DenseLayer(nn.Module):
    def __init__(self, i: int, growth: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(i)
        self.conv = nn.Conv2d(i, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


def densenet() -> nn.Module:
    return nn.Sequential(conv(3, 16, 3, 2), DenseLayer(16, 8), DenseLayer(24, 8), nn.BatchNorm2d(32), nn.ReLU(),
                         nn.Conv2d(32, 16, 1), nn.AvgPool2d(2), DenseLayer(16, 8), DenseLayer(24, 8), head(32))


class Branches(nn.Module):
    def __init__(self, *ways: nn.Module):
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.ways], 1)


def inception() -> nn.Module:
    def block(i: int) -> nn.Module:
        return Branches(conv(i, 8, 1), nn.Sequential(conv(i, 8, 1), conv(8, 16)), nn.Sequential(conv(i, 4, 1),
                        conv(4, 8, 5)), nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(i, 8, 1)))

    return nn.Sequential(conv(3, 16, 7, 2), nn.MaxPool2d(3, 2, ceil_mode=True), block(16), block(40),
                         nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Dropout(), head(40))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, gate: nn.Module):
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1), gate

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))
        return y


def _inverted(i: int, o: int, s: int, act: Callable[[], nn.Module], squeeze: nn.Module | None = None) -> nn.Module:
    wide = 4 * i
    body = nn.Sequential(conv(i, wide, 1, act=act()), conv(wide, wide, 3, s, wide, act()), squeeze or nn.Identity(),
                         conv(wide, o, 1, act=nn.Identity()))
    return Residual(body) if i == o and s == 1 else body


def mobilenet_v2() -> nn.Module:
    return nn.Sequential(conv(3, 16, 3, 2, act=nn.ReLU6()), _inverted(16, 16, 1, nn.ReLU6),
                         _inverted(16, 24, 2, nn.ReLU6), _inverted(24, 24, 1, nn.ReLU6), head(24))


def mobilenet_v3() -> nn.Module:
    return nn.Sequential(
        conv(3, 16, 3, 2, act=nn.Hardswish()),
        _inverted(16, 16, 1, nn.ReLU, SqueezeExcite(64, nn.Hardsigmoid())),
        _inverted(16, 24, 2, nn.Hardswish, SqueezeExcite(64, nn.Hardsigmoid())), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(24, 32), nn.Hardswish(), nn.Linear(32, 10))


class Shuffle(nn.Module):
    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class Split(nn.Module):
    def __init__(self, half: int):
        super().__init__()
        self.body = nn.Sequential(conv(half, half, 1), conv(half, half, 3, 1, half, nn.Identity()), conv(half, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return torch.cat([a, self.body(b)], 1)


def shufflenet() -> nn.Module:
    return nn.Sequential(conv(3, 16, 3, 2), nn.MaxPool2d(3, 2, 1), Split(8), Shuffle(2), Split(8), Shuffle(2),
                         conv(16, 32, 1), head(32))


def squeezenet() -> nn.Module:
    def fire(i: int, s: int, e: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(i, s, 1), nn.ReLU(), Branches(nn.Sequential(nn.Conv2d(s, e, 1), nn.ReLU()),
                             nn.Sequential(nn.Conv2d(s, e, 3, padding=1), nn.ReLU())))

    return nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), fire(16, 4, 16),
                         fire(32, 4, 16), nn.Dropout(), nn.Conv2d(32, 10, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten())


def efficientnet() -> nn.Module:
    return nn.Sequential(conv(3, 16, 3, 2, act=nn.SiLU()),
                         _inverted(16, 16, 1, nn.SiLU, SqueezeExcite(64, nn.Sigmoid())),
                         _inverted(16, 24, 2, nn.SiLU, SqueezeExcite(64, nn.Sigmoid())), conv(24, 48, 1, act=nn.SiLU()),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(48, 10))


class NextBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.rand(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.narrow(F.gelu(self.wide(y))).permute(0, 3, 1, 2)
        return x + self.scale * y


def convnext() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 4, 4), NextBlock(16), NextBlock(16), nn.Conv2d(16, 32, 2, 2), NextBlock(32),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.LayerNorm(32), nn.Linear(32, 10))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(3, 8), conv(8, 16), conv(16, 16)
        self.up, self.d, self.last = nn.ConvTranspose2d(16, 16, 2, 2), conv(32, 16), conv(24, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(F.max_pool2d(a, 2))
        c = self.d(torch.cat([self.up(self.c(F.max_pool2d(b, 2))), b], 1))
        c = F.interpolate(c, scale_factor=2.0, mode="bilinear", align_corners=False)
        y: Tensor = self.out(self.last(torch.cat([c, a], 1))).softmax(1)
        return y


class Yolo(nn.Module):
    """Two scales, a pool pyramid, upsampling, boxes decoded on a grid, as in the YOLO family from v5 on."""

    def __init__(self, classes: int = 4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 6, 2, 2), nn.SiLU())
        self.down = conv(16, 32, 3, 2, act=nn.SiLU())
        self.pyramid = conv(128, 32, 1, act=nn.SiLU())
        self.small = conv(48, 32, act=nn.SiLU())
        self.heads = nn.ModuleList(nn.Conv2d(32, 3 * (5 + classes), 1) for _ in range(2))
        self.register_buffer("anchors", torch.rand(2, 1, 3, 1, 1, 2) * 20 + 4)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.stem(x)
        y = self.down(fine)
        pools = [y]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        deep = self.pyramid(torch.cat(pools, 1))
        up = F.interpolate(deep, scale_factor=2.0, mode="nearest")
        fine = self.small(torch.cat([up, fine], 1))
        rows = []
        for k, (one, layer, stride) in enumerate(zip((fine, deep), self.heads, (2, 4), strict=True)):
            n, _, h, w = one.shape
            z = layer(one).view(n, 3, -1, h, w).permute(0, 1, 3, 4, 2).sigmoid()
            ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            grid = torch.stack((xs, ys), -1).view(1, 1, h, w, 2).to(z.dtype)
            at = (z[..., :2] * 2 - 0.5 + grid) * stride
            size = (z[..., 2:4] * 2) ** 2 * self.anchors[k]  # type: ignore[index]
            rows.append(torch.cat((at, size, z[..., 4:]), -1).reshape(n, -1, z.shape[-1]))
        return torch.cat(rows, 1)


class PNet(nn.Module):
    """The first stage of MTCNN: PReLU, no padding, a pool that rounds up, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 10, 3), nn.PReLU(10), nn.MaxPool2d(2, 2, ceil_mode=True),
                                  nn.Conv2d(10, 16, 3), nn.PReLU(16), nn.Conv2d(16, 32, 3), nn.PReLU(32))
        self.face, self.box = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.body(x)
        return self.face(y).softmax(1), self.box(y)


class Recurrent(nn.Module):
    """A reader of lines of text: convolutions, a bidirectional LSTM or GRU along the columns, a class a column."""

    def __init__(self, kind: type[nn.Module] = nn.LSTM):
        super().__init__()
        self.body = nn.Sequential(conv(3, 16), nn.MaxPool2d(2), conv(16, 32), nn.MaxPool2d((2, 1)), conv(32, 32))
        self.rnn = kind(32, 16, num_layers=2, bidirectional=True, batch_first=True)
        self.last = nn.Linear(32, 12)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).mean(2).permute(0, 2, 1)
        return F.log_softmax(self.last(self.rnn(y)[0]), 2)


class Transformer(nn.Module):
    """A vision transformer: patches, positions, attention written out, GELU, layer norms."""

    def __init__(self, width: int = 32, heads: int = 4):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.positions, self.first = nn.Parameter(torch.randn(1, 65, width)), nn.Parameter(torch.randn(1, 1, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.last, self.heads = nn.Linear(width, 10), heads

    def forward(self, x: Tensor) -> Tensor:
        y = self.patches(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.first.expand(y.shape[0], -1, -1), y], 1) + self.positions
        n, t, d = y.shape
        q, k, v = self.qkv(self.norms[0](y)).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = y + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d))
        y = y + self.mlp(self.norms[1](y))
        z: Tensor = self.last(self.norms[2](y[:, 0]))
        return z


class SuperResolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 12, 3, padding=1),
                                  nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="bicubic", align_corners=False) + self.body(x)


class Segmenter(nn.Module):
    """Dilated convolutions at several rates and the mean of the picture, resized back: the head of DeepLab."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 16, 3, 2), conv(16, 16, 3, 2))
        self.ways = nn.ModuleList(nn.Conv2d(16, 8, 3, padding=r, dilation=r) for r in (1, 2, 4))
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.ReLU())
        self.out = nn.Conv2d(32, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        wide = F.interpolate(self.mean(y), y.shape[2:], mode="bilinear", align_corners=False)
        z = self.out(torch.cat([*(way(y) for way in self.ways), wide], 1))
        return F.interpolate(z, x.shape[2:], mode="bilinear", align_corners=True)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "AlexNet": alexnet, "VGG": vgg, "ResNet": resnet, "ResNeXt": resnext, "DenseNet": densenet, "Inception": inception,
    "MobileNet v2": mobilenet_v2, "MobileNet v3": mobilenet_v3, "ShuffleNet": shufflenet, "SqueezeNet": squeezenet,
    "EfficientNet": efficientnet, "ConvNeXt": convnext, "U-Net": UNet, "YOLO": Yolo, "MTCNN P-net": PNet,
    "CRNN (LSTM)": Recurrent, "CRNN (GRU)": lambda: Recurrent(nn.GRU), "ViT": Transformer,
    "super-resolution": SuperResolution, "DeepLab head": Segmenter,
}
SIDE = 64


def made(name: str) -> nn.Module:
    """A network with weights drawn from a fixed seed, in eval mode; it takes float32 (N, 3, 64, 64)."""
    torch.manual_seed(0)
    return NETWORKS[name]().eval()
