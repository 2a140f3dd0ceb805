// npm install onnxruntime-web sharp        (onnxruntime-node is quicker and has the same functions)
// node snippets/classify.mjs photo.jpg
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";
import sharp from "sharp";

const file = (name) => readFile(new URL(`../${name}`, import.meta.url));
const labels = (await file("labels.txt")).toString().split("\n");
const { data, info } = await sharp(process.argv[2])
  .rotate() // upright, as the camera was held
  .resize(1024, 1024, { fit: "inside", withoutEnlargement: true })
  .flatten({ background: "white" }).toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });

ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(await file("model.onnx")));
const image = new ort.Tensor("uint8", new Uint8Array(data), [1, info.height, info.width, 3]); // 0..255
const { probabilities } = await session.run({ image }, ["probabilities"]);
const best = probabilities.data.indexOf(Math.max(...probabilities.data));
const percent = Math.min(99.9, 100 * probabilities.data[best]); // never 100: softmax leaves every class something
console.log(`${labels[best]} ${percent.toFixed(1)} %`);
