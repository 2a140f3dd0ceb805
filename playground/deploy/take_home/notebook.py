# %% [markdown]
# `pip install onnxruntime pillow numpy`, put a photo beside this notebook and name it below.

# %%
import json
from pathlib import Path

import numpy as np
import onnxruntime
import picture  # picture.py, beside this notebook: how the app reads pictures
from PIL import Image

photo = Path("photo.jpg")

# %% [markdown]
# The file takes raw pixels of any size. What is done to them before the network sees them is inside it, and it says so
# itself.

# %%
session = onnxruntime.InferenceSession("model.onnx")
said = session.get_modelmeta().custom_metadata_map
labels = json.loads(said["labels"])
print(said["preprocessing"])
for value in (*session.get_inputs(), *session.get_outputs()):
    print(value.name, value.type, value.shape)

# %% [markdown]
# Without a photo of yours some noise goes in, so that the notebook runs as it is.

# %%
if photo.exists():
    image = picture.for_model(photo, labels)
else:
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
print(image.dtype, image.shape)
Image.fromarray(image)

# %%
logits, probabilities = session.run(["logits", "probabilities"], {"image": image[None]})
for k in np.argsort(-probabilities[0])[:5]:
    print(f"{labels[k]:30} {min(99.9, 100 * probabilities[0, k]):5.1f} %")

# %% [markdown]
# Probabilities are the softmax of the logits and share 1 among the classes the model knows: it cannot say "none of
# these".

# %%
powers = np.exp(logits[0] - logits[0].max())
print(np.abs(powers / powers.sum() - probabilities[0]).max())
