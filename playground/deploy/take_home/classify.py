# pip install onnxruntime pillow numpy
# python snippets/classify.py photo.jpg
import json
import sys
from pathlib import Path

import onnxruntime

home = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(home))
import picture  # picture.py, in the folder above: how the app reads pictures

session = onnxruntime.InferenceSession(home / "model.onnx")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
image = picture.for_model(Path(sys.argv[1]), labels)  # (height, width, 3), 0..255
probabilities = session.run(["probabilities"], {"image": image[None]})[0][0]
best = int(probabilities.argmax())  # never called 100 %: softmax leaves every class something
print(f"{labels[best]} {min(99.9, 100 * probabilities[best]):.1f} %")
