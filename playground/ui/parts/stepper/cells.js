// Drawing one matrix as SVG: cells, padding, numbers, outlines. Knows nothing of time; stepper.js tells it what to show.
const SVG = "http://www.w3.org/2000/svg";
const UNIT = 40; // a cell's side in the drawing's own units
const SMALLEST_TEXT = 11, LARGEST_TEXT = 15; // pixels

// How many digits wide a number is: a point and a thin space are narrow. And how large it may be in a cell `side` wide.
const widthOf = (text) => [...text].reduce((sum, letter) => sum + (letter === "." || letter === THIN ? 0.5 : 1), 0);
const fitting = (text, side) => Math.min(LARGEST_TEXT, side / 2, (side * 1.7) / Math.max(1, widthOf(text)));

function svg(tag, attributes = {}, parent = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (parent) parent.append(element);
  return element;
}

function html(tag, className, parent, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

class Matrix {
  constructor(grid, scales, colours) {
    this.grid = grid;
    this.scales = scales;
    this.colour = colours[grid.symbol] ?? "currentColor";
    this.frameColour = colours[grid.framed_as ?? grid.symbol] ?? "#808890";
    this.figure = html("figure", "grid");
    this.figure.dataset.grid = grid.name;
    this.caption = html("figcaption", "", this.figure);
    this.svg = svg("svg", { viewBox: `0 0 ${grid.columns * UNIT} ${grid.rows * UNIT}`, tabindex: 0, role: "img" }, this.figure);
    this.ramp = html("div", "legend", this.figure);
    const hatch = svg("pattern", { id: "hatch", width: 10, height: 10, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("defs", {}, this.svg));
    svg("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 10 }, hatch);
    [this.side, this.places] = [UNIT, grid.digits];
    this.cells = this.drawCells(svg("g", {}, this.svg));
    this.outlines = svg("g", {}, this.svg);
    this.hits = svg("g", { class: "hits" }, this.outlines);
    this.windowBox = svg("rect", { class: "window", stroke: this.frameColour, rx: 3 }, this.outlines);
    this.tapUnder = svg("rect", { class: "tap under", rx: 3 }, this.outlines);
    this.tapBox = svg("rect", { class: "tap", stroke: this.frameColour, rx: 3 }, this.outlines);
    this.cursorBox = svg("rect", { class: "cursor", rx: 3 }, this.outlines);
    for (const box of [this.windowBox, this.tapUnder, this.tapBox, this.cursorBox]) box.style.display = "none";
    this.take(grid);
  }

  // Whether a grid is this one with other numbers: then `take` is all there is to do.
  fits(grid) {
    return ["name", "symbol", "framed_as", "rows", "columns", "border", "side", "emptied"].every((key) => this.grid[key] === grid[key]);
  }

  take(grid) {
    this.grid = grid;
    this.places = this.readable(this.side)[0];
    this.scale = this.scales[grid.scale];
    this.shown = [];
    this.name();
    this.legend();
    if (grid.values) grid.values.forEach((value, index) => this.show(index, value));
  }

  name() {
    const { grid } = this;
    const words = `${grid.title}, ${grid.note || `${grid.rows} by ${grid.columns}`}. Arrow keys inspect a cell.`;
    if (this.svg.getAttribute("aria-label") === words) return;
    this.svg.setAttribute("aria-label", words);
    this.caption.replaceChildren();
    const name = html("b", "", this.caption);
    const symbol = html("i", "", name);
    symbol.style.color = this.colour;
    for (const piece of grid.symbol.split(/(\d+)/)) html("span", /\d/.test(piece) ? "digits" : "", symbol, piece);
    name.append(grid.title);
    if (grid.note) html("small", "", this.caption, grid.note);
  }

  at(index) {
    return [Math.floor(index / this.grid.columns), index % this.grid.columns];
  }

  isBorder(index) {
    const [row, column] = this.at(index);
    const { border, rows, columns } = this.grid;
    return row < border || column < border || row >= rows - border || column >= columns - border;
  }

  // The cell as the formula writes it: padding has indices below 0 or past the end.
  label(index) {
    const [row, column] = this.at(index);
    const { border, symbol, rows, columns } = this.grid;
    if (columns === 1) return rows === 1 ? symbol : `${symbol}[${row}]`; // a number, a list of numbers
    return `${symbol}[${written(row - border, 0)},${written(column - border, 0)}]`;
  }

  text(index, value, digits = this.grid.digits) {
    return this.grid.texts ? this.grid.texts[index] : written(value, digits);
  }

  // Of a text in a cell, in the drawing's units.
  sizeOf(words) {
    return (Math.max(fitting(words, this.side), SMALLEST_TEXT) * UNIT) / this.side;
  }

  // The most decimals, and whether any, that leave a cell's numbers large enough to be read.
  readable(side) {
    const { limit, digits, texts, values, scale } = this.grid;
    const known = values ?? [scale === "signed" ? -limit : limit];
    for (let places = digits; places >= 0; places--) {
      const words = texts ?? known.map((value) => written(value, places));
      if (words.every((text) => fitting(text, side) >= SMALLEST_TEXT - 0.5)) return [places, true];
    }
    return [0, false];
  }

  // All cells at once as a text of markup, nothing but numbers in it: the first grids take half as long as one by one.
  drawCells(parent) {
    const { rows, columns } = this.grid;
    let markup = "";
    for (let index = 0; index < rows * columns; index++) {
      const [row, column] = this.at(index);
      markup += `<g class="cell empty" data-index="${index}"><rect x="${column * UNIT}" y="${row * UNIT}" width="${UNIT}" height="${UNIT}"/>`
        + `<text x="${(column + 0.5) * UNIT}" y="${(row + 0.52) * UNIT}"></text></g>`;
    }
    parent.innerHTML = markup;
    return [...parent.children].map((group, index) => (
      { group, rect: group.firstChild, text: group.lastChild, border: this.isBorder(index) }
    ));
  }

  show(index, value, partial = false) {
    const key = value === null ? null : `${value}|${partial}`;
    if (this.shown[index] === key) return;
    this.shown[index] = key;
    const { group, rect, text, border } = this.cells[index];
    group.setAttribute("class", `cell${value === null ? " empty" : ""}${border ? " border" : ""}${partial ? " partial" : ""}`);
    const words = value === null ? "" : this.text(index, value, this.places);
    if (text.textContent !== words) { // the same text set again is laid out again
      text.textContent = words;
      if (words) text.setAttribute("font-size", this.sizeOf(words));
    }
    if (value === null) rect.style.fill = "";
    if (value === null || border) return;
    const { limit, scale } = this.grid;
    const rgb = colourAt(this.scale, scale === "signed" ? value / limit / 2 + 0.5 : value / limit);
    rect.style.fill = `rgb(${rgb})`;
    text.style.fill = inkOn(rgb);
  }

  box(element, index, last = index, inset = 0) {
    const [row, column] = this.at(index);
    const [bottom, right] = this.at(last);
    element.setAttribute("x", column * UNIT + inset);
    element.setAttribute("y", row * UNIT + inset);
    element.setAttribute("width", (right - column + 1) * UNIT - 2 * inset);
    element.setAttribute("height", (bottom - row + 1) * UNIT - 2 * inset);
    element.style.display = "";
  }

  // Outline a set of cells; `tap` is the one that counts now, `framed` draws one frame round them all.
  outline(cells, tap, framed) {
    const colour = this.frameColour;
    const distinct = [...new Set(cells)].filter((index) => index >= 0);
    this.windowBox.style.display = this.tapBox.style.display = this.tapUnder.style.display = "none";
    this.hits.replaceChildren();
    this.frame = null;
    this.tapped = tap >= 0 ? [tap, tap] : null;
    if (distinct.length && framed) {
      const places = distinct.map((index) => this.at(index));
      const [rows, columns] = [places.map(([row]) => row), places.map(([, column]) => column)];
      const corner = (pick) => pick(...rows) * this.grid.columns + pick(...columns);
      this.frame = [corner(Math.min), corner(Math.max)];
      this.box(this.windowBox, ...this.frame);
      const height = Math.max(...rows) - Math.min(...rows) + 1;
      const width = Math.max(...columns) - Math.min(...columns) + 1;
      if (height * width === distinct.length) distinct.length = 0; // a solid block needs no outlines inside its frame
    }
    this.hits.style.strokeWidth = distinct.length > 30 ? 1.5 : "";
    for (const index of distinct) this.box(svg("rect", { class: "hit", stroke: colour, rx: 2 }, this.hits), index, index, 2);
    if (tap >= 0) {
      this.box(this.tapUnder, tap, tap, 2);
      this.box(this.tapBox, tap, tap, 2);
    }
  }

  // Where the ties to other grids begin and end: the frame, else the cell that counts now, else the whole grid. Computed
  // from where the grid was laid out: measuring at every step would lay the page out again at every step.
  place() {
    if (!this.laidOut) return null;
    const { left, top, side } = this.laidOut;
    const [first, last] = this.frame ?? (this.grid.side ? [0, this.cells.length - 1] : this.tapped ?? []);
    if (first === undefined) return null;
    const [[row, column], [bottom, right]] = [this.at(first), this.at(last)];
    return { left: left + column * side, top: top + row * side, right: left + (right + 1) * side, bottom: top + (bottom + 1) * side };
  }

  measure(origin) {
    const { left, top, width } = this.svg.getBoundingClientRect();
    this.laidOut = { left: left - origin.left, top: top - origin.top, side: width / this.grid.columns };
  }

  resize(side, least) {
    this.svg.style.width = `${side * this.grid.columns}px`;
    this.svg.style.height = `${side * this.grid.rows}px`;
    this.figure.style.width = `${Math.max(side * this.grid.columns, least)}px`;
    const before = `${this.side} ${this.places}`;
    let shown;
    [this.side, [this.places, shown]] = [side, this.readable(side)];
    this.svg.classList.toggle("too-small", !shown);
    if (before === `${this.side} ${this.places}`) return;
    this.cells.forEach((cell, index) => {
      const key = this.shown[index];
      if (!key) return;
      cell.text.textContent = this.text(index, Number(key.split("|")[0]), this.places);
      cell.text.setAttribute("font-size", this.sizeOf(cell.text.textContent));
    });
  }

  legend() {
    const { scale, limit, emptied } = this.grid;
    this.ramp.hidden = emptied;
    const end = trimmed(written(limit, Math.max(this.grid.digits, limit < 10 ? 2 : 0)));
    const words = `${scale} ${end}`;
    if (emptied || this.ramp.dataset.scale === words) return;
    this.ramp.dataset.scale = words;
    this.ramp.replaceChildren();
    html("span", "", this.ramp, scale === "signed" ? `${MINUS}${end}` : "0");
    const stops = this.scale.map(([at, colour]) => `${colour} ${at * 100}%`).join(", ");
    html("span", "ramp", this.ramp).style.background = `linear-gradient(90deg, ${stops})`;
    html("span", "", this.ramp, (scale === "signed" ? "+" : "") + end);
  }
}
