# pip install onnxruntime pillow numpy
# python snippets/classify.py photo.jpg
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(Path(__file__).parents[1] / "model.onnx")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
image = np.asarray(ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB"))  # (height, width, 3), 0..255
probabilities = session.run(["probabilities"], {"image": image[None]})[0][0]
best = int(probabilities.argmax())
print(f"{labels[best]} {100 * probabilities[best]:.1f} %")
