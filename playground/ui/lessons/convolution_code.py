"""The convolution on the screen as code that prints the screen's numbers in three libraries."""

from playground.ui.lessons.convolution_setting import Setting


def _nested(rows: list[list[str]], indent: int) -> str:
    width = max(len(cell) for row in rows for cell in row)
    joint = ",\n" + " " * indent
    return "[" + joint.join("[" + ", ".join(cell.rjust(width) for cell in row) + "]" for row in rows) + "]"


def _picture(setting: Setting) -> str:
    return _nested([[str(value) for value in row] for row in setting.patch.values.tolist()], 14)


def _kernel(setting: Setting) -> str:
    texts = [text.replace("−", "-") for text in setting.kernel.texts]
    k = setting.kernel.size
    return _nested([texts[i * k : (i + 1) * k] for i in range(k)], 14)


def ours(setting: Setting) -> str:
    """The engine: torch's names, NumPy inside."""
    return f"""import numpy as np
from engine import functional as F

x = np.array({_picture(setting)}, dtype=np.float32)
w = np.array({_kernel(setting)}, dtype=np.float32)
b = np.array([{setting.bias:g}], dtype=np.float32)

y = F.conv2d(x[None, None], w[None, None], b, stride={setting.stride}, padding={setting.padding}, \
dilation={setting.dilation})
print(y.numpy()[0, 0])
"""


def pytorch(setting: Setting) -> str:
    """PyTorch: batch and channel first."""
    return f"""import torch
from torch.nn import functional as F

x = torch.tensor({_picture(setting).replace(chr(10), chr(10) + "    ")}, dtype=torch.float32)
w = torch.tensor({_kernel(setting).replace(chr(10), chr(10) + "    ")}, dtype=torch.float32)
b = torch.tensor([{setting.bias:g}], dtype=torch.float32)

y = F.conv2d(x[None, None], w[None, None], b, stride={setting.stride}, padding={setting.padding}, \
dilation={setting.dilation})
print(y.numpy()[0, 0])
"""


def keras(setting: Setting) -> str:
    """Keras: channels last, padding added by hand, stride and dilation not both."""
    padded = (
        f"x = np.pad(x, {setting.padding})  # Keras knows only \"valid\" and \"same\"\n" if setting.padding else ""
    )
    note = (
        "# Keras refuses a stride and a dilation above 1 at once; take every n-th output instead\n"
        if setting.stride > 1 and setting.dilation > 1
        else ""
    )
    stride, every = (1, f"[:, ::{setting.stride}, ::{setting.stride}]") if note else (setting.stride, "")
    return f"""import keras
import numpy as np

x = np.array({_picture(setting)}, dtype="float32")
w = np.array({_kernel(setting)}, dtype="float32")
{padded}
{note}y = keras.ops.conv(x[None, :, :, None], w[:, :, None, None], strides={stride}, padding="valid",
                   dilation_rate={setting.dilation}){every} + {setting.bias:g}
print(keras.ops.convert_to_numpy(y)[0, :, :, 0])
"""
