"""Convolution: what it is. The arithmetic for special shapes stands in engine/kernels."""

import numpy as np

from engine.arrays import Pads, crop, pad
from engine.core import Array, ShapeError, Vjp, op
from engine.geometry import Padding, Placement, Sizes, frame, pair, place, remembered
from engine.kernels import columns, depthwise, small, winograd
from engine.onnx_spec import Node, Situation


@remembered
def _conv_placement(x: tuple[int, ...], w: tuple[int, ...], stride: Sizes, padding: Padding, dilation: Sizes,
                    groups: int) -> Placement:
    if len(x) != 4 or len(w) != 4:
        raise ShapeError(f"conv2d takes images (N, C, H, W) and filters (F, C/groups, KH, KW), not {x} and {w}")
    if groups < 1 or x[1] % groups or w[0] % groups or w[1] * groups != x[1]:
        raise ShapeError(f"images {x} have {x[1]} channels, the filters {w} in {groups} group(s) want {w[1] * groups}"
                         + (f"; {w[0]} filters do not split into {groups}" if groups > 1 and w[0] % groups else ""))
    return place(x, w[2:], stride, padding, dilation)


def _spell_conv(s: Situation) -> Node:
    x, w = s.shapes[0], s.shapes[1]
    assert x is not None
    assert w is not None
    o = s.options
    groups = o.get("groups", 1)
    where = _conv_placement(x, w, o.get("stride", 1), o.get("padding", 0), o.get("dilation", 1), groups)
    return Node("Conv", attributes={**where.onnx, "group": groups})


@op(onnx=_spell_conv, selective=True)
def conv2d(
    x: Array, w: Array, b: Array | None = None, *,
    stride: Sizes = 1, padding: Padding = 0, dilation: Sizes = 1, groups: int = 1,
) -> tuple[Array, Vjp]:
    """The response of F filters at every place in a batch of images.

    x (N, C, H, W), w (F, C/groups, KH, KW), b (F,) -> (N, F, OH, OW)

        y[n,f,p,q] = b[f] + sum over c,i,j of w[f,c,i,j] * x[n, c, p*stride + i*dilation, q*stride + j*dilation]

    with x zero-padded first. The filter is not flipped (cross-correlation, as ONNX Conv and torch's conv2d). padding
    is also 'same', 'valid' or ((top, bottom), (left, right)). Rows past the last whole window are ignored. With
    `groups`, filter block k sees channel block k only. Raises ShapeError naming both shapes when C does not fit.

    >>> y, vjp = conv2d.rule(np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2)))
    >>> y[0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    >>> vjp(np.ones_like(y))[0][0, 0]          # how many windows each pixel was in
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    where = _conv_placement(x.shape, w.shape, stride, padding, dilation, groups)
    if b is not None and b.shape != w.shape[:1]:
        raise ShapeError(f"{w.shape[0]} filters {w.shape} take as many biases, not {b.shape}")
    if not x.size:
        y, back = _conv_of_nothing(x, w, b, where)
    elif small.fits(x, w, where, groups):  # so little arithmetic that the calls are what it costs
        y, back = small.conv(x, w, b, where)
    elif winograd.fits(x, w, where, groups):  # 3x3, many channels, float32: the one that rounds a little differently
        y, back = winograd.conv(x, w, b, where)
    elif depthwise.fits(x, w, where, groups):  # a filter a channel
        y, back = depthwise.conv(x, w, b, where)
    else:
        y, back = columns.conv(x, w, b, where, groups)
    if b is not None:
        return y, back
    return y, lambda g, needs=(True, True): back(g, (*needs[:2], False))[: len(needs)]


def _conv_of_nothing(x: Array, w: Array, b: Array | None, where: Placement) -> tuple[Array, Vjp]:
    """conv2d where there are no images (or no channels): the biases alone."""
    y = np.zeros((len(x), len(w), *where.out), np.result_type(x, w))
    if b is not None:
        y += b[:, None, None]

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        return np.zeros_like(x), np.zeros_like(w), g.sum(axis=(0, 2, 3)) if needs[2] else None

    return y, vjp


def _transposed_placement(
    x: tuple[int, ...], w: tuple[int, ...], stride: Sizes, padding: Padding, output_padding: Sizes, dilation: Sizes,
    groups: int,
) -> tuple[Placement, Pads]:
    """The convolution this is the way back of, on its padded image, and what to crop from that (negative: to add)."""
    if len(x) != 4 or len(w) != 4:
        raise ShapeError(f"conv_transpose2d takes (N, C, H, W) and filters (C, F/groups, KH, KW), not {x} and {w}")
    if groups < 1 or x[1] != w[0] or x[1] % groups:
        raise ShapeError(f"the filters {w} in {groups} group(s) take images of {w[0]} channels, not {x}")
    steps, gaps, more = pair(stride, "stride"), pair(dilation, "dilation"), pair(output_padding, "output_padding")
    if any(not 0 <= m < max(s, d) for m, s, d in zip(more, steps, gaps, strict=True)):
        raise ValueError(f"output_padding {more} must be smaller than stride {steps} or dilation {gaps}")
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x[2:], steps, gaps, w[2:], strict=True)]
    where = place(full, w[2:], steps, 0, gaps)
    (top, bottom), (left, right) = frame(padding)
    if full[0] + more[0] <= top + bottom or full[1] + more[1] <= left + right:
        raise ShapeError(f"padding {padding} leaves nothing of the {tuple(full)} pixels that {x} makes with {w}")
    return where, ((top, bottom - more[0]), (left, right - more[1]))


def _spell_conv_transpose(s: Situation) -> Node:
    x, w = s.shapes[0], s.shapes[1]
    assert x is not None
    assert w is not None
    o = s.options
    groups, more = o.get("groups", 1), pair(o.get("output_padding", 0), "output_padding")
    where, _ = _transposed_placement(x, w, o.get("stride", 1), o.get("padding", 0), more, o.get("dilation", 1), groups)
    (top, bottom), (left, right) = frame(o.get("padding", 0))
    pads = [top, left, bottom, right]
    attributes = {**where.onnx, "pads": pads, "group": groups, "output_padding": list(more)}
    return Node("ConvTranspose", attributes=attributes)


@op(onnx=_spell_conv_transpose, selective=True)
def conv_transpose2d(
    x: Array, w: Array, b: Array | None = None, *,
    stride: Sizes = 1, padding: Padding = 0, output_padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1,
) -> tuple[Array, Vjp]:
    """Every pixel paints its filter, scaled, into a larger image: the adjoint of conv2d, used to upsample.

    x (N, C, H, W), w (C, F/groups, KH, KW), b (F,) -> (N, F, OH, OW), OH = (H-1)*stride - 2*padding
    + dilation*(KH-1) + output_padding + 1

        y[n, f, p*stride + i*dilation - padding, q*stride + j*dilation - padding] += w[c,f,i,j] * x[n,c,p,q]

    `padding` takes rows *away*, and `output_padding` gives some back at the bottom and right, where several image sizes
    would have led to H (torch.nn.functional.conv_transpose2d, ONNX ConvTranspose).

    >>> y, vjp = conv_transpose2d.rule(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 2)), stride=2)
    >>> y[0, 0]
    array([[1., 1., 2., 2.]])
    >>> vjp(np.ones_like(y))[0][0, 0]
    array([[2., 2.]])
    """
    where, away = _transposed_placement(x.shape, w.shape, stride, padding, output_padding, dilation, groups)
    (top, bottom), (left, right) = away
    less = (top, max(bottom, 0)), (left, max(right, 0))
    more = (0, max(-bottom, 0)), (0, max(-right, 0))
    filters = w.shape[1] * groups
    full = (x.shape[0], filters, *where.image)
    order = columns.orders(full, x.shape[1], where, groups)
    y = pad(crop(columns.image_gradient(x, w, full, where, groups, order), less), more)
    if b is not None:
        if b.shape != (filters,):
            raise ShapeError(f"{filters} filters {w.shape} take as many biases, not {b.shape}")
        y = y + b[:, None, None]

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        painted = pad(crop(g, more), less)
        dx = columns.forward(painted, w, where, groups, order) if needs[0] else None
        dw = columns.filter_gradient(x, painted, w.shape, where, groups, order) if needs[1] else None
        db = g.sum(axis=(0, 2, 3)) if b is not None and any(needs[2:]) else None
        return (dx, dw, db)[: len(needs)]

    return y, vjp
