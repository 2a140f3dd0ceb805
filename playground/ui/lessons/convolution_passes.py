"""The convolution three ways: forward, step by step; backward, step by step; and all of it as one matrix product."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from engine import Tensor
from engine import functional as F
from playground import numbers
from playground.figures import style
from playground.figures.matrix import matrix
from playground.steps.conv import output_size
from playground.steps.conv_backward import conv_backward_steps, im2col
from playground.ui import frame, links
from playground.ui.lessons.convolution import digits_of, story
from playground.ui.lessons.convolution_setting import PASSES, Setting
from playground.ui.parts.stepper import Grid, Story, Update, stepper

UPSTREAM: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "1 everywhere: the loss is the sum of all outputs": np.ones_like,
    "the outputs themselves: the loss is ½ Σ y²": np.copy,
    "1 at the strongest output, 0 elsewhere":
        lambda y: (np.arange(y.size) == np.abs(y).argmax()).reshape(y.shape).astype(float),
}


def passes(setting: Setting) -> None:
    """The pass that is chosen, or the sentence that says why there is nothing to play."""
    if setting.refusal:
        st.warning(setting.refusal, icon=":material/fit_screen:")
    elif setting.shown == PASSES[1]:
        backward(setting)
    elif setting.shown == PASSES[2]:
        as_matrix(setting)
    else:
        stepper(story(setting), key="convolution_stepper")


def backward(setting: Setting) -> None:
    """What arrives at the outputs is sent back to the pixels, the weights and the bias."""
    which = st.selectbox("What arrives at the outputs, $dy = ∂L/∂y$", list(UPSTREAM), key="upstream",
                         bind="query-params", disabled=links.locked())
    st.latex(r"""\begin{aligned} dx[r,c] &\mathrel{+}= w[i,j] \cdot dy[p,q] \\
        dw[i,j] &\mathrel{+}= x[r,c] \cdot dy[p,q] \\ db &\mathrel{+}= dy[p,q] \end{aligned}""")
    dy = UPSTREAM[which](setting.respond(setting.patch.values))
    stepper(backward_story(setting, dy), key="convolution_backward_stepper")
    st.caption("The forward pass made each output of pixels and weights; the backward pass walks the same products "
               "once more and gives every pixel and every weight its share of the blame.")


def gradients(setting: Setting, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The engine's gradients of the patch (H, W), the kernel (K, K) and the bias, when dy (OH, OW) arrives."""
    x = Tensor(setting.patch.values.astype(float)[None, None], requires_grad=True)
    w = Tensor(setting.kernel.weights[None, None], requires_grad=True)
    b = Tensor(np.array([setting.bias]), requires_grad=True)
    F.conv2d(x, w, b, **setting.options).backward(dy[None, None])
    assert x.grad is not None
    assert w.grad is not None
    assert b.grad is not None
    return x.grad[0, 0], w.grad[0, 0], float(b.grad[0])


def backward_story(setting: Setting, dy: np.ndarray) -> Story:
    """The backward pass as the player's grids and records; a test holds the last sums and the engine's together."""
    x, weights, padding = setting.patch.values, setting.kernel.weights, setting.padding
    height, width = x.shape
    k, columns = setting.kernel.size, width + 2 * padding
    records = list(conv_backward_steps(x[None].astype(float), weights[None, None], dy[None], **setting.options))
    tap = [step.tap[1] * k + step.tap[2] for step in records]
    dx, dw, db = ([getattr(step, name) for step in records]
                  for name in ("input_gradient", "weight_gradient", "bias_gradient"))
    places = digits_of(dx, dw, db, dy)
    return Story(
        label="Backward pass of a convolution, step by step",
        grids=(
            Grid(name="dy", symbol="dy", title="arrives at the output", rows=dy.shape[0], columns=dy.shape[1],
                 values=dy.ravel().tolist(), limit=style.signed_limit(dy), digits=digits_of(dy), note="∂L/∂y"),
            Grid(name="w", symbol="w", title="kernel", rows=k, columns=k, side=True, values=weights.ravel().tolist(),
                 texts=setting.kernel.texts, limit=style.signed_limit(weights), digits=digits_of(weights)),
            Grid(name="dw", symbol="dw", title="its gradient", rows=k, columns=k, side=True, note="∂L/∂w",
                 limit=style.signed_limit(dw), digits=places),
            Grid(name="db", symbol="db", title="the bias's", rows=1, columns=1, side=True, note="∂L/∂b",
                 limit=style.signed_limit(db), digits=places),
            Grid(name="x", symbol="x", title="picture", rows=height + 2 * padding, columns=columns, border=padding,
                 values=np.pad(x, padding).ravel().tolist(), scale="gray", framed_as="w",
                 note=f"{height} × {width} pixels"),
            Grid(name="dx", symbol="dx", title="its gradient", rows=height, columns=width, note="∂L/∂x",
                 limit=style.signed_limit(dx), digits=places, framed_as="w"),
        ),
        marks={
            "dy": [step.output[1] * dy.shape[1] + step.output[2] for step in records],
            "w": tap,
            "dw": tap,
            "db": [0 if cell == 0 else -1 for cell in tap],
            "x": [(step.position[0] + padding) * columns + step.position[1] + padding for step in records],
            "dx": [-1 if step.padded else step.position[0] * width + step.position[1] for step in records],
        },
        writes={"dx": dx, "dw": dw, "db": db},
        groups=[index // (k * k) for index in range(len(records))],
        updates=(
            Update(target="dx", operands=("w", "dy"), digits=places, nowhere="it falls on the padding and is dropped"),
            Update(target="dw", operands=("x", "dy"), digits=places),
            Update(target="db", operands=("dy",), digits=places, nowhere=""),
        ),
        leader="dy", step_name="product", group_name="output", ties=(("x", "dx"),),
        start=min(len(records), (len(records) // (2 * k * k)) * k * k + (k * k + 1) // 2),
        footnotes=("Point at or tap a pixel's or a weight's gradient for all that it gathers.", turned(setting)),
    )


def turned(setting: Setting) -> str:
    """The picture's gradient as one more convolution: of what, with how much padding, with which kernel."""
    around = setting.dilation * (setting.kernel.size - 1) - setting.padding
    rows = numbers.counted(abs(around), "row")
    how = (f"padded by d(K − 1) − P = {around}" if around > 0 else
           f"with {rows} and columns cut off at each side" if around else "as it is")
    if setting.stride > 1:
        between = numbers.counted(setting.stride - 1, "zero")
        return (f"The picture's gradient is the kernel turned by 180°, laid over dy with {between} put between its "
                "numbers and padded until every pixel has its place.")
    return f"The picture's gradient is the kernel turned by 180°, laid over dy {how}."


@st.fragment
@frame.guarded("As a matrix product")
def as_matrix(setting: Setting) -> None:
    """im2col: every window a column, so that the whole convolution is one product of two matrices."""
    x, k = setting.patch.values.astype(float), setting.kernel.size
    columns = im2col(x[None], (k, k), **setting.options)
    weights = setting.kernel.weights.ravel()
    y = weights @ columns + setting.bias
    oh, ow = (output_size(n, k, **setting.options) for n in x.shape)
    st.latex(rf"\underbrace{{y}}_{{1 × {y.size}}} = \underbrace{{w}}_{{1 × {k * k}}} \cdot "
             rf"\underbrace{{\mathrm{{im2col}}(x)}}_{{{k * k} × {y.size}}} + b")
    n = st.slider("Window (column of the matrix)", 0, max(y.size - 1, 1), min(ow + 1, y.size - 1), key="column",
                  bind="query-params", disabled=links.locked())
    n = min(n, y.size - 1)
    st.plotly_chart(matrix(columns, symbol="im2col(x)", frame=(0, n, k * k, 1), width=900,
                           titles=("window", "place")),
                    config=style.CONFIG, key="im2col", alt="Every window of the picture as a column")
    st.plotly_chart(matrix(y[None], symbol="y", scale="signed", frame=(0, n, 1, 1), width=900, titles=("window", "")),
                    config=style.CONFIG, key="im2col_y", alt="The outputs as one row")
    number = max(digits_of(weights), digits_of(y))
    products = " + ".join((f"({text})" if text.startswith("−") else text) + f"·{numbers.number(pixel)}"
                          for text, pixel in zip(setting.kernel.texts, columns[:, n], strict=True))
    st.markdown(f"Column {n} is the window of output **y[{n // ow},{n % ow}]**: {products}"
                f"{f' + {numbers.number(setting.bias)}' if setting.bias else ''} = **{y[n]:.{number}f}**")
    apart = np.abs(y.reshape(oh, ow) - setting.respond(x)).max()
    st.caption(
        f"The picture's {x.size} numbers became {numbers.count(columns.size)}: memory is paid for speed, since one "
        "large matrix product is what processors do best. Largest difference from the engine's convolution: "
        f"{numbers.number(apart, 3)}. Backward "
        "it is two products more: wᵀ·dy, whose columns are added back into the picture, and dy·im2col(x)ᵀ for the "
        "kernel.")
