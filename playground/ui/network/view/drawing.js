// Frames from the server and how they are drawn: bytes through a table of 256 colours on canvases.
const { abs, ceil, exp, floor, log10, max, min, round } = Math;
const LARGEST_TILE = 40, GAP = 3, BETWEEN = 8;
const LEAST_COLUMN = 84; // where the words of a heading fit; narrower columns go on in a further line
const MAPS_HEIGHT = 250, LINE_HEIGHT = 150;
const NOWHERE = { part: null, channel: null, place: null, weight: null };
const COMPARED = 1e-4; // how far apart sizes of two networks' numbers are called different, relative

function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { ...header, body: new Uint8Array(buffer, 4 + length), buffer, start: 4 + length };
}

// float32 numbers that follow a header; copied, since they need not lie on a multiple of four.
function floats(frame, { at, shape }) {
  const count = shape.reduce((a, b) => a * b, 1);
  return new Float32Array(frame.buffer.slice(frame.start + at, frame.start + at + 4 * count));
}

// The 256 colours as 32-bit words: 0 for what is no number, 128 for zero, the ends for the full colours.
function tableOf(scale) {
  const words = new Uint32Array(256);
  for (let k = 1; k < 256; k++) {
    const [r, g, b] = colourAt(scale, (k - 1) / 254);
    words[k] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  words[0] = (255 << 24) | (180 << 16) | (0 << 8) | 200; // magenta: neither blue nor orange nor gray
  return words;
}

const tooMuch = document.createElement("canvas"); // one sheet for all: a canvas each tile would cost a texture each
function sheet(bytes, width, height, table) {
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let k = 0; k < words.length; k++) words[k] = table[bytes[k]];
  tooMuch.width = width;
  tooMuch.height = height;
  tooMuch.getContext("2d").putImageData(image, 0, 0);
  return tooMuch;
}

function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [max(1, round(width * ratio)), max(1, round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  framed.delete(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, width, height);
  return context;
}

// Where the tiles of a part lie in `room` (width, height): the largest squares that fit, whole pixels.
function lay(row, width, height, single = false) {
  if (row.h === 1 && row.n === 1 && row.c > 1) { // a row of numbers: cells
    const count = row.w;
    let best = { side: 1, columns: min(count, max(1, floor(width))), cells: true };
    for (let columns = 1; columns <= min(count, 64); columns++) {
      const side = min(floor(width / columns), floor(height / ceil(count / columns)), 26);
      if (side > best.side) best = { side, columns, cells: true };
    }
    return { ...best, wide: best.side, tall: best.side, step: best.side, count, gap: 0 };
  }
  let best = null;
  for (let columns = 1; columns <= row.n; columns++) {
    const rows = ceil(row.n / columns);
    const side = min(floor((width - GAP * (columns - 1)) / columns), floor((height - GAP * (rows - 1)) / rows), single ? 64 : LARGEST_TILE);
    if (!best || side > best.side) best = { side, columns };
  }
  const side = max(best.side, 4);
  const proportion = row.h / row.w;
  const [wide, tall] = proportion > 1 ? [round(side / proportion), side] : [side, max(1, round(side * proportion))];
  return { side, columns: best.columns, wide, tall, step: side + GAP, count: row.n, gap: GAP, cells: false };
}

function place(layout, index) {
  return [(index % layout.columns) * layout.step, floor(index / layout.columns) * layout.step];
}

function heightOf(layout) {
  return ceil(layout.count / layout.columns) * layout.step - layout.gap;
}

// Over tiles of the same size in the same places nothing has to be cleared or framed anew: they hide what they cover.
const framed = new WeakMap();
function drawTiles(canvas, frame, row, layout, table) {
  const width = layout.columns * layout.step - layout.gap, height = heightOf(layout);
  const key = [layout.cells, layout.columns, layout.count, layout.wide, layout.tall, layout.step, window.devicePixelRatio].join();
  const same = framed.get(canvas) === key;
  const context = same ? canvas.getContext("2d") : sized(canvas, width, height);
  framed.set(canvas, key);
  if (layout.cells) {
    const source = sheet(frame.body.subarray(row.at, row.at + row.w), row.w, 1, table);
    const side = layout.side > 5 ? layout.side - 1 : layout.side;
    for (let index = 0; index < row.w; index++) context.drawImage(source, index, 0, 1, 1, ...place(layout, index), side, side);
    return;
  }
  const source = sheet(frame.body.subarray(row.at, row.at + row.n * row.h * row.w), row.w, row.n * row.h, table);
  context.beginPath();
  for (let index = 0; index < row.n; index++) {
    const [x, y] = place(layout, index);
    context.drawImage(source, 0, index * row.h, row.w, row.h, x, y, layout.wide, layout.tall);
    context.rect(x - 0.5, y - 0.5, layout.wide + 1, layout.tall + 1); // where a map of zeros ends
  }
  context.strokeStyle = "#8a8f9880";
  if (!same && layout.gap) context.stroke();
}

// One pixel a channel, in as many lines as they need.
function drawBarcode(canvas, frame, row, width, table) {
  const across = max(1, floor(width)), lines = ceil(row.bars / across);
  const stretch = lines === 1 ? width / row.bars : 1, tall = lines === 1 ? 6 : 4;
  const context = sized(canvas, width, lines * tall);
  const source = sheet(frame.body.subarray(row.bar, row.bar + row.bars), row.bars, 1, table);
  for (let line = 0; line < lines; line++) {
    const count = min(across, row.bars - line * across);
    context.drawImage(source, line * across, 0, count, 1, 0, line * tall, count * stretch, tall - (lines > 1 ? 1 : 0));
  }
}

function drawBytes(canvas, bytes, w, h, table, wide, tall) {
  sized(canvas, wide, tall).drawImage(sheet(bytes, w, h, table), 0, 0, w, h, 0, 0, wide, tall);
}

function bytesOf(values, limit) {
  const bytes = new Uint8Array(values.length);
  for (let k = 0; k < values.length; k++) {
    const v = values[k];
    bytes[k] = Number.isFinite(v) ? round(max(-127, min(127, (v * 127) / (limit || 1)))) + 128 : 0;
  }
  return bytes;
}

const largest = (values) => values.reduce((top, v) => (Number.isFinite(v) && abs(v) > top ? abs(v) : top), 0) || 1;

// An element by its tag and classes, like "p.formula"; without a tag a div.
function make(kind, parent, text) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag || "div");
  if (tag === "button") element.type = "button";
  if (tag === "canvas") element.role = "img";
  if (classes.length) element.className = classes.join(" ");
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

// The one button that is moved over what is pointed at.
function cursorOn(parent) {
  const cursor = make("button.cursor", parent);
  cursor.hidden = true;
  return cursor;
}

function moveTo(cursor, x, y, wide, tall) {
  cursor.hidden = false;
  Object.assign(cursor.style, { left: `${x - 2}px`, top: `${y - 2}px`, width: `${wide + 4}px`, height: `${tall + 4}px` });
}

function rangeOn(parent, label, most) {
  const slider = make("input", parent);
  Object.assign(slider, { type: "range", min: 0, max: most, ariaLabel: label });
  return slider;
}

const boxOf = (element) => element.getBoundingClientRect();

// A text is written only where it differs: every writing costs a layout of the page.
function reword(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function draw(tag, attributes, parent, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

const shapeText = (shape) => shape.join(" × ");
const counted = (n, one) => `${numberText(n, 9)} ${one}${n === 1 ? "" : "s"}`;
const percentText = (share) => `${share > 0 && share < 0.01 ? "<1" : share < 1 && share > 0.99 ? ">99" : round(share * 100)}${THIN}%`;
const exact = (value) => (typeof value === "number" ? numberText(value, 6) : value ?? "none");
