// Draws lines, bars and loss bowls from a Plotly figure's own dictionaries, as chart/__init__.py lets them through.
// Appended to marks.js by Python.
const drawn = new WeakMap(); // the charts of each element
class Chart {
  constructor(host, number) {
    this.host = host;
    this.clip = `inside-${number}`;
    this.find = (selector) => host.querySelector(selector);
    this.svg = this.find(".plot > svg");
    this.canvas = this.find("canvas");
    this.size = null;
    this.resizes = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      if (this.size && width === this.size.width && height === this.size.height) return;
      this.size = { width, height };
      this.draw();
    });
    this.resizes.observe(this.find(".plot"));
    this.svg.onpointermove = (event) => {
      const bounds = this.svg.getBoundingClientRect();
      this.point(event.clientX - bounds.left, event.clientY - bounds.top);
    };
    this.svg.onpointerleave = this.svg.onblur = () => this.name(null);
    this.svg.onkeydown = (event) => {
      const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (event.key === "Escape") this.name(null);
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.walk(...step);
    };
  }

  remove() {
    this.resizes.disconnect();
    this.host.remove();
  }

  load(data) {
    this.data = data;
    this.host.style.height = `${data.height}px`;
    this.find(".title").textContent = data.layout.title?.text ?? "";
    this.svg.setAttribute("aria-label", `${data.alt}. Arrow keys go from point to point.`);
    this.legend();
    if (this.size) this.draw();
  }

  add(name, attributes, text, parent = this.svg) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }

  legend() {
    const { layout, traces } = this.data;
    const key = this.find(".legend");
    key.replaceChildren();
    key.classList.toggle("right", layout.legend?.xanchor === "right");
    if (!layout.showlegend) return;
    for (const trace of traces) {
      if (!trace.name || trace.showlegend === false) continue;
      const entry = document.createElement("span");
      const swatch = this.add("svg", { width: 30, height: 14, "aria-hidden": "true" }, undefined, entry);
      if (trace.type === "bar") this.add("rect", { x: 9, y: 1, width: 12, height: 12, ...this.filled(trace, swatch) }, undefined, swatch);
      if (trace.mode?.includes("lines")) this.add("path", { d: "M1,7H29", ...this.stroke(trace) }, undefined, swatch);
      if (trace.mode?.includes("markers")) this.add("path", { d: symbolAt(trace.marker?.symbol, 15, 7, Math.min(5, (trace.marker?.size ?? 6) / 2)), ...this.inked(trace) }, undefined, swatch);
      entry.append(trace.name);
      key.append(entry);
    }
  }

  stroke(trace) {
    const width = trace.line?.width ?? 2;
    return { fill: "none", stroke: trace.line?.color ?? trace.marker?.color, "stroke-width": width, "stroke-linejoin": "round", "stroke-dasharray": dashes(trace.line?.dash, width), "stroke-opacity": trace.opacity ?? 1 };
  }

  inked(trace) {
    const marker = trace.marker ?? {};
    const colour = marker.color ?? trace.line?.color;
    if (String(marker.symbol).endsWith("open")) return { fill: "none", stroke: colour, "stroke-width": marker.line?.width ?? 1 };
    return { fill: colour, "fill-opacity": marker.opacity ?? trace.opacity ?? 1, stroke: marker.line?.color ?? "none", "stroke-width": marker.line?.width ?? 0 };
  }

  // Bars that lie over each other are told apart by hatching, too.
  filled(trace, parent) {
    const { color, opacity, pattern } = trace.marker;
    const shade = { fill: color, "fill-opacity": opacity ?? trace.opacity ?? 1 };
    if (!pattern?.shape) return shade;
    const id = `hatch-${color.slice(1)}`;
    if (!parent.querySelector(`#${id}`)) {
      const hatch = this.add("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, undefined, parent);
      this.add("rect", { width: 6, height: 6, ...shade, "fill-opacity": shade["fill-opacity"] * 0.6 }, undefined, hatch);
      this.add("rect", { width: 2, height: 6, fill: color }, undefined, hatch);
    }
    return { fill: `url(#${id})` };
  }

  // Whether an axis counts: pixels, epochs.
  whole(letter) {
    return this.data.traces.every((trace) => trace.type !== "contour" && trace[letter].every((value) => value === null || Number.isInteger(value)));
  }

  // What an axis spans: as asked, or all that is drawn with some air.
  range(axis, letter, length = 0) {
    if (axis.range) return axis.range;
    let [low, high, size, bars] = [Infinity, -Infinity, 0, false];
    for (const trace of this.data.traces) {
      const half = trace.type === "bar" && letter === "x" ? barWidth(trace) / 2 : 0;
      const spans = letter === "y" && trace.error_y ? trace.error_y.array : null;
      trace[letter].forEach((value, k) => {
        if (value === null || (logarithmic(axis) && value <= 0)) return;
        low = Math.min(low, at(axis, value) - half - (spans?.[k] ?? 0));
        high = Math.max(high, at(axis, value) + half + (spans?.[k] ?? 0));
      });
      if (trace.mode?.includes("markers")) size = Math.max(size, trace.marker?.size ?? 6);
      bars ||= trace.type === "bar";
    }
    if (!(low <= high)) return [0, 1];
    if (bars && letter === "y") [low, high] = [Math.min(low, 0), Math.max(high, 0)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const air = letter === "y" ? (high - low) / 18 : size ? ((high - low) * (size / 2 + 5)) / Math.max(length, 100) : 0;
    return [bars && letter === "y" && low === 0 ? 0 : low - air, high + air];
  }

  draw() {
    const { width, height } = this.size;
    if (!this.data || width < 40 || height < 40) return;
    const { layout, traces } = this.data;
    const { xaxis, yaxis } = layout;
    this.named = null;
    this.find(".tip").hidden = true;
    this.svg.replaceChildren();
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    const shown = yaxis.visible !== false;
    const box = { top: 10, bottom: height - (xaxis.title?.text ? 44 : 24), right: width - 12, left: 8 };
    const ys = this.range(yaxis, "y");
    const marksY = shown ? ticks(yaxis, ys, box.bottom - box.top, 42, this.whole("y")) : [];
    const widest = Math.max(0, ...marksY.map(([, text]) => text.length));
    if (shown) box.left = widest * LETTER + (yaxis.title?.text ? 30 : 10);
    if (yaxis.scaleanchor === "x") { // one scale for both: a square in the middle
      const side = Math.min(box.right - box.left, box.bottom - box.top);
      const middle = (box.left + box.right) / 2;
      [box.left, box.right] = [middle - side / 2, middle + side / 2];
    }
    this.box = box;
    const xs = this.range(xaxis, "x", box.right - box.left);
    const placeX = (place) => box.left + ((place - xs[0]) / (xs[1] - xs[0])) * (box.right - box.left);
    const placeY = (place) => box.bottom - ((place - ys[0]) / (ys[1] - ys[0])) * (box.bottom - box.top);
    this.x = (value) => placeX(at(xaxis, value));
    this.y = (value) => placeY(at(yaxis, value));
    this.points = [];
    for (const trace of traces) if (trace.type === "contour") this.bowl(trace);
    this.axes(xs, placeX, marksY, placeY, widest * LETTER);
    const inside = this.add("g", { "clip-path": `url(#${this.clip})` });
    const clip = this.add("clipPath", { id: this.clip });
    this.add("rect", { x: box.left - 8, y: box.top - 8, width: box.right - box.left + 16, height: box.bottom - box.top + 16 }, undefined, clip);
    traces.forEach((trace, k) => {
      if (trace.type === "bar") this.bars(trace, k, inside);
      if (trace.type === "scatter") this.scatter(trace, k, inside);
    });
    for (const shape of layout.shapes ?? []) {
      if (shape.x0 === undefined || !Number.isFinite(this.x(shape.x0))) continue;
      this.add("path", { d: `M${this.x(shape.x0)},${box.top}V${box.bottom}`, ...this.stroke({ line: { width: 2, ...shape.line } }) });
    }
    for (const note of layout.annotations ?? []) this.note(note);
    this.ring = this.add("circle", { class: "here", r: 8, visibility: "hidden" });
  }

  axes(xs, placeX, marksY, placeY, room) {
    const { box, data: { layout: { xaxis, yaxis } } } = this;
    for (const [place, text] of marksY) {
      const y = placeY(place);
      if (y < box.top - 1 || y > box.bottom + 1) continue;
      if (yaxis.showgrid !== false) this.add("path", { class: "grid", d: `M${box.left},${y}H${box.right}` });
      this.add("text", { class: "tick", x: box.left - 6, y: y + 4, "text-anchor": "end" }, text);
    }
    let free = -Infinity; // labels that would meet are left out
    const apart = Math.max(...ticks(xaxis, xs, 800, 60, this.whole("x")).map(([, text]) => text.length), 3) * LETTER + 14;
    for (const [place, text] of ticks(xaxis, xs, box.right - box.left, apart, this.whole("x"))) {
      const x = placeX(place);
      const half = (text.length * LETTER) / 2;
      if (x < box.left - 1 || x > box.right + 1 || x - half < free) continue;
      free = x + half + 4;
      const end = x + half > this.size.width ? { x: this.size.width, "text-anchor": "end" } : { x, "text-anchor": "middle" };
      this.add("text", { class: "tick", ...end, y: box.bottom + 16 }, text);
    }
    if (xaxis.title?.text) this.add("text", { class: "axis", x: (box.left + box.right) / 2, y: box.bottom + 37, "text-anchor": "middle" }, xaxis.title.text);
    if (yaxis.title?.text && yaxis.visible !== false) {
      const x = Math.max(12, box.left - room - 14);
      const middle = (box.top + box.bottom) / 2;
      this.add("text", { class: "axis", x, y: middle, "text-anchor": "middle", transform: `rotate(-90 ${x} ${middle})` }, yaxis.title.text);
    }
  }

  scatter(trace, k, parent) {
    const places = trace.x.map((value, n) => (value === null || trace.y[n] === null ? null : [this.x(value), this.y(trace.y[n])]));
    const steps = trace.line?.shape === "hvh";
    if (trace.mode.includes("lines")) {
      let [path, last] = ["", null];
      for (const place of places) {
        const seen = place && Number.isFinite(place[0]) && Number.isFinite(place[1]) ? place : null;
        if (seen) path += !last ? `M${seen}` : steps ? `H${(last[0] + seen[0]) / 2}V${seen[1]}H${seen[0]}` : `L${seen}`;
        last = seen;
      }
      this.add("path", { d: path, ...this.stroke(trace) }, undefined, parent);
    }
    if (trace.error_y) {
      const path = places.map((place, n) => {
        const [low, high] = [-1, 1].map((way) => this.y(trace.y[n] + way * trace.error_y.array[n]));
        return `M${place[0]},${low}V${high}M${place[0] - 4},${low}h8M${place[0] - 4},${high}h8`;
      }).join("");
      this.add("path", { d: path, ...this.stroke({ line: { color: trace.marker.color, width: trace.error_y.thickness } }) }, undefined, parent);
    }
    if (trace.mode.includes("markers")) {
      const { symbol, size = 6 } = trace.marker ?? {};
      const each = (n) => (Array.isArray(symbol) ? symbol[n] : symbol);
      const path = places.map((place, n) => (place ? symbolAt(each(n), ...place, size / 2) : "")).join("");
      this.add("path", { d: path, ...this.inked(trace) }, undefined, parent);
    }
    if (trace.hoverinfo === "skip") return;
    places.forEach((place, n) => {
      if (place && Number.isFinite(place[1])) this.points.push({ at: place, trace: k, said: { x: trace.x[n], y: trace.y[n], pointNumber: n } });
    });
  }

  bars(trace, k, parent) {
    const half = barWidth(trace) / 2;
    const look = this.filled(trace, this.svg);
    trace.x.forEach((value, n) => {
      const [left, right, top, floor] = [this.x(value - half), this.x(value + half), this.y(trace.y[n]), this.y(0)];
      this.add("rect", { x: left, y: Math.min(top, floor), width: Math.max(0, right - left), height: Math.abs(top - floor), ...look }, undefined, parent);
      this.points.push({ at: [(left + right) / 2, top], trace: k, said: { x: value, y: trace.y[n], pointNumber: n }, within: [left, right, Math.min(top, floor), Math.max(top, floor)] });
    });
  }

  // The landscape between its places, in bands of equal steps with a thin line at each.
  bowl(trace) {
    const { box, canvas } = this;
    const { rows, columns, low, high, levels } = trace.heights;
    const sharp = Math.min(window.devicePixelRatio || 1, 2);
    const [wide, tall] = [box.right - box.left, box.bottom - box.top].map((side) => Math.max(1, Math.round(side * sharp)));
    const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
    const raw = new Uint16Array(bytes.buffer);
    trace.height = (row, column) => low + (raw[row * columns + column] / 65535) * (high - low);
    const step = nice((high - low) / trace.ncontours);
    const first = Math.floor(low / step), last = Math.floor(high / step);
    const colours = [...Array(last - first + 1).keys()].map((band) => colourAt(trace.colorscale, (band + 0.5) / (last - first + 1)));
    Object.assign(canvas.style, { width: `${wide / sharp}px`, height: `${tall / sharp}px`, left: `${box.left}px`, top: `${box.top}px`, opacity: trace.opacity });
    const painting = [levels, low, high, wide, tall].join(); // often only the steps over it have changed
    if (canvas.painting === painting) return;
    canvas.painting = painting;
    canvas.width = wide;
    canvas.height = tall;
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(wide, tall);
    const ink = new Uint32Array(image.data.buffer);
    const [plain, lined] = [1, 0.6].map((share) => Uint32Array.from(colours, ([r, g, b]) => (255 << 24) | ((b * share) << 16) | ((g * share) << 8) | (r * share)));
    const scale = (high - low) / 65535 / step;
    const [above, heights] = [new Int32Array(wide), new Float64Array(columns)];
    const along = Float64Array.from({ length: wide }, (_, x) => (x / Math.max(1, wide - 1)) * (columns - 1));
    const column = Int32Array.from(along, (place) => Math.min(Math.floor(place), columns - 2));
    for (let y = 0; y < tall; y++) {
      const down = ((tall - 1 - y) / Math.max(1, tall - 1)) * (rows - 1);
      const row = Math.min(Math.floor(down), rows - 2), v = down - row, from = row * columns;
      for (let k = 0; k < columns; k++) heights[k] = (raw[from + k] * (1 - v) + raw[from + columns + k] * v) * scale + low / step - first;
      let before = 0;
      for (let x = 0; x < wide; x++) {
        const k = column[x], height = heights[k] + (heights[k + 1] - heights[k]) * (along[x] - k);
        const band = Math.max(0, Math.min(Math.floor(height), plain.length - 1));
        const edge = (x > 0 && band !== before) || (y > 0 && band !== above[x]);
        ink[y * wide + x] = edge ? lined[band] : plain[band];
        above[x] = before = band;
      }
    }
    pen.putImageData(image, 0, 0);
  }

  note({ x, y, yref, text, xanchor, xshift = 0, yshift = 0, font, bgcolor }) {
    const { xaxis, yaxis } = this.data.layout; // a note's place on a logarithmic axis is the logarithm
    const real = (axis, value) => (logarithmic(axis) ? 10 ** value : value);
    const down = (yref === "paper" ? this.box.bottom - y * (this.box.bottom - this.box.top) : this.y(real(yaxis, y))) - yshift;
    const across = this.x(real(xaxis, x)) + xshift;
    if (!Number.isFinite(across) || !Number.isFinite(down)) return;
    const right = xanchor === "right" && across - text.length * LETTER > 0;
    const anchor = right ? "end" : xanchor ? "start" : "middle";
    const place = { x: xanchor && !right ? across - 2 * xshift : across, y: down + (yref === "paper" ? 12 : 4), "text-anchor": anchor, style: font?.color ? `fill: ${font.color}` : "" };
    if (bgcolor) {
      const half = (text.length * LETTER) / 2 + 2;
      this.add("rect", { x: across - half, y: down - 8, width: 2 * half, height: 16, fill: bgcolor });
    }
    this.add("text", place, text);
  }

  // The point under the pointer, or the landscape there.
  point(px, py) {
    let [best, least] = [null, REACH];
    for (const point of this.points ?? []) {
      const [left, right, top, bottom] = point.within ?? [];
      const inside = point.within && px >= left && px <= right && py >= top && py <= bottom;
      const far = inside ? 0.5 : Math.hypot(point.at[0] - px, point.at[1] - py);
      if (far < least) [best, least] = [point, far];
    }
    const bowl = this.data?.traces.find((trace) => trace.type === "contour");
    if (bowl && least > 8) best = this.ground(bowl, px, py) ?? best;
    this.name(best);
  }

  ground(trace, px, py) {
    const { box } = this;
    const { rows, columns } = trace.heights;
    const [u, v] = [(px - box.left) / (box.right - box.left), (box.bottom - py) / (box.bottom - box.top)];
    if (u < 0 || u > 1 || v < 0 || v > 1) return null;
    const [column, row] = [Math.round(u * (columns - 1)), Math.round(v * (rows - 1))];
    const on = (ends, share) => ends[0] + share * (ends[1] - ends[0]);
    const { xaxis, yaxis } = this.data.layout;
    return { at: [px, py], trace: this.data.traces.indexOf(trace), bare: true, said: { x: on(xaxis.range, u), y: on(yaxis.range, v), z: trace.height(row, column) } };
  }

  name(point) {
    const tip = this.find(".tip");
    this.named = point;
    tip.hidden = !point;
    this.ring?.setAttribute("visibility", point && !point.bare ? "visible" : "hidden");
    if (!point) return;
    const trace = this.data.traces[point.trace];
    tip.replaceChildren();
    told(trace.hovertemplate ?? "%{x}: %{y}", point.said).forEach((line, k) => {
      if (k) tip.append("\n");
      for (const [text, raised] of line) {
        const part = document.createElement(raised ? "sup" : "span");
        part.textContent = text;
        tip.append(part);
      }
    });
    const [x, y] = point.at;
    this.ring?.setAttribute("cx", x);
    this.ring?.setAttribute("cy", y);
    tip.style.left = `${Math.max(0, Math.min(x + 14, this.size.width - tip.offsetWidth))}px`;
    tip.style.top = `${y > tip.offsetHeight + 20 ? y - tip.offsetHeight - 12 : y + 16}px`;
  }

  // From point to point along a series, or to the nearest of the next series; what is there is spoken.
  walk(along, series) {
    const points = this.points ?? [];
    if (!points.length) return;
    const current = points.indexOf(this.named);
    let next = points[0];
    if (current >= 0 && along) next = points[current + along]?.trace === points[current].trace ? points[current + along] : points[current];
    if (current >= 0 && series) {
      const kinds = [...new Set(points.map((point) => point.trace))];
      const kind = kinds[kinds.indexOf(points[current].trace) + series];
      const others = points.filter((point) => point.trace === kind);
      const far = (point) => Math.abs(point.at[0] - points[current].at[0]);
      next = others.length ? others.reduce((a, b) => (far(b) < far(a) ? b : a)) : points[current];
    }
    this.name(next);
    this.find(".spoken").textContent = this.find(".tip").textContent;
  }
}

export default function ({ parentElement, data }) {
  if (!drawn.has(parentElement)) drawn.set(parentElement, []);
  const charts = drawn.get(parentElement);
  const pattern = parentElement.querySelector("template");
  while (charts.length < data.charts.length) {
    const host = pattern.content.firstElementChild.cloneNode(true);
    pattern.parentNode.append(host);
    charts.push(new Chart(host, charts.length));
  }
  for (const spare of charts.splice(data.charts.length)) spare.remove();
  data.charts.forEach((one, k) => charts[k].load(one));
  return () => {
    for (const chart of charts) chart.remove();
    drawn.delete(parentElement);
  };
}
