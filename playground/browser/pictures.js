// Pictures as the app reads them (datasets/picture.py) and prepares them (datasets/preprocessing.py): {height, width,
// data}, three bytes a pixel, red, green, blue. The same numbers, so that the same file gives the same answer.
const LONGEST_SIDE = 1024, FAINT = 40, LUMA = [0.299, 0.587, 0.114];

// A sentence for the reader.
class Trouble extends Error {}

// A file or a data address, upright, at most `longest` pixels a side, transparency laid on white.
async function pixelsOfFile(blob, name, longest = LONGEST_SIDE) {
  let image;
  try {
    image = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Trouble(`${name} is not a picture that this browser can read.`);
  }
  try {
    return pixelsOf(image, image.width, image.height, longest);
  } finally {
    image.close();
  }
}

// What a video shows now; null before it shows anything.
const pixelsOfVideo = (video, longest) =>
  (video.videoWidth ? pixelsOf(video, video.videoWidth, video.videoHeight, longest) : null);

function pixelsOf(source, wide, high, longest) {
  const scale = Math.min(1, longest / Math.max(wide, high));
  const width = Math.max(1, Math.round(wide * scale)), height = Math.max(1, Math.round(high * scale));
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) throw new Trouble("This browser has no memory left for a picture of that size.");
  pen.imageSmoothingQuality = "high";
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(source, 0, 0, width, height);
  const four = pen.getImageData(0, 0, width, height).data, data = new Uint8Array(3 * width * height);
  for (let i = 0, j = 0; i < four.length; i += 4) {
    data[j++] = four[i];
    data[j++] = four[i + 1];
    data[j++] = four[i + 2];
  }
  return { height, width, data };
}

// On a canvas, as it is.
function drawPixels(canvas, { height, width, data }) {
  canvas.width = width;
  canvas.height = height;
  const four = new Uint8ClampedArray(4 * width * height);
  for (let i = 0, j = 0; j < data.length; i += 4) {
    four[i] = data[j++];
    four[i + 1] = data[j++];
    four[i + 2] = data[j++];
    four[i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(new ImageData(four, width, height), 0, 0);
}

// To the nearest whole number, halves to the even one, as NumPy does.
function rounded(x) {
  const low = Math.floor(x), rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

function grayOf({ data }) {
  const gray = new Float64Array(data.length / 3);
  for (let i = 0, j = 0; i < gray.length; i++, j += 3)
    gray[i] = data[j] * LUMA[0] + data[j + 1] * LUMA[1] + data[j + 2] * LUMA[2];
  return gray;
}

// Dark strokes on light paper as light strokes on black that fill a square, as handwritten digits are stored.
function ink(picture) {
  const { height, width } = picture, gray = grayOf(picture), sorted = gray.slice().sort(), n = gray.length;
  const paper = (sorted[Math.floor((n - 1) / 2)] + sorted[Math.floor(n / 2)]) / 2;
  if (paper < 128) return picture;
  const span = Math.max(FAINT, paper - sorted[0]);
  const strokes = new Uint8Array(n);
  let top = height, bottom = -1, left = width, right = -1;
  for (let i = 0; i < n; i++) {
    const dark = (paper - gray[i]) / span;
    strokes[i] = rounded(255 * Math.min(1, Math.max(0, (dark - 0.25) / 0.75)));
    if (strokes[i] === 0) continue;
    const row = Math.floor(i / width), column = i % width;
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    left = Math.min(left, column);
    right = Math.max(right, column);
  }
  if (bottom < 0) return { height, width, data: new Uint8Array(3 * n) };
  const high = bottom - top + 1, wide = right - left + 1, side = Math.max(high, wide);
  const down = Math.floor((side - high) / 2), across = Math.floor((side - wide) / 2);
  const data = new Uint8Array(3 * side * side);
  for (let row = 0; row < high; row++)
    for (let column = 0; column < wide; column++)
      data.fill(strokes[(top + row) * width + left + column], 3 * ((down + row) * side + across + column),
        3 * ((down + row) * side + across + column + 1));
  return { height: side, width: side, data };
}

// For a file that takes prepared numbers: Preprocessing.apply, then the order, layout and kind of number it wants.
// wanted: {height, width, gray, mean, std, order, layout, number}.
function prepared(picture, wanted) {
  const h = Math.min(picture.height, Math.max(1, Math.floor((picture.width * wanted.height) / wanted.width)));
  const w = Math.min(picture.width, Math.max(1, Math.floor((picture.height * wanted.width) / wanted.height)));
  const top = Math.floor((picture.height - h) / 2), left = Math.floor((picture.width - w) / 2);
  const channels = wanted.gray ? 1 : 3, area = wanted.height * wanted.width;
  const rows = triangles(h, wanted.height), columns = triangles(w, wanted.width);
  const values = new Float32Array(channels * area);
  for (let c = 0; c < channels; c++) {
    const plane = new Float64Array(h * w);
    for (let row = 0; row < h; row++) {
      for (let column = 0; column < w; column++) {
        const at = 3 * ((top + row) * picture.width + left + column), data = picture.data;
        plane[row * w + column] = wanted.gray
          ? data[at] * LUMA[0] + data[at + 1] * LUMA[1] + data[at + 2] * LUMA[2] : data[at + c];
      }
    }
    const narrow = new Float64Array(h * wanted.width); // columns first, then rows
    for (let row = 0; row < h; row++)
      columns.forEach(({ first, weights }, column) => {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * plane[row * w + first + k];
        narrow[row * wanted.width + column] = sum;
      });
    const place = wanted.order === "BGR" && channels === 3 ? 2 - c : c;
    rows.forEach(({ first, weights }, row) => {
      for (let column = 0; column < wanted.width; column++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += weights[k] * narrow[(first + k) * wanted.width + column];
        const level = (sum / 255 - wanted.mean[c]) / wanted.std[c];
        const pixel = row * wanted.width + column;
        values[wanted.layout === "NHWC" ? pixel * channels + place : place * area + pixel] = level;
      }
    });
  }
  const dims = wanted.layout === "NHWC" ? [1, wanted.height, wanted.width, channels]
    : [1, channels, wanted.height, wanted.width];
  return { dims, data: asNumbers(values, wanted.number) };
}

// m pixels made n by a triangle as wide as the shrinking asks for: for each result, the first pixel and the weights.
function triangles(m, n) {
  const reach = Math.max(m / n, 1), found = [];
  for (let i = 0; i < n; i++) {
    const middle = ((i + 0.5) * m) / n;
    const first = Math.max(0, Math.floor(middle - reach)), last = Math.min(m - 1, Math.ceil(middle + reach));
    const weights = [];
    for (let x = first; x <= last; x++) weights.push(Math.max(0, 1 - Math.abs(x + 0.5 - middle) / reach));
    const sum = weights.reduce((all, one) => all + one, 0);
    found.push({ first, weights: weights.map((one) => one / sum) });
  }
  return found;
}

function asNumbers(values, number) {
  if (number === "float32") return values;
  if (number === "float64") return Float64Array.from(values);
  if (number === "uint8") return Uint8Array.from(values, (x) => Math.min(255, Math.max(0, rounded(x))));
  if (typeof Float16Array === "undefined")
    throw new Trouble("This file takes numbers of 16 bits, which this browser does not know; a newer one does.");
  return Float16Array.from(values);
}
